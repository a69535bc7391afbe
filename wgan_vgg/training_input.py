"""What a network is trained on, in a scanner's terms: so that a deployed one can detect other input."""

import statistics
from typing import Any

from data_prep.config import DataConfig
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.noise_estimate import noise_std

_IMAGES = 8
_COUNTED = ("poisson", "observations")  # the noise models that have a number of photons


def training_input(data: DataSet) -> dict[str, Any]:
    """Of the low-dose training images, None being unknown.

    Returns:
      `pixel_spacing_mm`; `noise_std_hu`: the median over some images, by the estimator that `denoise` applies to its
      input (noise_estimate.py); `noise`: its model; `photons` per unattenuated ray; `image_shape`. Where `photons` are
      several, also `noise_range_hu`: the lowest and the highest noise of those images.
    """
    spacing = data.manifest.get("pixel_spacing_mm")
    noise = [] if data.config.rescale_low_dose else _noise(data)
    several = isinstance(data.config.photons, tuple)
    return {
        "pixel_spacing_mm": spacing if isinstance(spacing, float) else None,
        "noise_std_hu": statistics.median(noise) if noise else None,
        **({"noise_range_hu": [min(noise), max(noise)]} if several and noise else {}),
        "noise": data.config.noise,
        "photons": _photons(data.config),
        "image_shape": list(data.image_shape),
    }


def _photons(config: DataConfig) -> float | tuple[float, ...] | None:
    if config.noise not in _COUNTED:
        return None
    return config.photons if config.dose is None else config.photons * config.dose


def _noise(data: DataSet) -> list[float]:
    images = data.first("train", _IMAGES)[0].numpy()[..., 0]
    found = [noise_std(data.hu.to_hu(image)) for image in images]
    return [value for value in found if value is not None]
