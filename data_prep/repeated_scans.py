"""More low-dose scans of records whose low dose is simulated: the same slice again, or changed before the scan.

Two scans of one slice differ in nothing but noise, so their difference shows noise without anatomy; and what is put
into a slice before it is scanned is seen as the scanner would show it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage, special

from data_prep import lodopab, low_dose, projection
from data_prep.config import DataConfig
from data_prep.geometry import Geometry
from data_prep.hu import HuScale
from data_prep.json_types import Manifest
from data_prep.noise_insertion import NoiseInsertion
from data_prep.noise_models import NOISES

# Maps a normal-dose image, float32 (height, width) in [0, 1], and a source of noise to a low-dose image.
Scanner = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class SteadyGenerator(np.random.Generator):
    """A source of noise for two scans that differ in something: what has the same mean count gets the same count.

    NumPy's own Poisson counts take one number or several from the stream, so that after the first ray whose mean has
    changed all others are different, too. Here each takes one, and the count is that quantile of its distribution.
    """

    def poisson(self, lam: Any = 1.0, size: Any = None) -> Any:
        """Counts of the means `lam`."""
        mean = np.broadcast_to(np.asarray(lam, np.float64), np.shape(lam) if size is None else size)
        return poisson_quantile(self.random(mean.shape), mean)


def poisson_quantile(probability: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The least counts whose cumulative probability is at least `probability`, in [0, 1); float64 of its shape.

    As scipy.stats.poisson.ppf, in a third of the time: from the two first terms of Cornish and Fisher's expansion,
    which is rarely more than one count off.
    """
    normal = special.ndtri(np.maximum(probability, np.finfo(np.float64).tiny))
    counts = np.maximum(0, np.floor(mean + np.sqrt(mean) * normal + (normal**2 - 1) / 6 + 0.5))
    while np.any(low := special.pdtr(counts, mean) < probability):
        counts += low
    while np.any(high := (counts > 0) & (special.pdtr(counts - 1, mean) >= probability)):
        counts -= high
    return counts


def scanner(manifest: Manifest, split: str) -> Scanner | None:
    """What made the low dose of a data set's split, to be used again on images of its own shape.

    Records smaller than their slices are first brought back to the slices' size, since a scan is of all rays that
    cross a slice. LoDoPaB-CT's stored observations are of 4096 photons, as `photons` says.

    Args:
      manifest: of the records.
      split: of data of several doses (see dose_sweep) one of the test splits, which have one dose each.

    Returns:
      None where the low dose was measured or is a noise model's, where every image has the same noise, where it has no
      HU, or where images of the split have different doses or were scanned at different sizes.
    """
    config = DataConfig.from_manifest(manifest["data"])
    (height, width), spacing = manifest["image_shape"], manifest["pixel_spacing_mm"]
    if config.shared_noise_field or config.rescale_low_dose or config.noise == "none":
        return None
    if manifest["source"] == "dicom":
        if config.dose is None or config.patch_size or not isinstance(spacing, float):
            return None
        return _adding_to_hu(NoiseInsertion.of(config), HuScale.from_manifest(manifest), spacing)
    if config.noise == "gaussian":
        return _gaussian(config.gaussian_std)
    if not NOISES[config.noise].counts_photons or height != width or not isinstance(spacing, float):
        return None
    # Earlier versions took every pixel of a slice for one of LoDoPaB-CT's, though they scanned as this one does.
    side = manifest.get("scanned_side", round(height * spacing / lodopab.PIXEL_SPACING_MM))
    if not isinstance(side, int):
        return None
    if config.dose is not None:
        return _adding(NoiseInsertion.of(config), side)
    photons = manifest.get("test_photons", {}).get(split, config.photons)
    if isinstance(photons, tuple):
        return None
    counts = photons * manifest.get("photon_factor", 1.0)  # earlier versions did not scale them
    geometry = Geometry().coarser(config.projection_coarseness)
    return _projecting(counts, geometry, config.reconstruction_filter, side)


def _gaussian(std: float) -> Scanner:
    return lambda image, rng: image + np.float32(std) * rng.standard_normal(image.shape, dtype=np.float32)


def _projecting(counts: float, geometry: Geometry, filter_name: str, side: int) -> Scanner:
    def scan(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        clean = projection.forward_projection(_of_side(image, side), geometry)
        observation = projection.low_dose_observation(clean, counts, rng)
        return low_dose.reconstructed(observation, geometry, filter_name, side, len(image))

    return scan


def _adding(model: NoiseInsertion, side: int) -> Scanner:
    def scan(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = model.noise(_of_side(image, side), 1000 * Geometry().image_side_m / side, rng)
        return image + low_dose.resized(noise, len(image))

    return scan


def _adding_to_hu(model: NoiseInsertion, scale: HuScale, spacing: float) -> Scanner:
    def scan(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        hu = model.add_to_hu(scale.to_hu(image), spacing, rng)
        return np.clip(scale.to_values(hu), 0.0, 1.0).astype(np.float32)

    return scan


def _of_side(image: np.ndarray, side: int) -> np.ndarray:
    """An image (n, n) at the size of the slices, as the projection's own refinement makes it: linear between pixels."""
    return ndimage.zoom(image, side / len(image), order=1, mode="nearest", grid_mode=True)
