"""Noise "modelled": what a generator of noise, trained on noise blocks, makes of white noise, added to clean slices.

Chen et al. 2018, section 3: a WGAN-GP learns the noise of blocks, its samples on clean images make pairs. Their
generator maps a vector to a block of 64x64, and the paper does not say how larger images are covered; here it maps a
field of white noise of any size to noise of that size, so that a slice has no seams. Each slice's noise has the
standard deviation of one of the blocks, drawn by the slice's own stream; within a slice it is the same everywhere.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data_prep.config import DataConfig
from data_prep.errors import InputError
from data_prep.lodopab import SliceRef
from data_prep.low_dose import random_stream
from data_prep.manifest import load_manifest
from data_prep.noise_blocks import SPREAD
from data_prep.noise_models import Models, Slices


@dataclasses.dataclass(frozen=True)
class ModelledNoise:
    """Noise of a generator.

    Attributes:
      generate: maps white noise to unit noise, both as .5 + noise / SPREAD, float32 (height, width).
      deviations: of the blocks it learnt from, in units of the [0, 1] image.
      seed: decides the noise, together with the slice.
    """

    generate: Callable[[np.ndarray], np.ndarray]
    deviations: np.ndarray
    seed: int

    def __call__(self, ref: SliceRef, image: np.ndarray, normal_dose: np.ndarray) -> np.ndarray:  # noqa: ARG002
        stream = random_stream(self.seed, ref)
        deviation = stream.choice(self.deviations)
        unit = SPREAD * (self.generate(white_field(normal_dose.shape, stream)) - 0.5)
        return normal_dose + np.float32(deviation) * unit


def white_field(shape: tuple[int, ...], stream: np.random.Generator) -> np.ndarray:
    """White gaussian noise as a generator takes it: .5 + noise / SPREAD, float32."""
    return np.float32(0.5) + stream.standard_normal(shape, dtype=np.float32) / np.float32(SPREAD)


def modelled(config: DataConfig, slices: Slices) -> Models:
    """Noise "modelled".

    Raises:
      InputError: no generator or no blocks are named, or the folders are not that.
    """
    if not (config.noise_model and config.noise_blocks):
        raise InputError(
            "data.noise=modelled: needs data.noise_model, an exported generator of noise, and data.noise_blocks, the "
            "records it was trained on; see docs/relatives.md"
        )
    blocks = load_manifest(Path(config.noise_blocks))
    if "block_deviations" not in blocks:
        raise InputError(
            f"data.noise_blocks={config.noise_blocks}: not made by --source=noise-blocks; name its records"
        )
    return {
        None: ModelledNoise(_generator(Path(config.noise_model)), np.array(blocks["block_deviations"]), slices.seed)
    }


def _generator(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    import tensorflow as tf

    if not (folder / "saved_model.pb").is_file():
        raise InputError(f"data.noise_model={folder}: no saved_model.pb there; make one with experiments.export")
    loaded = tf.saved_model.load(folder)  # kept below: its variables die with it
    serve = loaded.signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]

    def generate(white: np.ndarray) -> np.ndarray:
        (output,) = serve(**{name: tf.constant(white[np.newaxis, ..., np.newaxis])}).values()
        values: np.ndarray = output.numpy()[0, ..., 0]
        return values

    generate.kept = loaded  # type: ignore[attr-defined]
    return generate
