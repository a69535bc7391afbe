"""A slice before and after, side by side, as a picture to look at."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_prep.hu import WINDOWS
from wgan_vgg.evaluation.metrics import in_window
from wgan_vgg.files import write_via

_WINDOW = "soft_tissue"
_MARGIN = 4  # pixels around each line of text


def write_preview(path: Path, before: np.ndarray, after: np.ndarray, title: str) -> None:
    """Writes two slices in HU, (height, width), as one grey PNG, in the soft tissue window; below them what they are.

    Args:
      path: the picture.
      before, after: the slices.
      title: the file that they come from, and which slice of it.
    """
    pixels = np.hstack([np.rint(255 * in_window(slice_hu, _WINDOW)).astype(np.uint8) for slice_hu in (before, after)])
    picture = _with_text(Image.fromarray(pixels), preview_text(title))
    write_via(path, lambda file: picture.save(file, format="PNG"))


def preview_text(title: str) -> list[str]:
    """The lines below the slices."""
    level, width = WINDOWS[_WINDOW]
    known = "".join(letter if letter.isprintable() and ord(letter) < 256 else "?" for letter in title)  # to the font
    return [
        known,
        f"before | after, {_WINDOW.replace('_', ' ')} window: level {level}, width {width} HU",
        "not for diagnostic use",
    ]


def _with_text(slices: Image.Image, lines: list[str]) -> Image.Image:
    """A picture with white lines on black below it; as wide as the longest line needs."""
    font = ImageFont.load_default()
    boxes = [font.getbbox(line) for line in lines]
    line_height = int(max(box[3] for box in boxes)) + _MARGIN
    width = max(slices.width, *(int(box[2]) + 2 * _MARGIN for box in boxes))
    picture = Image.new("L", (width, slices.height + line_height * len(lines) + _MARGIN))
    picture.paste(slices)
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((_MARGIN, slices.height + _MARGIN + number * line_height), line, fill=255, font=font)
    return picture
