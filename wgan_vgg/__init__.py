"""WGAN-VGG low-dose CT denoising in TensorFlow/Keras.

import wgan_vgg
denoiser = wgan_vgg.load("generator-mse-lodopab")  # or a SavedModel's or a run's folder
denoised = denoiser(hu)  # HU in, HU out: (height, width) or (slices, height, width)
"""

import importlib
import os
from typing import Any

# Keras picks its backend at import; a user's keras.json may name another one.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

__version__ = "0.1.0"

# Imported when they are asked for: TensorFlow takes seconds.
_LAZY = {"load": "wgan_vgg.inference.denoiser", "Denoiser": "wgan_vgg.inference.denoiser", "pretrained": ""}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'wgan_vgg' has no attribute {name!r}")
    module = importlib.import_module(_LAZY[name] or f"wgan_vgg.{name}")
    return getattr(module, name) if _LAZY[name] else module
