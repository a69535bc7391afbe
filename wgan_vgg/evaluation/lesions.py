"""Low-contrast lesions to be found: discs of known size and contrast, put into slices before these are scanned."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from wgan_vgg.config import EvaluationConfig
from wgan_vgg.evaluation.flat_regions import find_flat_regions

_ROI_DIAMETERS = 3.0  # of the largest lesion make the side of the square that an observer looks at
_SMALLEST_ROI = 13  # pixels


@dataclasses.dataclass(frozen=True)
class Kind:
    """A disc's diameter, and how much brighter than its surroundings it is."""

    diameter_mm: float
    contrast_hu: float


@dataclasses.dataclass(frozen=True)
class Place:
    """The square (side, side) around a lesion, from its first row and column on; `kind` counts through the kinds."""

    row: int
    column: int
    kind: int


def kinds(config: EvaluationConfig) -> list[Kind]:
    """Every diameter with every contrast."""
    return [Kind(*pair) for pair in itertools.product(config.lesion_diameters_mm, config.lesion_contrasts_hu)]


def roi_side(config: EvaluationConfig, pixel_mm: float) -> int:
    """Side of the observers' square in pixels: odd, so that it has a middle."""
    largest = max(config.lesion_diameters_mm) / pixel_mm
    return 2 * (max(_SMALLEST_ROI, round(_ROI_DIAMETERS * largest)) // 2) + 1


def find_places(truth_hu: np.ndarray, config: EvaluationConfig, side: int, first_kind: int) -> list[Place]:
    """Squares of tissue for lesions, whose kinds follow each other from `first_kind` on; perhaps none.

    Args:
      truth_hu: the normal-dose image in HU (height, width).
      config: how many, and how even the tissue must be.
      side: see roi_side.
      first_kind: of the first place; another one for each image, so that all kinds come equally often.
    """
    regions = find_flat_regions(
        truth_hu,
        count=config.lesions_per_image,
        side=side,
        min_hu=config.flat_min_hu,
        max_step_hu=config.lesion_max_step_hu,
    )
    count = len(config.lesion_diameters_mm) * len(config.lesion_contrasts_hu)
    return [
        Place(rows.start, columns.start, (first_kind + number) % count)
        for number, (rows, columns) in enumerate(regions)
    ]


def disc(side: int, diameter: float) -> np.ndarray:
    """How much of each pixel a disc in the middle of a square (side, side) covers, about; `diameter` in pixels."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.clip(diameter / 2 - np.hypot(x, y) + 0.5, 0.0, 1.0)


def inserted(truth: np.ndarray, places: Sequence[Place], contrasts: np.ndarray) -> np.ndarray:
    """A copy of an image (height, width) with a lesion at each place; `contrasts` (kinds, side, side) in its unit."""
    image, side = truth.copy(), contrasts.shape[-1]
    for place in places:
        image[place.row : place.row + side, place.column : place.column + side] += contrasts[place.kind]
    return image


def cut(images: np.ndarray, places: Sequence[Sequence[Place]], kind: int, side: int) -> np.ndarray:
    """The squares of one kind in images (images, height, width), whose places are given: (squares, side, side)."""
    squares = [
        image[place.row : place.row + side, place.column : place.column + side]
        for image, there in zip(images, places, strict=True)
        for place in there
        if place.kind == kind
    ]
    return np.array(squares, np.float64).reshape(-1, side, side)
