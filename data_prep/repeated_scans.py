"""More low-dose scans of records whose low dose is simulated: the same slice again, or changed before the scan.

Two scans of one slice differ in nothing but noise, so their difference shows noise without anatomy; and what is put
into a slice before it is scanned is seen as the scanner would show it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from data_prep import lodopab, low_dose, projection
from data_prep.config import DataConfig
from data_prep.geometry import Geometry

# Maps a normal-dose image, float32 (height, width) in [0, 1], and a source of noise to a low-dose image.
Scanner = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def scanner(manifest: Mapping[str, Any]) -> Scanner | None:
    """What made the low dose of a data set, to be used again on images of its own shape.

    Records smaller than their slices are first brought back to the slices' size, since a scan is of all rays that
    cross a slice. LoDoPaB-CT's stored observations are of 4096 photons, as `photons` says.

    Args:
      manifest: of the records, see tfrecords.

    Returns:
      None where the low dose was measured, where every image has the same noise, or where it has no HU.
    """
    config = DataConfig.from_manifest(manifest["data"])
    if manifest["source"] == "dicom" or config.shared_noise_field or config.rescale_low_dose:
        return None
    if config.noise == "gaussian":
        return _gaussian(config.gaussian_std)
    height, width = manifest["image_shape"]
    if config.noise not in ("poisson", "observations") or height != width:
        return None
    side = round(height * manifest["pixel_spacing_mm"] / lodopab.PIXEL_SPACING_MM)
    geometry = Geometry().coarser(config.projection_coarseness)
    counts = config.photons * manifest.get("photon_factor", 1.0)  # earlier versions did not scale them
    return _projecting(counts, geometry, config.reconstruction_filter, side)


def _gaussian(std: float) -> Scanner:
    return lambda image, rng: image + np.float32(std) * rng.standard_normal(image.shape, dtype=np.float32)


def _projecting(counts: float, geometry: Geometry, filter_name: str, side: int) -> Scanner:
    def scan(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        # As the projection's own refinement: linear between the pixels.
        slice_ = ndimage.zoom(image, side / len(image), order=1, mode="nearest", grid_mode=True)
        clean = projection.forward_projection(slice_, geometry)
        observation = projection.low_dose_observation(clean, counts, rng)
        return low_dose.reconstructed(observation, geometry, filter_name, side, len(image))

    return scan
