"""What a network is trained on, in a scanner's terms: so that a deployed one can tell when it gets something else."""

import statistics
from typing import Any

from wgan_vgg.inference.noise import noise_std
from wgan_vgg.input_pipeline import DataSet

_IMAGES = 8
_COUNTED = ("poisson", "observations")  # the noise models that have a number of photons


def training_input(data: DataSet) -> dict[str, Any]:
    """Of the low-dose training images, None being unknown.

    Returns:
      `pixel_spacing_mm`; `noise_std_hu`: the median over some images, by the estimator that `denoise` applies to its
      input (inference/noise.py); `noise`: its model; `photons` per unattenuated ray; `image_shape`.
    """
    spacing = data.manifest.get("pixel_spacing_mm")
    return {
        "pixel_spacing_mm": spacing if isinstance(spacing, float) else None,
        "noise_std_hu": None if data.config.rescale_low_dose else _noise(data),
        "noise": data.config.noise,
        "photons": data.config.photons if data.config.noise in _COUNTED else None,
        "image_shape": list(data.image_shape),
    }


def _noise(data: DataSet) -> float | None:
    images = data.first("train", _IMAGES)[0].numpy()[..., 0]
    found = [noise_std(data.hu_slope * image + data.manifest["hu_intercept"]) for image in images]
    known = [value for value in found if value is not None]
    return statistics.median(known) if known else None
