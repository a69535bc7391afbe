"""Pairs of DICOM slices as patches: the grid, the HU window, and which patches are worth a record."""

import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from data_prep.dicom_pairs import SlicePair
from data_prep.dicom_pixels import read_hu
from data_prep.errors import InputError
from data_prep.hu import DICOM_RANGE_HU, PADDING_HU

AIR_BELOW_HU = -900.0  # lung is denser

Window = tuple[float, float]
InsertNoise = Callable[[SlicePair, np.ndarray], np.ndarray]


class Findings(NamedTuple):
    """The first pass over a pair of slices: numbers of the patches to keep, and their pixels outside the window."""

    kept: list[int]
    clipped: int
    pixels: int


def to_range(hu: np.ndarray, window: Window = DICOM_RANGE_HU) -> tuple[np.ndarray, int]:
    """Maps HU, any shape, to [0, 1]: float32 (HU - low) / (high - low), clipped; and how many pixels were clipped."""
    low, high = window
    outside = int(np.count_nonzero((hu < low) | (hu > high)))
    return np.clip((hu - low) / (high - low), 0.0, 1.0).astype(np.float32), outside


def grid(image: np.ndarray, patch_size: int) -> np.ndarray:
    """Cuts (rows, columns) into (count, patch_size, patch_size), row by row from the upper left, without overlap.

    What remains at the right and the bottom is left out; `patch_size` 0 gives the whole image, (1, rows, columns).
    """
    if patch_size == 0:
        return image[np.newaxis]
    down, across = (side // patch_size for side in image.shape)
    cut = image[: down * patch_size, : across * patch_size].reshape(down, patch_size, across, patch_size)
    return cut.swapaxes(1, 2).reshape(-1, patch_size, patch_size)


class PatchReader:
    """Reads pairs as patches of HU, from any thread; each thread keeps its last pair, whose patches follow.

    Args:
      hu_window: the HU of 0 and 1; padding becomes the lower one, or air if that is less.
      patch_size: see `grid`.
      insert_noise: makes the low dose of a pair that has none from its normal dose, float32 (rows, columns) in HU.
    """

    def __init__(self, hu_window: Window, patch_size: int, insert_noise: InsertNoise | None = None) -> None:
        self.hu_window, self.patch_size = hu_window, patch_size
        self._insert_noise = insert_noise
        self._kept = threading.local()

    def read(self, pair: SlicePair) -> tuple[np.ndarray, np.ndarray]:
        """Low-dose and normal-dose patches: float32 (count, height, width) each, in HU, padding as air.

        Raises:
          InputError: a file cannot be read.
        """
        if getattr(self._kept, "pair", None) is not pair:
            images = self._images(pair)
            if pair.low_dose is None:
                images.insert(0, self._low_dose(pair, images[0]))
            self._kept.grids = tuple(grid(image, self.patch_size) for image in images)
            self._kept.pair = pair
        return self._kept.grids

    def survey(self, pair: SlicePair, max_air_fraction: float) -> Findings:
        """What of a pair becomes records, and how many pixels of its files lie outside the window."""
        grids = self.read(pair) if pair.low_dose else [grid(image, self.patch_size) for image in self._images(pair)]
        normal_dose = grids[-1]
        kept = np.arange(len(normal_dose))
        if self.patch_size:
            kept = kept[np.mean(normal_dose < AIR_BELOW_HU, axis=(1, 2)) <= max_air_fraction]
        clipped = sum(to_range(patches[kept], self.hu_window)[1] for patches in grids)
        return Findings(kept.tolist(), clipped, len(grids) * normal_dose[kept].size)

    def _low_dose(self, pair: SlicePair, normal_dose: np.ndarray) -> np.ndarray:
        if self._insert_noise is None:
            raise InputError(f"{pair.normal_dose.path}: no low-dose partner, and no insert_noise that makes one")
        return self._insert_noise(pair, normal_dose)

    def _images(self, pair: SlicePair) -> list[np.ndarray]:
        padding_hu = min(self.hu_window[0], PADDING_HU)
        return [read_hu(header.path, padding_hu) for header in pair.headers]
