"""Edge sharpness by contrast: the 10-90 % rise of the mean profile across the truth's steepest isolated edges.

A denoiser that keeps the edge of a lung may still blur the edge of a vessel in the liver, so edges of low contrast are
measured apart. One such edge drowns in noise; a profile is averaged along each edge, then over edges, images and
patients, before its rise is measured.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from wgan_vgg.evaluation.jackknife import interval
from wgan_vgg.evaluation.json_types import Rise

SAMPLES_PER_PIXEL = 4
_ISOLATED = 0.8  # of a profile's range lies between its two ends: one step and little else
_HALF_LENGTH = 3  # pixels along an edge, to both sides, over which its profile is averaged
_BLUR = 2.0  # pixels, before steep places are looked for: noise has a small part in the choice


@dataclasses.dataclass(frozen=True)
class Edges:
    """Where profiles run, and what the truth is at their ends.

    Attributes:
      rows, columns: (edges, 2 * _HALF_LENGTH + 1, samples), along each edge and across it.
      low, high: (edges,).
    """

    rows: np.ndarray
    columns: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __len__(self) -> int:
        return len(self.low)

    def __getitem__(self, chosen: np.ndarray) -> "Edges":
        return Edges(self.rows[chosen], self.columns[chosen], self.low[chosen], self.high[chosen])


class Profiles:
    """The profiles of one contrast in a method's images, by patient."""

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}
        self._counts: dict[str, int] = {}

    def add(self, patient: str, profiles: np.ndarray) -> None:
        """Takes the profiles (edges, samples) of one image."""
        if len(profiles):
            total = profiles.sum(axis=0)
            self._sums[patient] = self._sums[patient] + total if patient in self._sums else total
            self._counts[patient] = self._counts.get(patient, 0) + len(profiles)

    def rise(self, confidence: float) -> Rise:
        """The rise of the mean of the patients' mean profiles, in pixels.

        Returns:
          `mean`: the rise, None where there is none; `low` and `high`: its jackknife interval over patients, None where
          it has none without one of them; `edges`: how many were averaged.
        """
        means = np.array([total / self._counts[patient] for patient, total in self._sums.items()])
        edges = sum(self._counts.values())
        if not edges:
            return {"mean": None, "low": None, "high": None, "edges": 0}
        mean = rise(means.mean(axis=0))
        others = [rise(np.delete(means, number, axis=0).mean(axis=0)) for number in range(len(means)) if len(means) > 1]
        known = [other for other in others if other is not None]
        if mean is None or not known or len(known) < len(others):
            return {"mean": mean, "low": None, "high": None, "edges": edges}
        low, high = interval(mean, known, confidence)
        return {"mean": mean, "low": low, "high": high, "edges": edges}


def find_edges(
    truth: np.ndarray, *, contrasts: Sequence[float], count: int, reach: int, within: np.ndarray | None = None
) -> list[Edges]:
    """The steepest isolated edges of an image (height, width) for each class of contrast.

    Each profile runs along the gradient, upwards, `reach` pixels to both sides of where the truth is half way.

    Args:
      truth: the normal-dose image.
      contrasts: where the classes begin, rising, in the truth's unit; each ends where the next one begins.
      count: edges of a class at most.
      reach: pixels; no two edges are nearer.
      within: bool (height, width), where edges are looked for; everywhere by default.
    """
    truth = truth.astype(np.float64)
    slopes = np.stack([ndimage.gaussian_filter(truth, _BLUR, order=order) for order in ((1, 0), (0, 1))])
    steepness = np.hypot(*slopes)
    border = reach + _HALF_LENGTH + 1
    steepness[:border] = steepness[-border:] = steepness[:, :border] = steepness[:, -border:] = 0
    if within is not None:
        steepness[~within] = 0
    # A step of h, blurred by a gaussian of s pixels, is h / (s sqrt(2 pi)) steep; one that is blurred by more than half
    # of `reach` does not end within it.
    least = contrasts[0] / (np.sqrt(2 * np.pi) * np.hypot(_BLUR, reach / 2))
    points = _steepest(steepness, least, reach)
    edges = _aligned(truth, points, slopes[:, *points.T].T, reach)
    contrast = edges.high - edges.low
    bounds = [*contrasts, np.inf]
    return [
        edges[np.flatnonzero((contrast >= low) & (contrast < high))[:count]] for low, high in itertools.pairwise(bounds)
    ]


def profiles(image: np.ndarray, classes: Sequence[Edges]) -> list[np.ndarray]:
    """An image's profiles across edges, less the truth's low end of each: (edges, samples) for each class.

    They are not scaled to one height: in a mean the noise of a weak edge then counts no more than that of a strong one.
    """
    curve = ndimage.spline_filter(image.astype(np.float64))
    return [_sampled(curve, edges.rows, edges.columns) - edges.low[:, None] for edges in classes]


