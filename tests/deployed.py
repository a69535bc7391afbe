"""Runs to deploy, without their training; and the images they are compared on."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from wgan_vgg import config
from wgan_vgg.config import nested
from wgan_vgg.files import write_json
from wgan_vgg.models import build_generator
from wgan_vgg.run_dir import RunDir

HU = {"hu_slope": 4096.0, "hu_intercept": -1024.0, "low_dose_clip": [0.0, 1.0]}  # as DICOM's records


def odd_images(count: int = 2, height: int = 37, width: int = 53, seed: int = 0) -> np.ndarray:
    """float32 (count, height, width, 1) in [0, 1], sides odd."""
    return np.random.default_rng(seed).uniform(size=(count, height, width, 1)).astype(np.float32)


def write_run(workdir: Path, data: dict[str, Any] | None = None, **values: Any) -> RunDir:
    """A run directory whose generator has its starting weights, with biases that are not zero."""
    settings = config.override(config.preset("demo"), {"model": "generator-mse", **values})
    generator = build_generator(settings.generator, seed=3)
    for number, layer in enumerate(layer for layer in generator.layers if isinstance(layer, keras.layers.Conv2D)):
        layer.bias.assign(np.random.default_rng(number).uniform(0, 0.1, layer.bias.shape))
    return save_run(workdir, settings, generator, data)


def identity_run(workdir: Path, **data: float) -> RunDir:
    """A run whose generator gives back its input, which is never negative."""
    settings = config.override(config.preset("demo"), {"model": "generator-mse", "generator.layers": 2})
    generator = build_generator(settings.generator)
    for layer in (layer for layer in generator.layers if isinstance(layer, keras.layers.Conv2D)):
        kernel = np.zeros(layer.kernel.shape, np.float32)
        kernel[1, 1, 0, 0] = 1.0
        layer.set_weights([kernel, np.zeros(layer.bias.shape)])
    return save_run(workdir, settings, generator, data or None)


def save_run(workdir: Path, settings: config.Config, generator: keras.Model, data: dict[str, Any] | None) -> RunDir:
    run = RunDir(workdir)
    run.create()
    described = {"source": "test", "path": str(workdir / "no-records"), "fingerprint": "0" * 64, **HU, **(data or {})}
    write_json(run.config, {"config": nested.to_dict(settings), "vgg_weights": None, "data": described})
    tf.train.Checkpoint(generator=generator).write(str(run.checkpoints / "step-000000007"))
    return run


def hu_images(count: int = 3, height: int = 21, width: int = 33, seed: int = 0) -> np.ndarray:
    """float32 (count, height, width) in HU, inside the range of these runs."""
    return np.random.default_rng(seed).uniform(-1000, 3000, (count, height, width)).astype(np.float32)


def ended_at_a_rename(signal: str) -> str:
    """experiments.denoise as a program that sends itself a signal between writing its fifth file and naming it."""
    return f"""
import os, signal, sys
from experiments.denoise import main
renames = 0
def hook(event, args):
    global renames
    if event == "os.rename" and str(args[1]).endswith((".dcm", ".npy")):
        renames += 1
        if renames == 5:
            os.kill(os.getpid(), signal.{signal})
sys.addaudithook(hook)
main(sys.argv[1:])
"""
