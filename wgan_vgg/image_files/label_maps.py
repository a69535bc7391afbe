"""Telling label maps and masks, which must not be denoised, from CT images."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from wgan_vgg.errors import NotAnImage
from wgan_vgg.image_files.slices import row_blocks

MAX_LABELS = 256
_ALIKE = 0.9  # of the neighbours


def is_label_map(stack: Iterable[np.ndarray], *, if_constant: bool = False) -> bool:
    """Whether stored values, slice by slice (height, width), are labels or a mask rather than a CT image.

    They are if they are true and false; or whole numbers, at most 256 different ones, and of the neighbours in a row
    that are both something (not the first pixel's value, which is taken for the background) nine of ten are equal. CT
    has noise: even where it is rounded to 256 values, hardly half of its neighbours are equal.

    Args:
      stack: the slices.
      if_constant: what they are if all their values are one, which may be air, or a mask of nothing.
    """
    found: set[float] = set()
    pairs = equal = 0
    background = None
    for image in stack:
        if image.dtype.kind == "b":
            return True
        for rows in row_blocks(image):
            block = image[rows]
            background = block[0, 0] if background is None else background
            if block.dtype.kind == "f" and not (np.isfinite(block) & (block == np.rint(block))).all():
                return False
            found.update(np.unique(block).tolist())
            if len(found) > MAX_LABELS:
                return False
            something = (block[:, 1:] != background) & (block[:, :-1] != background)
            pairs += int(np.count_nonzero(something))
            equal += int(np.count_nonzero(something & (block[:, 1:] == block[:, :-1])))
    return if_constant if len(found) == 1 else equal >= _ALIKE * pairs


def refuse_label_map(path: Path, stack: Iterable[np.ndarray]) -> None:
    """Raises NotAnImage where stored values are labels or a mask, see is_label_map."""
    if is_label_map(stack):
        raise NotAnImage(f"{path}: labels or a mask (few whole numbers, in areas of one value), no CT image; remove it")
