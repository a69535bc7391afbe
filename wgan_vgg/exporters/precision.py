"""What an exported model of less precision than it was trained in costs, measured on images like those it will see."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from data_prep.manifest import MANIFEST
from wgan_vgg.errors import InputError
from wgan_vgg.evaluation.metrics import psnr
from wgan_vgg.hu import HuMapping
from wgan_vgg.image_files.find import find_images
from wgan_vgg.image_files.format_registry import open_image
from wgan_vgg.image_files.slices import Options
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.json_types import Cost, QualityCost

logger = logging.getLogger(__name__)

# What each format is written in besides float32.
PRECISIONS = {"saved_model": ("bfloat16",), "tflite": ("float16", "int8")}
_IMAGES = 32  # to calibrate on, and as many others to measure on
_MUCH_HU = 5.0  # on average: a cost worth a warning
_HIGH_PERCENTILE = 99.9


@dataclasses.dataclass(frozen=True)
class Samples:
    """Images of the training range and orientation, float32 (height, width, 1) each.

    Attributes:
      calibration: what int8's ranges are calibrated on.
      low_dose: on which the cost is measured.
      normal_dose: what these should become; None where nobody knows.
      source: where they are from, in words.
    """

    calibration: list[np.ndarray]
    low_dose: list[np.ndarray]
    normal_dose: list[np.ndarray] | None
    source: str


def find_samples(precision: str, folder: Path, mapping: HuMapping, hu_range: tuple[float, float] | None) -> Samples:
    """Images to calibrate on and to measure a precision's cost with.

    Args:
      precision: for errors.
      folder: records, of which training images calibrate and others measure; or a folder of DICOM or other image files,
        whose slices do so by turns.
      mapping: of the model.
      hu_range: of image files that do not say it themselves, see settings.Settings.

    Raises:
      InputError: nothing of the kind is there.
    """
    try:
        return _from_records(folder) if (folder / MANIFEST).is_file() else _from_files(folder, mapping, hu_range)
    except InputError as error:
        raise InputError(
            f"precision={precision}: its cost is measured on images, and {error}; give records or a folder of DICOM "
            "with --calibration"
        ) from error


def _from_records(folder: Path) -> Samples:
    data = DataSet.open(folder)
    split = "test" if "test" in data.splits else data.tuning_split
    low_dose, normal_dose = ([*part.numpy()] for part in data.first(split, _IMAGES))
    return Samples([*data.first("train", _IMAGES)[0].numpy()], low_dose, normal_dose, f"{split} split of {folder.name}")


def _from_files(folder: Path, mapping: HuMapping, hu_range: tuple[float, float] | None) -> Samples:
    paths = find_images(folder)
    step = max(1, len(paths) // (2 * _IMAGES))
    values: list[np.ndarray] = []
    options = Options(hu_range, mapping.padding_hu)
    for path in paths[::step]:
        with contextlib.closing(open_image(path, options)) as source:
            count = min(source.count, 2 * _IMAGES - len(values))
            for number in range(count):
                hu = source.read(number * source.count // count)
                values.append(mapping.to_values(hu[np.newaxis, ..., np.newaxis])[0])
    return Samples(values[::2], values[1::2] or values, None, f"{len(values)} slices of {folder.name}")


def cost(
    denoise: Callable[[np.ndarray], np.ndarray], generator: keras.Model, mapping: HuMapping, samples: Samples
) -> Cost:
    """For the metadata: how far `denoise` is from the float32 generator.

    Args:
      denoise: upright float32 (1, height, width, 1) in HU to the same.
      generator, mapping: what it should be.
      samples: where.
    """
    differences, quality = [], []
    for number, values in enumerate(samples.low_dose):
        hu = mapping.to_hu(values[np.newaxis])
        exact = mapping.to_hu(generator(mapping.to_values(hu), training=False).numpy())
        given = denoise(hu)
        differences.append(np.abs(given - exact).ravel())
        if samples.normal_dose is not None:
            truth = mapping.to_hu(samples.normal_dose[number][np.newaxis])
            quality.append([psnr(truth / mapping.slope, image / mapping.slope) for image in (exact, given)])
    joined = np.concatenate(differences)
    mean, high, highest = float(joined.mean()), float(np.percentile(joined, _HIGH_PERCENTILE)), float(joined.max())
    of_quality: QualityCost = {}
    if quality:
        exact_psnr, given_psnr = np.mean(quality, axis=0).tolist()
        of_quality = {"psnr_float32": exact_psnr, "psnr": given_psnr, "psnr_cost_db": exact_psnr - given_psnr}
    if mean > _MUCH_HU:
        logger.warning(
            "this precision changes the images by %.1f HU on average (99.9 %%: %.0f, at most %.0f); export float32",
            mean,
            high,
            highest,
        )
    return {
        "hu_mean": mean,
        "hu_p99_9": high,
        "hu_max": highest,
        **of_quality,
        "images": len(samples.low_dose),
        "of": samples.source,
    }
