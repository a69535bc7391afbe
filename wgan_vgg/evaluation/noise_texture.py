"""Noise-power spectra, and how far one image's noise is from another's.

The spectrum distinguishes a faithful image from a smooth one: a denoiser that blurs leaves noise of low frequency only,
however small.
"""

import functools
from collections.abc import Mapping

import numpy as np

from wgan_vgg.evaluation.json_types import NoisePower

_ROUNDING = 1e-9  # of the truth's power: what detrending leaves of a constant image
SMALLEST_SIDE = 16  # pixels: of a smaller square the detrending takes too many of the spectrum's few rings


class Spectra:
    """Noise-power spectra in HU^2 pixel^2, averaged over the squares of each patient."""

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}
        self._counts: dict[str, int] = {}

    def add(self, patient: str, squares: np.ndarray) -> None:
        """Takes squares (squares, side, side) of noise in HU."""
        total = len(squares) * power_spectrum(squares, 1.0)
        self._sums[patient] = self._sums[patient] + total if patient in self._sums else total
        self._counts[patient] = self._counts.get(patient, 0) + len(squares)

    def by_patient(self) -> dict[str, np.ndarray]:
        """Each patient's (side, side), in the DFT's order."""
        return {patient: total / self._counts[patient] for patient, total in self._sums.items()}

    def radial(self, pixel_mm: float) -> NoisePower | None:
        """The radial average over all squares, as `frequency` in 1/mm and `power` in HU^2 mm^2; None without any."""
        if not self._sums:
            return None
        total = functools.reduce(np.add, self._sums.values())
        frequencies, power = radial_average(total / sum(self._counts.values()) * pixel_mm**2, pixel_mm)
        return {"frequency": frequencies.tolist(), "power": power.tolist()}


def texture_distances(truth: Mapping[str, np.ndarray], image: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """Each patient's texture_distance; None where a spectrum is missing, or its squares are below SMALLEST_SIDE."""
    return {
        patient: texture_distance(spectrum, image[patient])
        if patient in image and len(spectrum) >= SMALLEST_SIDE
        else None
        for patient, spectrum in truth.items()
    }


def power_spectrum(squares: np.ndarray, pixel_mm: float) -> np.ndarray:
    """The mean noise-power spectrum of squares of flat regions, each less its own mean.

    NPS(u, v) = pixel^2 / (Nx Ny) * mean over the squares of |DFT2(square - its mean)|^2. Its sum over frequency,
    times the frequency step (1 / (Nx pixel))^2, is the mean variance of the squares (Parseval).

    Args:
      squares: (squares, side, side) in HU; of one or many realisations.
      pixel_mm: side of a pixel.

    Returns:
      (side, side) in HU^2 mm^2, in the DFT's order: frequency zero first.
    """
    deviations = squares - squares.mean(axis=(1, 2), keepdims=True)
    side = squares.shape[-1]
    return np.mean(np.abs(np.fft.fft2(deviations)) ** 2, axis=0) * pixel_mm**2 / side**2


def radial_average(spectrum: np.ndarray, pixel_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Means over rings one frequency step wide, from the first step to the Nyquist frequency.

    Args:
      spectrum: (side, side) in the DFT's order.
      pixel_mm: side of a pixel.

    Returns:
      Frequencies in cycles/mm and the means, in the spectrum's unit; both (side // 2,).
    """
    side = len(spectrum)
    power, counts = _ring_sums(spectrum)
    rings = slice(1, side // 2 + 1)
    return np.arange(side)[rings] / (side * pixel_mm), power[rings] / counts[rings]


def texture_distance(truth: np.ndarray, image: np.ndarray) -> float | None:
    """Share of the noise power that stands at other frequencies than the truth's, in [0, 1].

    Half the sum, over rings, of the absolute difference of the shares that two spectra (side, side) have there: 0
    where the noise differs in strength only. None where one of them has no noise at all.
    """
    wanted, found = (_ring_sums(spectrum)[0] for spectrum in (truth, image))
    if not wanted.sum() or found.sum() <= _ROUNDING * wanted.sum():
        return None
    return float(np.abs(found / found.sum() - wanted / wanted.sum()).sum() / 2)


def noise_power_distance(truth: NoisePower | None, image: NoisePower | None) -> float | None:
    """How far one radial spectrum is from the truth's, strength and texture together, as a share of the truth's power.

    The absolute differences of the rings, each times its frequency (a ring is as long as its frequency is high), over
    the truth's power; corners beyond the Nyquist frequency are left out. 0 is the truth; an image without noise has 1,
    and so has one of twice the truth's power. None where a spectrum is missing, or its squares are below SMALLEST_SIDE,
    or the truth has no noise.
    """
    if truth is None or image is None or len(truth["frequency"]) < SMALLEST_SIDE // 2:
        return None
    lengths, wanted, found = (np.array(one) for one in (truth["frequency"], truth["power"], image["power"]))
    total = np.sum(lengths * wanted)
    return float(np.sum(lengths * np.abs(found - wanted)) / total) if total else None


def _ring_sums(spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and count of each ring, the corners beyond the Nyquist frequency included."""
    steps = np.fft.fftfreq(len(spectrum)) * len(spectrum)
    rings = np.rint(np.hypot(steps[:, None], steps)).astype(int).ravel()
    return np.bincount(rings, spectrum.ravel()), np.bincount(rings)
