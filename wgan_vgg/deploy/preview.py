"""A slice before and after, side by side, as a picture to look at."""

from pathlib import Path

import numpy as np
from PIL import Image

from wgan_vgg.evaluation.metrics import in_window
from wgan_vgg.run_dir import write_via

_WINDOW = "soft_tissue"


def write_preview(path: Path, before: np.ndarray, after: np.ndarray) -> None:
    """Writes two slices in HU, (height, width), as one grey PNG, in the soft tissue window."""
    pixels = np.rint(255 * in_window(np.hstack([before, after]), _WINDOW)).astype(np.uint8)
    write_via(path, lambda file: Image.fromarray(pixels).save(file, format="PNG"))
