"""A trained model as a function of HU images: batches by memory, tiles where a slice is too large."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from data_prep.errors import InputError
from wgan_vgg.deploy.export import describe
from wgan_vgg.deploy.hu import HuMapping
from wgan_vgg.deploy.quick import quick
from wgan_vgg.deploy.saved_model import SAVED_MODEL_METADATA
from wgan_vgg.run_dir import RunDir, read_json
from wgan_vgg.trained_model import load_generator

Array = np.ndarray | tf.Tensor
# Of one convolution: what it reads, what it writes, and as much again to work with.
_COPIES = 3


@dataclasses.dataclass(frozen=True)
class Denoiser:
    """A generator between HU and HU.

    Attributes:
      network: float32 (batch, height, width, 1) in the training range to the same.
      mapping: HU to that range.
      metadata: what export.describe says of it.
    """

    network: Callable[[tf.Tensor], tf.Tensor]
    mapping: HuMapping
    metadata: dict[str, Any]

    @classmethod
    def load(cls, folder: Path, weights: str = "raw") -> "Denoiser":
        """Of a SavedModel that experiments.export wrote, or of a run directory.

        Raises:
          InputError: `folder` is neither, or the run has no such weights.
        """
        if not (folder / "saved_model.pb").is_file():
            return cls._of_run(RunDir(folder), weights)
        if not (folder / SAVED_MODEL_METADATA).is_file():
            raise InputError(f"model_dir {folder}: no {SAVED_MODEL_METADATA}; export it with experiments.export")
        metadata = read_json(folder / SAVED_MODEL_METADATA)
        try:
            signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
            mapping = HuMapping.from_description(metadata["hu"])
            metadata["fingerprint"], metadata["generator"]["layers"], metadata["generator"]["filters"]
        except (OSError, ValueError, KeyError, TypeError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"model_dir {folder}: not a SavedModel of this version ({reason}); export it anew"
            ) from error
        return cls(lambda values: signature(low_dose=values)["denoised"], mapping, metadata)

    @classmethod
    def _of_run(cls, run: RunDir, weights: str) -> "Denoiser":
        if not run.config.is_file():
            raise InputError(f"model_dir {run.path}: neither a SavedModel nor a run; make one with experiments.export")
        mapping, generator = HuMapping.of_run(run), load_generator(run, weights)
        specification = [tf.TensorSpec([None, None, None, 1], tf.float32)]
        network = tf.function(quick(generator), input_signature=specification)
        return cls(network, mapping, describe(run, generator, mapping, weights))

    @property
    def derivation(self) -> str:
        """What is said of denoised images."""
        name = " ".join(f"{self.metadata.get(key)}" for key in ("name", "version", "model"))
        return f"Denoised by {name}, step {self.metadata.get('step')}, {self.metadata['fingerprint'][:16]}"

    @property
    def reach(self) -> int:
        """How many pixels away an input still matters: one a 3x3 convolution."""
        return int(self.metadata["generator"]["layers"])

    def slices_at_once(self, shape: tuple[int, int], memory: float) -> int:
        """How many slices (height, width) a batch may have in so many bytes; 0 where not even one fits."""
        return int(memory // self._bytes(*shape))

    def tile_side(self, memory: float) -> int:
        """The side of the largest tile that so many bytes allow, at least four times the overlap."""
        return max(4 * self.reach, int((memory / self._bytes_of_pixel) ** 0.5) - 4 * self.reach)

    def _bytes(self, height: int, width: int) -> int:
        return self._bytes_of_pixel * (height + 2 * self.reach) * width  # with the rows that both halves have

    @property
    def _bytes_of_pixel(self) -> int:
        return 4 * _COPIES * int(self.metadata["generator"]["filters"])

    def __call__(self, hu: np.ndarray, tile: int = 0) -> np.ndarray:
        """Denoises slices.

        Args:
          hu: float32 (slices, height, width) in HU; beyond the mapping's range they are clipped.
          tile: side of the tiles that slices are cut into, less the overlap; 0: none.

        Returns:
          HU of the same shape.
        """
        if tile and not self.mapping.rescaled:  # pixel by pixel, so that only a tile is held in several copies
            return tiled(self, hu, tile, self.reach)
        values = self.mapping.to_values(tf.constant(hu[..., np.newaxis]))
        denoised = tiled(self.network, values, tile, self.reach) if tile else self.network(values)
        return self.mapping.to_hu(denoised).numpy()[..., 0]


def tiled(network: Callable[[Array], Array], images: Array, tile: int, overlap: int) -> np.ndarray:
    """network(images), tile by tile, equal to it where `overlap` is what the network reaches.

    Each tile is widened by the overlap, denoised, and cut back; at the image's border it is not widened, so that the
    network pads there as it would the whole.

    Args:
      network: from float32 (batch, height, width, ...) to the same shape.
      images: of such a shape.
      tile: side of the tiles in pixels.
      overlap: pixels.
    """
    height, width = images.shape[1:3]
    denoised = np.empty(images.shape, np.float32)
    for top, left in itertools.product(range(0, height, tile), range(0, width, tile)):
        above, before = min(overlap, top), min(overlap, left)
        widened = images[:, top - above : top + tile + overlap, left - before : left + tile + overlap]
        inner = network(widened)[:, above : above + tile, before : before + tile]
        denoised[:, top : top + tile, left : left + tile] = inner
    return denoised
