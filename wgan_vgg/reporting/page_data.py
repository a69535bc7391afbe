"""What report.html holds for its script: slices in HU, and every image's metrics."""

import base64
import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_prep.hu import WINDOWS, HuScale
from wgan_vgg.evaluation.json_types import Row
from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.evaluation.samples import slice_name
from wgan_vgg.reporting.image_figures import Samples, full_window, methods_on_slice
from wgan_vgg.reporting.json_types import Results
from wgan_vgg.reporting.style import method_style

# Of 16-bit pixels before compression; of larger images fewer slices are embedded, at least one.
PIXEL_BYTES = 3 * 2**20

_COLUMNS = {  # of the table of images: label and digits
    "psnr": ("PSNR dB", 2),
    "ssim": ("SSIM", 4),
    "rmse_hu": ("RMSE HU", 1),
    "bias_hu": ("bias HU", 1),
    "std_hu": ("std HU", 1),
    "perceptual": ("VGG distance", 2),
}


def page_data(samples: Samples, results: Results, rows: Sequence[Row]) -> dict[str, Any]:
    """All of it, as values of JSON."""
    return {"viewer": _viewer(samples, results), "images": _images(results, rows), "colours": colours(results)}


def colours(results: Results) -> dict[str, str]:
    """By method."""
    evaluation = results["evaluation"]
    return {name: method_style(name, evaluation["baselines"])["color"] for name in evaluation["methods"]}


def _viewer(samples: Samples, results: Results) -> dict[str, Any]:
    """`pixels`: base64 of zlib of little-endian int16 HU, (slices, methods, height, width)."""
    first = next(iter(samples.values()))
    slices, height, width = first["low_dose"].shape
    baseline = results["sample_baseline"]
    methods = list(methods_on_slice(samples, baseline))
    slices = min(slices, max(1, PIXEL_BYTES // (2 * len(methods) * height * width)))
    stack = np.stack([list(methods_on_slice(samples, baseline, index).values()) for index in range(slices)])
    hu = np.rint(HuScale.from_manifest(results["data"]).to_hu(stack.astype(np.float64)))
    limits = np.iinfo(np.int16)
    pixels = np.clip(hu, limits.min, limits.max).astype("<i2")
    full = full_window(samples, results)
    windows = {full.name: ((full.low + full.high) / 2, full.high - full.low)} | WINDOWS
    return {
        "methods": methods,
        "height": height,
        "width": width,
        "slices": [
            {"name": slice_name(first, index), "position": int(first["position"][index])} for index in range(slices)
        ],
        "windows": [[name.replace("_", " "), *window] for name, window in windows.items()],
        "without_hu": [NOISY, baseline] if results["data"]["settings"]["rescale_low_dose"] else [],
        "pixels": base64.b64encode(zlib.compress(pixels.tobytes(), 9)).decode(),
    }


def _images(results: Results, rows: Sequence[Row]) -> dict[str, Any]:
    """`values` by method: one list an image, in the order of `names` (patient, slice) and of `columns`."""
    windows = results["evaluation"]["windows"]
    columns = _COLUMNS | {
        f"{metric}_{name}": (f"{name.replace('_', ' ')} {metric.upper()}", digits)
        for name in windows
        for metric, digits in (("psnr", 2), ("ssim", 4))
    }
    return {
        "names": [[row["patient_id"], int(row["slice_index"])] for row in rows if row["method"] == NOISY],
        "columns": [list(column) for column in columns.values()],
        "models": list(results["models"]),
        "methods": list(results["evaluation"]["methods"]),  # in order, which an object's keys do not keep
        "reference": NOISY,
        "values": {
            method: [[_number(row.get(name)) for name in columns] for row in rows if row["method"] == method]
            for method in results["evaluation"]["methods"]
        },
    }


def _number(value: float | None) -> float | None:
    """Rounded to what a table shows at most; JSON has neither NaN nor infinity."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
