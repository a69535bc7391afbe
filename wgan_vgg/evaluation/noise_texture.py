"""Noise-power spectra, and how far one image's noise texture is from another's.

The spectrum tells a faithful image from a smooth one: a denoiser that blurs leaves noise of low frequency only,
however small.
"""

import numpy as np


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
    shares = []
    for spectrum in (truth, image):
        power = _ring_sums(spectrum)[0]
        if not power.sum():
            return None
        shares.append(power / power.sum())
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _ring_sums(spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and count of each ring, the corners beyond the Nyquist frequency included."""
    steps = np.fft.fftfreq(len(spectrum)) * len(spectrum)
    rings = np.rint(np.hypot(steps[:, None], steps)).astype(int).ravel()
    return np.bincount(rings, spectrum.ravel()), np.bincount(rings)
