"""Where profiles run across an image's edges: the truth's steepest isolated ones, in classes of contrast."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

SAMPLES_PER_PIXEL = 4
_ISOLATED = 0.8  # of a profile's range lies between its two ends: one step and little else
_HALF_LENGTH = 3  # pixels along an edge, to both sides, over which its profile is averaged
_BLUR = 2.0  # pixels, before steep places are looked for: noise has a small part in the choice
_DISPLACED = 2  # pixels at most from the truth's place to the image's own


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

    def moved(self, shifts: np.ndarray) -> "Edges":
        """The same edges, the profiles of each (edges,) pixels further up."""
        rows, columns = (
            part + (part[..., 1:2] - part[..., :1]) * SAMPLES_PER_PIXEL * shifts[:, None, None]
            for part in (self.rows, self.columns)
        )
        return Edges(rows, columns, self.low, self.high)


@dataclasses.dataclass(frozen=True)
class Crossed:
    """An image across edges of one contrast: profiles less the truth's low end of each.

    Attributes:
      profiles: (edges, samples), centred where the truth is half way.
      in_place: (found, samples), centred where the image itself is half way; of edges with such a place near.
      shifts: (found,), pixels from the truth's place to the image's own, upwards.
    """

    profiles: np.ndarray
    in_place: np.ndarray
    shifts: np.ndarray


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


def cross(image: np.ndarray, classes: Sequence[Edges]) -> list[Crossed]:
    """An image (height, width) across the edges of each class.

    Profiles are not scaled to one height: in a mean the noise of a weak edge then counts no more than a strong one's.
    """
    curve = ndimage.spline_filter(image.astype(np.float64))
    return [_crossed(curve, edges) for edges in classes]


def ends(profile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of the first and of the last pixel of profiles (..., samples)."""
    return profile[..., :SAMPLES_PER_PIXEL].mean(axis=-1), profile[..., -SAMPLES_PER_PIXEL:].mean(axis=-1)


def crossing(profile: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The sample before each of profiles (edges, samples) rises through its level, nearest to the middle; -1: none."""
    crosses = (profile[:, :-1] < level[:, None]) & (profile[:, 1:] >= level[:, None])
    distance = np.where(crosses, np.abs(np.arange(profile.shape[1] - 1) - profile.shape[1] // 2), np.inf)
    return np.where(crosses.any(axis=1), np.argmin(distance, axis=1), -1)


def _crossed(curve: np.ndarray, edges: Edges) -> Crossed:
    """Of a spline-filtered image."""
    found = _sampled(curve, edges.rows, edges.columns)
    chosen, shifts = _half_ways(found, _DISPLACED)
    own = edges[chosen].moved(shifts)
    return Crossed(found - edges.low[:, None], _sampled(curve, own.rows, own.columns) - own.low[:, None], shifts)


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
    lines = points[:, :, None, None] + along[:, :, None, None] * offsets[:, None] + across[:, :, None, None] * steps
    rows, columns = np.moveaxis(lines, 1, 0)
    found = _sampled(truth, rows, columns, order=1)  # good enough to find the half way
    # Where that is farther away, the steepest point is not where the step is.
    chosen, shifts = _half_ways(found, 1)
    edges = Edges(rows, columns, *ends(found))[chosen].moved(shifts)
    found = _sampled(curve, edges.rows, edges.columns)
    low, high = ends(found)
    isolated = (high > low) & (high - low >= _ISOLATED * np.ptp(found, axis=1))
    return Edges(edges.rows, edges.columns, low, high)[isolated]


def _half_ways(found: np.ndarray, within: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of the profiles (edges, samples) are half way within so many pixels of the middle, and pixels to there."""
    level = np.mean(ends(found), axis=0)
    half = crossing(found, level)
    from_middle = half - found.shape[1] // 2
    chosen = np.flatnonzero((half >= 0) & (np.abs(from_middle) <= within * SAMPLES_PER_PIXEL))
    below, above = (found[chosen, half[chosen] + number] for number in (0, 1))
    return chosen, (from_middle[chosen] + (level[chosen] - below) / (above - below)) / SAMPLES_PER_PIXEL


def _sampled(curve: np.ndarray, rows: np.ndarray, columns: np.ndarray, order: int = 3) -> np.ndarray:
    """Profiles of an image, spline-filtered for order 3, averaged along each edge: (edges, samples)."""
    return ndimage.map_coordinates(curve, (rows, columns), order=order, mode="nearest", prefilter=False).mean(axis=1)
