"""Edge sharpness: the 10-90 % rise of the mean profile across the truth's steepest isolated edges."""

import dataclasses

import numpy as np
from scipy import ndimage

SAMPLES_PER_PIXEL = 8
_ISOLATED = 0.8  # of a profile's range lies between its two ends: one step and little else
_CANDIDATES = 8  # looked at for each edge wanted


@dataclasses.dataclass(frozen=True)
class Edges:
    """Where the profiles run: `rows` and `columns` (edges, samples), and the truth's `low` and `high` ends (edges,)."""

    rows: np.ndarray
    columns: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __len__(self) -> int:
        return len(self.low)


def find_edges(truth: np.ndarray, *, count: int, reach: int) -> Edges:
    """The steepest isolated edges of an image (height, width), no two nearer than `reach` pixels.

    Each profile runs along the gradient, upwards, `reach` pixels to both sides of where the truth is half way.
    """
    truth = truth.astype(np.float64)
    slopes = [ndimage.gaussian_filter(truth, 1.0, order=order) for order in ((1, 0), (0, 1))]
    steepness = np.hypot(*slopes)
    border = reach + 1
    steepness[:border] = steepness[-border:] = steepness[:, :border] = steepness[:, -border:] = 0
    curve = ndimage.spline_filter(truth)
    found: list[tuple[np.ndarray, ...]] = []
    for _ in range(_CANDIDATES * count):
        row, column = np.unravel_index(np.argmax(steepness), steepness.shape)
        if len(found) == count or steepness[row, column] <= 0:
            break
        direction = np.array([slope[row, column] for slope in slopes]) / steepness[row, column]
        edge = _aligned(curve, np.array([row, column]), direction, reach)
        if edge is not None:
            found.append(edge)
        steepness[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = 0
    if not found:
        return Edges(*np.empty((2, 0, 2 * reach * SAMPLES_PER_PIXEL + 1)), *np.empty((2, 0)))
    return Edges(*(np.stack(part) for part in zip(*found, strict=True)))


def mean_profile(image: np.ndarray, edges: Edges) -> np.ndarray:
    """The profile across an image's edges, each scaled by the truth's ends to 0 and 1, averaged: (samples,)."""
    sampled = ndimage.map_coordinates(image.astype(np.float64), (edges.rows, edges.columns), order=3, mode="nearest")
    return np.mean((sampled - edges.low[:, None]) / (edges.high - edges.low)[:, None], axis=0)


def rise(profile: np.ndarray) -> float | None:
    """Pixels in which a profile (samples,) goes from 10 to 90 % of the way between its own ends; None if it does not.

    Of a step blurred by a gaussian of standard deviation s it is 2.563 s.
    """
    low, high = _ends(profile)
    if high <= low:
        return None
    way = (profile - low) / (high - low)
    half = _crossing(way, 0.5)
    if half is None:
        return None
    below, above = np.flatnonzero(way[: half + 1] <= 0.1), np.flatnonzero(way[half:] >= 0.9)
    if not (len(below) and len(above)):
        return None
    start, end = below[-1], half + above[0]
    start += (0.1 - way[start]) / (way[start + 1] - way[start])
    end -= (way[end] - 0.9) / (way[end] - way[end - 1])
    return float((end - start) / SAMPLES_PER_PIXEL)


def _aligned(curve: np.ndarray, point: np.ndarray, direction: np.ndarray, reach: int) -> tuple[np.ndarray, ...] | None:
    """Rows, columns, low and high of one profile of a spline-filtered image, centred on its half way."""
    steps = np.arange(-reach * SAMPLES_PER_PIXEL, reach * SAMPLES_PER_PIXEL + 1) / SAMPLES_PER_PIXEL

    def sample(shift: float) -> tuple[np.ndarray, np.ndarray]:
        places = point[:, None] + direction[:, None] * (steps + shift)
        return places, ndimage.map_coordinates(curve, places, order=3, mode="nearest", prefilter=False)

    profile = sample(0.0)[1]
    low, high = _ends(profile)
    half = _crossing(profile, (low + high) / 2)
    if half is None or abs(steps[half]) > 1:  # the steepest point is not where the step is
        return None
    places, profile = sample(steps[half])
    low, high = _ends(profile)
    if high - low < _ISOLATED * np.ptp(profile):
        return None
    return places[0], places[1], np.array(low), np.array(high)


def _ends(profile: np.ndarray) -> tuple[float, float]:
    """Means of the first and of the last pixel."""
    return float(profile[:SAMPLES_PER_PIXEL].mean()), float(profile[-SAMPLES_PER_PIXEL:].mean())


def _crossing(profile: np.ndarray, level: float) -> int | None:
    """The sample before a profile rises through `level`, nearest to the middle."""
    crossings = np.flatnonzero((profile[:-1] < level) & (profile[1:] >= level))
    return int(crossings[np.argmin(np.abs(crossings - len(profile) // 2))]) if len(crossings) else None
