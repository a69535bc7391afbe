"""Squares in which the truth is flat: where an image's mean HU and noise can be separated from anatomy."""

import functools
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

Region = tuple[slice, slice]  # rows and columns

_BLUR_SHARE = 1 / 8  # of a square's side is the blur after which steps are looked for: noise is averaged away
_DRAWS = 2018  # decides the order in which places are looked at
_SURFACE = 6  # coefficients of a quadratic surface


def find_flat_regions(
    truth_hu: np.ndarray, *, count: int, side: int, min_hu: float, max_step_hu: float
) -> list[Region]:
    """Squares without a step of anatomy, none overlapping another, in an order that the noise has no part in.

    Taking the flattest ones first would take those where the noise happens to be least. So every place whose blurred
    image is flat enough is as good as any other, and they are drawn at random with a fixed seed.

    Args:
      truth_hu: the normal-dose image in HU (height, width).
      count: squares wanted; there may be fewer, or none.
      side: theirs, in pixels.
      min_hu: no (blurred) pixel is below.
      max_step_hu: the highest step between two tissues that a square may hold; its steepness is looked for after a
        blur of an eighth of the side.
    """
    height, width = truth_hu.shape
    if side > min(height, width):
        return []
    truth_hu, blur = truth_hu.astype(np.float64), side * _BLUR_SHARE
    # A step of h HU, blurred by a gaussian of s pixels, is at most h / (s sqrt(2 pi)) HU a pixel steep.
    steps = ndimage.gaussian_gradient_magnitude(truth_hu, blur) * (blur * np.sqrt(2 * np.pi))
    blurred = ndimage.gaussian_filter(truth_hu, blur)
    # A filter's square around its centre, as the square from its first row and column on.
    inside = (slice(side // 2, side // 2 + height - side + 1), slice(side // 2, side // 2 + width - side + 1))
    free = ndimage.maximum_filter(steps, side)[inside] <= max_step_hu
    free &= ndimage.minimum_filter(blurred, side)[inside] >= min_hu
    order = np.where(free, _chances(free.shape), np.inf)
    regions: list[Region] = []
    while len(regions) < count:
        row, column = np.unravel_index(np.argmin(order), order.shape)
        if not np.isfinite(order[row, column]):
            break
        regions.append((slice(row, row + side), slice(column, column + side)))
        order[max(0, row - side + 1) : row + side, max(0, column - side + 1) : column + side] = np.inf
    return regions


def cut(image: np.ndarray, regions: Sequence[Region]) -> np.ndarray:
    """The squares of an image (height, width): (regions, side, side)."""
    return np.stack([image[region] for region in regions]).astype(np.float64)


def bias(truth: np.ndarray, image: np.ndarray) -> float:
    """Mean over the squares (regions, side, side) of image minus truth: signed, in their unit."""
    return float(np.mean(image - truth))


def detrended(squares: np.ndarray) -> np.ndarray:
    """Squares (regions, side, side) less the quadratic surface that fits each best: what shading is left in tissue.

    The surface takes 6 of a square's side * side degrees of freedom with it.
    """
    basis = _surfaces(squares.shape[-1])
    flat = squares.reshape(len(squares), -1)
    return (flat - flat @ basis @ basis.T).reshape(squares.shape)


def standard_deviation(squares: np.ndarray) -> float:
    """Root of the mean variance within each of the squares (regions, side, side), detrended, in their unit."""
    return float(np.sqrt(np.sum(detrended(squares) ** 2) / len(squares) / (squares[0].size - _SURFACE)))


@functools.lru_cache(maxsize=4)
def _chances(shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(_DRAWS).random(shape)


@functools.lru_cache(maxsize=4)
def _surfaces(side: int) -> np.ndarray:
    """An orthonormal basis of the quadratic surfaces on a square: (side * side, 6)."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, _SURFACE))[0]
