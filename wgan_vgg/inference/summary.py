"""What denoising did to each series: mean HU by tissue, noise; and whether it is like what the model was trained on."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from wgan_vgg.image_files.slices import Slices
from wgan_vgg.noise_estimate import SOFT_TISSUE_HU, noise_std, smoothed

# HU of the input after smoothing, which keeps noise from deciding; what lies between the classes belongs to none.
_AIR = -500.0
TISSUES = {
    "air": (-np.inf, -900.0),
    "lung": (-900.0, _AIR),
    "soft tissue": SOFT_TISSUE_HU,
    "bone": (SOFT_TISSUE_HU[1], np.inf),
}
# So many times more or less than in training is worth a warning.
FAR_SPACING, FAR_NOISE = 1.5, 2.0
_NOT_HU = "Subtract an offset, such as 1024; for .npy, .npz, PNG and TIFF see --hu_range"
_MEASURED_SIDE = 1024  # of larger slices the middle is measured


@dataclasses.dataclass(frozen=True)
class Measure:
    """One slice before and after.

    Attributes:
      noise: standard deviation before and after in HU, see noise_std; None where there is too little soft tissue.
      pixels, shift: by tissue, its pixels and the sum of their changes in HU.
      has_air: whether air or lung is anywhere in it.
    """

    noise: tuple[float | None, float | None]
    pixels: Mapping[str, int]
    shift: Mapping[str, float]
    has_air: bool


def measure(before: np.ndarray, after: np.ndarray) -> Measure:
    """Measures one slice (height, width) in HU; of one larger than 1024x1024 the middle."""
    top, left = (max(0, side - _MEASURED_SIDE) // 2 for side in before.shape)
    part = np.s_[top : top + _MEASURED_SIDE, left : left + _MEASURED_SIDE]
    step = -(-max(before.shape) // _MEASURED_SIDE)
    whole, before, after = before, before[part], after[part]
    smooth, change = smoothed(before), after - before
    has_air = bool((smooth if step == 1 else smoothed(whole[::step, ::step])).min() < _AIR)
    classes = {name: (smooth >= low) & (smooth < high) for name, (low, high) in TISSUES.items()}
    return Measure(
        (noise_std(before), noise_std(after)),
        {name: int(np.count_nonzero(chosen)) for name, chosen in classes.items()},
        {name: float(change[chosen].sum(dtype=np.float64)) for name, chosen in classes.items()},
        has_air,
    )


@dataclasses.dataclass
class Series:
    """The slices of one series that a call denoised.

    Attributes:
      name: a volume's path; or the folder of single slices and, in DICOM, their SeriesInstanceUID.
      spacing_mm: of the pixels; None: unknown.
      measures: one for each slice.
    """

    name: str
    spacing_mm: float | None
    measures: list[Measure] = dataclasses.field(default_factory=list)

    @property
    def noise(self) -> list[float | None]:
        """The medians over the slices, before and after, in HU."""
        return [_median([each.noise[when] for each in self.measures]) for when in (0, 1)]

    @property
    def shift(self) -> dict[str, float | None]:
        """The mean change of HU by tissue; None without a pixel of it."""
        pixels = {name: sum(each.pixels[name] for each in self.measures) for name in TISSUES}
        return {
            name: sum(each.shift[name] for each in self.measures) / count if count else None
            for name, count in pixels.items()
        }

    def line(self) -> str:
        """All of it in one line."""
        shifts = ", ".join(f"{name} {_text(value, '+.1f')}" for name, value in self.shift.items())
        before, after = (_text(value, ".1f") for value in self.noise)
        return f"{self.name}: {len(self.measures)} slices, mean HU shift {shifts}; noise {before} -> {after} HU"

    def describe(self) -> dict[str, Any]:
        """The same as JSON values."""
        before, after = self.noise
        return {
            "series": self.name,
            "slices": len(self.measures),
            "pixel_spacing_mm": self.spacing_mm,
            "mean_shift_hu": self.shift,
            "noise_std_hu": {"before": before, "after": after},
        }


class Summaries:
    """Sums up the series of a call as its slices come.

    Args:
      training_input: of the model's metadata; what is absent or None there is unknown, and not compared.
      on_series: called with each series when the slices of its folder have passed.
      warn: called with one line for each series that the model was not trained for, as soon as that shows, and for each
        without air.
    """

    def __init__(
        self, training_input: Mapping[str, Any], on_series: Callable[[Series], None], warn: Callable[[str], None]
    ) -> None:
        self._training, self._on_series, self._warn = training_input, on_series, warn
        self._series: dict[str, Series] = {}
        self._unreported: dict[str, None] = {}  # names, in order
        self._compared: set[str] = set()
        self._asked: set[str] = set()
        self._folder: object = None

    @property
    def series(self) -> list[Series]:
        """All series so far, in the order of their first slices."""
        return list(self._series.values())

    def compare(self, source: Slices, measures: Sequence[Measure]) -> None:
        """Compares the first slices of a series whose noise is known with what the model was trained on."""
        noise = _median([each.noise[0] for each in measures])
        if source.series not in self._compared and noise is not None:
            self._compare(source.series, source.spacing_mm, noise)

    def add(self, source: Slices, measures: Sequence[Measure]) -> None:
        """Takes the measures of a whole file."""
        if source.path.parent != self._folder:
            self.end()
            self._folder = source.path.parent
        series = self._series.setdefault(source.series, Series(source.series, source.spacing_mm))
        series.measures += measures
        self._unreported[series.name] = None

    def end(self) -> None:
        """Reports every series that was not yet reported."""
        for name in self._unreported:
            series = self._series[name]
            if name not in self._compared:
                self._compare(name, series.spacing_mm, None)
            if name not in self._asked and not any(each.has_air for each in series.measures):
                self._asked.add(name)
                self._warn(f"{name}: neither air nor lung in it: are its values HU? {_NOT_HU}")
            self._on_series(series)
        self._unreported.clear()

    def _compare(self, name: str, spacing: float | None, noise: float | None) -> None:
        self._compared.add(name)
        if text := mismatch(self._training, spacing, noise):
            self._warn(f"{name}: {text}; the result may be worse than the input")


def mismatch(training_input: Mapping[str, Any], spacing_mm: float | None, noise_hu: float | None) -> str:
    """How images are far from what a model was trained on, in words; "" where they are not, or nothing is known."""
    trained_noise = training_input.get("noise_std_hu")
    if noise_hu is not None and (bounds := training_input.get("noise_range_hu")):  # of several doses
        trained_noise = min(max(noise_hu, bounds[0]), bounds[1])
    compared = (
        ("pixel spacing", spacing_mm, training_input.get("pixel_spacing_mm"), "mm", FAR_SPACING),
        ("noise", noise_hu, trained_noise, "HU", FAR_NOISE),
    )
    return " and ".join(
        f"{what} {given:.3g} {unit}, but the model was trained on {trained:.3g} {unit}"
        for what, given, trained, unit, far in compared
        if given is not None and trained is not None and _is_far(given, trained, far)
    )


def _is_far(given: float, trained: float, far: float) -> bool:
    low, high = sorted((given, trained))
    return high > far * low


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
