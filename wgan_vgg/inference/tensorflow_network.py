"""Networks that TensorFlow computes: of a run, a SavedModel or a file of weights; numpy arrays in and out."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from wgan_vgg.config import GeneratorConfig
from wgan_vgg.errors import InputError, reason
from wgan_vgg.exporters.exportable import Exportable, of_run, of_weights_file
from wgan_vgg.exporters.saved_model import OPTIMIZATIONS, SAVED_MODEL_METADATA
from wgan_vgg.extent import Extent
from wgan_vgg.files import read_json
from wgan_vgg.hu import HuMapping
from wgan_vgg.inference.denoiser import Network
from wgan_vgg.json_types import Metadata
from wgan_vgg.models import build_generator, generator_of
from wgan_vgg.run_dir import RunDir

Loaded = tuple[Network, Metadata, Extent]


def from_file(path: Path) -> Loaded:
    """Of a generator.safetensors that experiments.export wrote.

    Raises:
      InputError: another file.
    """
    return _loaded(of_weights_file(path))


def from_saved_model(folder: Path) -> Loaded:
    """Of a SavedModel that experiments.export wrote.

    Raises:
      InputError: another one.
    """
    if not (folder / SAVED_MODEL_METADATA).is_file():
        raise InputError(f"model_dir {folder}: no {SAVED_MODEL_METADATA}; export it with experiments.export")
    metadata = read_json(folder / SAVED_MODEL_METADATA)
    try:
        settings, precision = GeneratorConfig(**metadata["generator"]), metadata.get("precision", "float32")
        generator, extent = build_generator(settings, precision=precision), generator_of(settings).extent
        generator.set_weights([variable.numpy() for variable in tf.saved_model.load(str(folder)).variables])
        HuMapping.from_metadata(metadata)
        metadata["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, tf.errors.OpError) as error:
        raise InputError(
            f"model_dir {folder}: not a SavedModel of this version ({reason(error)}); export it anew"
        ) from error
    return _compiled(generator, extent), metadata, extent


def from_run(run: RunDir, weights: str) -> Loaded:
    """Of a run directory.

    Args:
      run: the run.
      weights: "raw", "average" or "best".

    Raises:
      InputError: no run, or it has no such weights.
    """
    if not run.config.is_file():
        raise InputError(f"model_dir {run.path}: neither a SavedModel nor a run; make one with experiments.export")
    return _loaded(of_run(run, weights))


def _loaded(found: Exportable) -> Loaded:
    return _compiled(found.generator, found.network.extent), found.metadata, found.network.extent


def _compiled(generator: keras.Model, extent: Extent) -> Network:
    """The generator as a graph that suits this machine, however it was exported."""
    optimize = "none" if tf.config.list_physical_devices("GPU") else "cpu"
    specification = [tf.TensorSpec([None, None, None, 1], tf.float32)]
    function = tf.function(OPTIMIZATIONS[optimize](generator, extent), input_signature=specification)

    def network(values: np.ndarray) -> np.ndarray:
        return function(tf.constant(values)).numpy()

    return network