def rise(profile: np.ndarray) -> float | None:
    """Pixels in which a profile (samples,) goes from 10 to 90 % of the way between its own ends; None if it does not.

    Of a step blurred by a gaussian of standard deviation s it is 2.563 s. Noise of 2 % of the step shifts it by
    about 2 %, of 5 % by up to 10 %.
    """
    low, high = _ends(profile)
    if high <= low:
        return None
    way = (profile - low) / (high - low)
    half = int(_crossing(way[None], np.array([0.5]))[0])
    if half < 0:
        return None
    below, above = np.flatnonzero(way[: half + 1] <= 0.1), np.flatnonzero(way[half:] >= 0.9)
    if not (len(below) and len(above)):
        return None
    start, end = below[-1], half + above[0]
    start += (0.1 - way[start]) / (way[start + 1] - way[start])
    end -= (way[end] - 0.9) / (way[end] - way[end - 1])
    return float((end - start) / SAMPLES_PER_PIXEL)


def _steepest(steepness: np.ndarray, least: float, reach: int) -> np.ndarray:
    """Places (points, 2) from the steepest one down to `least`, no two of them nearer than `reach` pixels."""
    # On the ridges of steepness, which run along edges: pixels with none steeper beside them in a row or in a column.
    ridges = [steepness == ndimage.maximum_filter1d(steepness, 3, axis) for axis in (0, 1)]
    candidates = np.argwhere((steepness >= least) & (ridges[0] | ridges[1]))
    free = np.ones(steepness.shape, bool)
    points: list[tuple[int, int]] = []
    for row, column in candidates[np.argsort(-steepness[tuple(candidates.T)], kind="stable")].tolist():
        if free[row, column]:
            points.append((row, column))
            free[row - reach : row + reach + 1, column - reach : column + reach + 1] = False
    return np.array(points, int).reshape(-1, 2)


def _aligned(truth: np.ndarray, points: np.ndarray, slopes: np.ndarray, reach: int) -> Edges:
    """Edges at those of the points (points, 2) where there is one isolated step, in the order of these."""
    curve = ndimage.spline_filter(truth)
    across = slopes / np.hypot(*slopes.T)[:, None] if len(points) else slopes
    along = across[:, ::-1] * (1, -1)
    steps = np.arange(-reach * SAMPLES_PER_PIXEL, reach * SAMPLES_PER_PIXEL + 1) / SAMPLES_PER_PIXEL
    offsets = np.arange(-_HALF_LENGTH, _HALF_LENGTH + 1)

    def places(chosen: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        """Rows and columns: (2, chosen, offsets, samples)."""
        there = points[chosen, :, None, None] + along[chosen, :, None, None] * offsets[:, None]
        return np.moveaxis(there + across[chosen, :, None, None] * (steps + shifts[:, None, None, None]), 1, 0)

    chosen = np.arange(len(points))
    rows, columns = places(chosen, np.zeros(len(points)))
    found = _sampled(truth, rows, columns, order=1)  # good enough to find the half way
    level = np.mean(_ends(found), axis=0)
    half = _crossing(found, level)
    chosen = chosen[(half >= 0) & (np.abs(steps[half]) <= 1)]  # else the steepest point is not where the step is
    below, above = (found[chosen, half[chosen] + number] for number in (0, 1))
    rows, columns = places(chosen, steps[half[chosen]] + (level[chosen] - below) / (above - below) / SAMPLES_PER_PIXEL)
    found = _sampled(curve, rows, columns)
    low, high = _ends(found)
    isolated = (high > low) & (high - low >= _ISOLATED * np.ptp(found, axis=1))
    return Edges(rows, columns, low, high)[isolated]


def _sampled(curve: np.ndarray, rows: np.ndarray, columns: np.ndarray, order: int = 3) -> np.ndarray:
    """Profiles of an image, spline-filtered for order 3, averaged along each edge: (edges, samples)."""
    return ndimage.map_coordinates(curve, (rows, columns), order=order, mode="nearest", prefilter=False).mean(axis=1)


def _ends(profile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of the first and of the last pixel of profiles (..., samples)."""
    return profile[..., :SAMPLES_PER_PIXEL].mean(axis=-1), profile[..., -SAMPLES_PER_PIXEL:].mean(axis=-1)


def _crossing(profile: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The sample before each of profiles (edges, samples) rises through its level, nearest to the middle; -1: none."""
    crosses = (profile[:, :-1] < level[:, None]) & (profile[:, 1:] >= level[:, None])
    distance = np.where(crosses, np.abs(np.arange(profile.shape[1] - 1) - profile.shape[1] // 2), np.inf)
    return np.where(crosses.any(axis=1), np.argmin(distance, axis=1), -1)
