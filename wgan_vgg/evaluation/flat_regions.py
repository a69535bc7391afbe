"""Squares in which the truth is flat: where an image's mean HU and noise can be told from anatomy."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

Region = tuple[slice, slice]  # rows and columns

_BLUR = 1.0  # pixels: the gradient is of anatomy, not of single pixels' noise


def find_flat_regions(
    truth_hu: np.ndarray, *, count: int, side: int, min_hu: float, max_gradient_hu: float
) -> list[Region]:
    """The squares with the lowest gradient, flattest first, none overlapping another.

    A square is as flat as its steepest pixel.

    Args:
      truth_hu: the normal-dose image in HU (height, width).
      count: squares wanted; there may be fewer, or none.
      side: theirs, in pixels.
      min_hu: no (blurred) pixel is below.
      max_gradient_hu: no pixel's gradient is above, in HU a pixel.
    """
    height, width = truth_hu.shape
    if side > min(height, width):
        return []
    truth_hu = truth_hu.astype(np.float64)
    gradient = ndimage.gaussian_gradient_magnitude(truth_hu, _BLUR)
    blurred = ndimage.gaussian_filter(truth_hu, _BLUR)
    # A filter's square around its centre, as the square from its first row and column on.
    inside = (slice(side // 2, side // 2 + height - side + 1), slice(side // 2, side // 2 + width - side + 1))
    steepest = ndimage.maximum_filter(gradient, side)[inside]
    lowest = ndimage.minimum_filter(blurred, side)[inside]
    steepest[(steepest > max_gradient_hu) | (lowest < min_hu)] = np.inf
    regions: list[Region] = []
    while len(regions) < count:
        row, column = np.unravel_index(np.argmin(steepest), steepest.shape)
        if not np.isfinite(steepest[row, column]):
            break
        regions.append((slice(row, row + side), slice(column, column + side)))
        steepest[max(0, row - side + 1) : row + side, max(0, column - side + 1) : column + side] = np.inf
    return regions


def cut(image: np.ndarray, regions: Sequence[Region]) -> np.ndarray:
    """The squares of an image (height, width): (regions, side, side)."""
    return np.stack([image[region] for region in regions]).astype(np.float64)


def bias(truth: np.ndarray, image: np.ndarray) -> float:
    """Mean over the squares (regions, side, side) of image minus truth: signed, in their unit."""
    return float(np.mean(image - truth))


def standard_deviation(squares: np.ndarray) -> float:
    """Root of the mean variance within each of the squares (regions, side, side), in their unit."""
    return float(np.sqrt(np.mean(np.var(squares, axis=(1, 2)))))
