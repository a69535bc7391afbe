"""WGAN-VGG low-dose CT denoising in TensorFlow/Keras.

import wgan_vgg
denoiser = wgan_vgg.load("generator-mse-lodopab")  # or the folder of a SavedModel or a run
denoised = denoiser(hu)  # HU in, HU out: (height, width) or (slices, height, width); or the path of a file or folder
wgan_vgg.denoise("series", "denoised")  # files to files of their kind

config = wgan_vgg.preset("demo", {"model": "wgan-vgg"})
data = wgan_vgg.prepare(config, "records")  # or wgan_vgg.DataSet.open(Path("records"))
wgan_vgg.train(config, data, "run")
wgan_vgg.evaluate("run", data)
wgan_vgg.export("run", "saved_model")
wgan_vgg.metrics.psnr(truth, image)
"""

import os
import pkgutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wgan_vgg import pretrained as pretrained
    from wgan_vgg.api import denoise as denoise
    from wgan_vgg.api import evaluate as evaluate
    from wgan_vgg.api import export as export
    from wgan_vgg.api import prepare as prepare
    from wgan_vgg.api import train as train
    from wgan_vgg.config import preset as preset
    from wgan_vgg.evaluation import metrics as metrics
    from wgan_vgg.inference.denoiser import Denoiser as Denoiser
    from wgan_vgg.inference.denoiser import load as load
    from wgan_vgg.input_pipeline import DataSet as DataSet

# Keras picks its backend at import; a user's keras.json may name another one.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# TensorFlow uses oneDNN's convolutions by default on CPUs with AVX-512 alone. On one with AVX2 they are faster too, and
# there, as with AVX-512, an image's result does not depend on the other images of its batch.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"

# Imported when they are asked for (PEP 562), since TensorFlow takes seconds. Name -> module, or module and attribute.
_LAZY = {
    "DataSet": "wgan_vgg.input_pipeline:DataSet",
    "Denoiser": "wgan_vgg.inference.denoiser:Denoiser",
    "denoise": "wgan_vgg.api:denoise",
    "evaluate": "wgan_vgg.api:evaluate",
    "export": "wgan_vgg.api:export",
    "load": "wgan_vgg.inference.denoiser:load",
    "metrics": "wgan_vgg.evaluation.metrics",
    "prepare": "wgan_vgg.api:prepare",
    "preset": "wgan_vgg.config:preset",
    "pretrained": "wgan_vgg.pretrained",
    "train": "wgan_vgg.api:train",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'wgan_vgg' has no attribute {name!r}")
    value = pkgutil.resolve_name(_LAZY[name])
    globals()[name] = value  # also over a subpackage of the same name (export), which an import puts there
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
