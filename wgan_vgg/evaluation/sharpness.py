"""Edge sharpness by contrast: the 10-90 % rise of the mean profile across the truth's steepest isolated edges.

A denoiser that keeps the edge of a lung may still blur the edge of a vessel in the liver, so edges of low contrast are
measured apart. One such edge drowns in noise; a profile is averaged along each edge, then over edges, images and
patients, before its rise is measured.

What noise hides is also displaced: a denoised edge may be as sharp as the truth's and lie half a pixel beside it. The
mean profile at the truth's place is wide all the same, so the rise is also measured where the image itself has its
edges, and how far those places lie apart.
"""

import numpy as np

from wgan_vgg.evaluation.edges import SAMPLES_PER_PIXEL, Crossed, crossing, ends
from wgan_vgg.evaluation.jackknife import interval
from wgan_vgg.evaluation.json_types import Estimate, Rise

# Of the step. Where noise has a part in the place, it makes the edge look steeper: at a scatter of .1 by 1 % (a rise of
# 2.6 pixels) to 4 % (3.8), at .15 by 4 to 12 %, at .25 by 15 to 30 % (noise blurred by 1 pixel).
_SCATTER = 0.15


class Profiles:
    """The profiles of one contrast in a method's images, by patient."""

    def __init__(self) -> None:
        self._edges = 0
        self._profiles, self._in_place, self._squares, self._low_ends = (_PatientMeans() for _ in range(4))

    def add(self, patient: str, crossed: Crossed) -> None:
        """Takes what was measured in one image."""
        self._edges += len(crossed.profiles)
        self._profiles.add(patient, crossed.profiles)
        self._in_place.add(patient, crossed.in_place)
        self._squares.add(patient, crossed.shifts[:, None] ** 2)
        low_ends = ends(crossed.profiles)[0]
        self._low_ends.add(patient, np.stack([low_ends, low_ends**2], axis=1))

    def rise(self, confidence: float) -> Rise:
        """The rise of the mean of the patients' mean profiles, in pixels.

        Returns:
          `mean`: the rise at the truth's place, None where there is none; `low` and `high`: its jackknife interval over
          patients, None where it has none without one of them; `in_place`: the same in the image's own places, and
          `displacement`: pixels from the truth's to them, root mean square, None where noise decides where they are;
          `edges`: how many were averaged.
        """
        estimate = _estimate(self._profiles.means(), confidence)
        legible = bool(self._squares) and self._scatter() <= _SCATTER
        nothing: Estimate = {"mean": None, "low": None, "high": None}
        return {
            **estimate,
            "in_place": _estimate(self._in_place.means(), confidence) if legible else nothing,
            "displacement": float(np.sqrt(self._squares.means().mean())) if legible else None,
            "edges": self._edges,
        }

    def _scatter(self) -> float:
        """The standard deviation of single profiles' low ends, as a share of the mean profile's step."""
        low, high = ends(self._profiles.means().mean(axis=0))
        mean, square = self._low_ends.means().mean(axis=0)
        return float(np.sqrt(max(0.0, square - mean**2)) / (high - low)) if high > low else np.inf


class _PatientMeans:
    """Means over each patient's rows."""

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}
        self._counts: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._sums)

    def add(self, patient: str, rows: np.ndarray) -> None:
        """Takes rows (any number, values)."""
        if len(rows):
            total = rows.sum(axis=0)
            self._sums[patient] = self._sums[patient] + total if patient in self._sums else total
            self._counts[patient] = self._counts.get(patient, 0) + len(rows)

    def means(self) -> np.ndarray:
        """Of the patients that have rows: (patients, values)."""
        return np.array([total / self._counts[patient] for patient, total in self._sums.items()])


def rise(profile: np.ndarray) -> float | None:
    """Pixels in which a profile (samples,) goes from 10 to 90 % of the way between its own ends; None if it does not.

    Of a step blurred by a gaussian of standard deviation s it is 2.563 s. Noise of 2 % of the step shifts it by
    about 2 %, of 5 % by up to 10 %.
    """
    low, high = ends(profile)
    if high <= low:
        return None
    way = (profile - low) / (high - low)
    half = int(crossing(way[None], np.array([0.5]))[0])
    if half < 0:
        return None
    below, above = np.flatnonzero(way[: half + 1] <= 0.1), np.flatnonzero(way[half:] >= 0.9)
    if not (len(below) and len(above)):
        return None
    start, end = below[-1], half + above[0]
    start += (0.1 - way[start]) / (way[start + 1] - way[start])
    end -= (way[end] - 0.9) / (way[end] - way[end - 1])
    return float((end - start) / SAMPLES_PER_PIXEL)


def _estimate(means: np.ndarray, confidence: float) -> Estimate:
    """The rise of the mean of patients' profiles (patients, samples), and its jackknife interval."""
    mean = rise(means.mean(axis=0)) if len(means) else None
    others = [rise(np.delete(means, number, axis=0).mean(axis=0)) for number in range(len(means)) if len(means) > 1]
    known = [other for other in others if other is not None]
    if mean is None or not known or len(known) < len(others):
        return {"mean": mean, "low": None, "high": None}
    low, high = interval(mean, known, confidence)
    return {"mean": mean, "low": low, "high": high}
