"""LoDoPaB-CT's scanner: projections of a slice, their low-dose measurement, and filtered backprojection.

The physics is that of Leuschner et al. (arXiv:1910.01113), the rays are those of `geometry`. Nothing is cached: a call
takes some 100 MB at the full geometry and gives them back. Most of its time goes into NumPy and SciPy functions that
release the interpreter's lock: two threads are about 1.5 times as fast as one.
"""

import math

import numpy as np
import scipy.fft
from scipy import ndimage

from data_prep import lodopab
from data_prep.errors import InputError
from data_prep.fourier_slice import polar_spectrum
from data_prep.geometry import MOST_PHOTONS, Geometry

MU_MAX = 81.35858  # attenuation, 1/m, of the image value 1
MU_WATER = 20.0  # attenuation of water, 1/m, as LoDoPaB takes it
# LoDoPaB projects an image of 1000x1000 made from one of 362x362, so that no reconstruction on the coarser grid undoes
# the projection exactly, as none undoes a real one ("inverse crime"). Images of other sizes grow in proportion.
FINE_PIXELS_PER_PIXEL = 1000 / lodopab.IMAGE_SIZE
LEAST_COUNT = 0.1  # what a detector that saw no photon is taken to have seen
FILTERS = ("ram-lak", "hann")


