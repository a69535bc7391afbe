"""What an exported model of less precision than it was trained in costs, measured on records."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from data_prep.errors import InputError
from wgan_vgg.evaluation.metrics import psnr
from wgan_vgg.input_pipeline import DataSet

# What each format is written in besides float32.
PRECISIONS = {"saved_model": ("bfloat16",), "tflite": ("float16", "int8")}
_JUDGED_IMAGES = 32


def open_records(precision: str, records: Path) -> DataSet:
    """The records on which a precision's cost is measured.

    Raises:
      InputError: there are none.
    """
    try:
        return DataSet.open(records)
    except InputError as error:
        raise InputError(
            f"precision={precision}: its cost is measured on records, and {error}; give --data_dir"
        ) from error


def psnr_cost(denoise: Callable[[np.ndarray], np.ndarray], generator: keras.Model, data: DataSet) -> dict[str, Any]:
    """For the metadata: mean PSNR of `generator`, in float32, and of `denoise`, on images of the test split."""
    low_dose, normal_dose = (images.numpy() for images in data.first("test", _JUDGED_IMAGES))
    outputs = {"psnr_float32": generator(low_dose, training=False).numpy(), "psnr": denoise(low_dose)}
    means = {name: float(np.mean(list(map(psnr, normal_dose, images)))) for name, images in outputs.items()}
    return {**means, "psnr_cost_db": means["psnr_float32"] - means["psnr"], "images": len(low_dose), "split": "test"}
