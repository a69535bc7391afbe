"""What a network is trained on, in a scanner's terms: so that a deployed one can detect other input."""

import statistics

from data_prep.config import DataConfig
from data_prep.noise_models import NOISES
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.json_types import NoiseRange, TrainingInput
from wgan_vgg.noise_estimate import noise_std

_IMAGES = 8


def training_input(data: DataSet) -> TrainingInput:
    """What is known of a data set's low-dose training images."""
    noise = [] if data.config.rescale_low_dose else _noise(data)
    several = isinstance(data.config.photons, tuple) and noise
    spread: NoiseRange = {"noise_range_hu": [min(noise), max(noise)]} if several else {}
    return {
        "pixel_spacing_mm": data.pixel_mm,
        "noise_std_hu": statistics.median(noise) if noise else None,
        **spread,
        "noise": data.config.noise,
        "photons": _photons(data.config),
        "image_shape": list(data.image_shape),
    }


def _photons(config: DataConfig) -> float | tuple[float, ...] | None:
    if not NOISES[config.noise].counts_photons:
        return None
    return config.photons if config.dose is None else config.single_photons * config.dose


def _noise(data: DataSet) -> list[float]:
    images = data.first("train", _IMAGES)[0].numpy()[..., 0]
    found = [noise_std(data.hu.to_hu(image)) for image in images]
    return [value for value in found if value is not None]