def forward_projection(image: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Line integrals of the attenuation through a slice, along a ray through the middle of each detector cell.

    Central slice theorem: the spectrum of the projection at an angle is the image's on the line of that angle.

    Args:
      image: float32 (n, n) in [0, 1], the attenuation being image * MU_MAX; first brought to the fine grid.
      geometry: where the rays run.

    Returns:
      float32 (num_angles, num_detectors), without unit; about 0 to 6 for a body.

    Raises:
      InputError: the image is not square.
    """
    if image.ndim != 2 or image.shape[0] != image.shape[1]:
        raise InputError(f"image of shape {image.shape}: only square slices can be projected, (n, n)")
    fine = ndimage.zoom(image.astype(np.float32), FINE_PIXELS_PER_PIXEL, order=1, mode="nearest", grid_mode=True)
    pixel = geometry.image_side_m / len(fine)
    # Made on `refinement` points a detector cell, of which one is kept: a coarse detector's rays are as thin as any,
    # so that it sees fine detail aliased. Above half a cycle a fine pixel there is no detail.
    refinement = max(1, int(geometry.detector_spacing / pixel))
    points = refinement * geometry.num_detectors
    frequency = np.arange(points // 2 + 1) / (2 * geometry.detector_half_width_m)
    frequency = frequency[frequency <= 0.5 / pixel]
    spectrum = polar_spectrum(fine, geometry.angles, frequency * pixel)
    # The image is linear between pixels: each stands for a triangle along each axis, whose spectrum is a sinc squared.
    for direction in (np.cos(geometry.angles), np.sin(geometry.angles)):
        spectrum *= np.sinc(pixel * direction[:, None] * frequency).astype(np.float32) ** 2
    spectrum *= np.exp(2j * math.pi * geometry.detectors[0] * frequency)
    lines = scipy.fft.irfft(spectrum, points, axis=1)[:, ::refinement]
    return lines * (MU_MAX * pixel**2 * refinement / geometry.detector_spacing)


def low_dose_observation(projection: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    """What the scanner reports of a projection, in LoDoPaB's unit; without noise that is projection / MU_MAX.

    counts ~ Poisson(photons * exp(-projection)); -log(max(LEAST_COUNT, counts) / photons) / MU_MAX.

    Args:
      projection: line integrals, without unit; any shape.
      photons: sent towards each detector cell; LoDoPaB has 4096.
      rng: source of the counts.

    Returns:
      float32 of the same shape: line integrals of the [0, 1] image, in metres.

    Raises:
      InputError: `photons` is out of range.
    """
    check_photons(photons)
    counts = rng.poisson(photons * np.exp(-projection.astype(np.float64)))
    return (-np.log(np.maximum(LEAST_COUNT, counts) / photons) / MU_MAX).astype(np.float32)


def check_photons(photons: float) -> None:
    """Raises InputError unless `photons` is a mean count that can be drawn."""
    if not 0 < photons <= MOST_PHOTONS:
        raise InputError(f"photons={photons}: must be above 0 and at most {MOST_PHOTONS:g}; LoDoPaB has 4096")


def filtered_backprojection(
    observation: np.ndarray, geometry: Geometry, size: int = lodopab.IMAGE_SIZE, filter_name: str = "ram-lak"
) -> np.ndarray:
    """Reconstructs a slice by filtered backprojection with linear interpolation (Kak and Slaney, chapter 3).

    Args:
      observation: float32 (num_angles, num_detectors) in LoDoPaB's unit, see low_dose_observation.
      geometry: where the rays ran.
      size: side of the result in pixels, which covers the geometry's image square.
      filter_name: "ram-lak" (a ramp up to the detectors' Nyquist frequency) or "hann" (that times a Hann window).

    Returns:
      float32 (size, size) in the ground truth's unit, unclipped.

    Raises:
      InputError: the observation does not fit the geometry, or there is no such filter.
    """
    if observation.shape != geometry.shape:
        raise InputError(f"observation of shape {observation.shape}: the geometry says {geometry.shape}")
    filtered = _filter(observation, geometry, filter_name)
    # The piece between two detectors is kept as a line, intercept + position * slope: one look-up fetches both.
    slope = np.diff(filtered, axis=1)
    lines = (filtered[:, :-1] - slope * np.arange(slope.shape[1]) + 1j * slope).astype(np.complex64)
    middle = (np.arange(size) - (size - 1) / 2) * (geometry.image_side_m / size / geometry.detector_spacing)
    image, position = np.zeros((2, size, size), np.float32)
    index, line = np.empty((size, size), np.intp), np.empty((size, size), np.complex64)
    for angle, row in zip(geometry.angles, lines, strict=True):
        along_x = middle * math.cos(angle) + (geometry.num_detectors + 1) / 2
        np.add(along_x.astype(np.float32)[:, None], (middle * math.sin(angle)).astype(np.float32), out=position)
        index[...] = position  # never negative, so that dropping the fraction rounds down
        np.take(row, index, out=line, mode="clip")
        position *= line.imag
        image += position
        image += line.real
    return image


def _filter(observation: np.ndarray, geometry: Geometry, filter_name: str) -> np.ndarray:
    """Ramp-filtered rows whose sum over the angles is the image: float64 (num_angles, num_detectors + 2).

    The one cell more on either side serves pixels beyond the middle of the last cell.
    """
    if filter_name not in FILTERS:
        raise InputError(f"filter_name={filter_name!r}: unknown; take {' or '.join(FILTERS)}")
    spacing, width = geometry.detector_spacing, geometry.num_detectors + 2
    length = scipy.fft.next_fast_len(2 * width, real=True)  # so much padding that the ends do not meet
    # The ramp's band-limited impulse response (Kak and Slaney, equation 61): a ramp that is sampled in the frequency
    # domain instead is zero at frequency zero, which shifts the values of the whole image.
    distance = np.minimum(np.arange(length), length - np.arange(length))
    impulse = np.where(distance % 2 == 1, -1 / (math.pi * np.maximum(distance, 1) * spacing) ** 2, 0.0)
    impulse[0] = 1 / (2 * spacing) ** 2
    response = scipy.fft.rfft(impulse).real * (spacing * math.pi / geometry.num_angles)
    if filter_name == "hann":
        response *= 0.5 + 0.5 * np.cos(2 * math.pi * scipy.fft.rfftfreq(length))
    spectrum = scipy.fft.rfft(np.pad(observation.astype(np.float64), ((0, 0), (1, 1))), length, axis=1)
    return scipy.fft.irfft(spectrum * response, length, axis=1)[:, :width]
