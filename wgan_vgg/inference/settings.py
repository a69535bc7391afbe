"""How to denoise files, and what came of it."""

import dataclasses
import math
from pathlib import Path
from typing import Any

from wgan_vgg.errors import InputError
from wgan_vgg.image_files.slices import check_hu_range
from wgan_vgg.inference.summary import Series

MEMORY = 1e9  # bytes that slices and network may take where nothing else is said


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to denoise.

    Attributes:
      hu_range: the HU of the lowest and the highest value, for files that do not say themselves.
      batch: slices at once; 0: as many as `memory` allows.
      tile: side of the tiles that slices are cut into; 0: whole slices, or tiles where not even one fits `memory`.
      memory: bytes that the slices under way and the network may take, roughly, beside what TensorFlow takes itself.
      strict: the first bad file is an error; else bad files are named and left out.
      overwrite: replace what is there.
      preview: a picture, before and after, of the middle slice of each folder of slices and of each volume.
      share: other calls with the same arguments may write into the output folder, too: each file is done by one.

    Raises:
      InputError: a value that makes no sense.
    """

    hu_range: tuple[float, float] | None = None
    batch: int = 0
    tile: int = 0
    memory: float = MEMORY
    strict: bool = False
    overwrite: bool = False
    preview: bool = False
    share: bool = False

    def __post_init__(self) -> None:
        check_size("batch", self.batch)
        check_size("tile", self.tile)
        if self.share and self.overwrite:
            raise InputError("share: not with overwrite, by which each call would begin anew; remove the output")
        if not 0 < self.memory < math.inf:
            raise InputError(f"memory={self.memory:g}: must be above 0, and finite")
        check_hu_range(self.hu_range)


def check_size(name: str, value: int) -> None:
    """Raises InputError where the size of a batch or of a tile is below 0, the default."""
    if value < 0:
        raise InputError(f"{name}={value}: must be 0 (the default) or more")


@dataclasses.dataclass
class Outcome:
    """What a call did.

    Attributes:
      files, slices, pixels, seconds: that were denoised, and the time it took.
      skipped: files that were there already.
      clipped: pixels beyond the HU that the model was trained on.
      left_out: files that could not be denoised, each with the reason.
      passed_over: files that hold no CT image, such as masks, each with the reason.
      series: what was denoised, summed up.
    """

    files: int = 0
    slices: int = 0
    skipped: int = 0
    pixels: int = 0
    clipped: int = 0
    seconds: float = 0.0
    left_out: dict[Path, str] = dataclasses.field(default_factory=dict)
    passed_over: dict[Path, str] = dataclasses.field(default_factory=dict)
    series: list[Series] = dataclasses.field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        """All of it as JSON values."""
        named = {
            name: [{"file": str(path), "reason": reason} for path, reason in getattr(self, name).items()]
            for name in ("left_out", "passed_over")
        }
        plain = {name: getattr(self, name) for name in ("files", "slices", "skipped", "pixels", "clipped", "seconds")}
        return plain | named | {"series": [each.describe() for each in self.series]}
