"""The sources of slices by name: what makes their records, and which flags of experiments.prepare are theirs.

A new one is one file and one line here; see docs/extending.md.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from data_prep.late_import import imported


@dataclasses.dataclass(frozen=True)
class Source:
    """One source; functions are given as such, or as "module:function", imported late.

    Attributes:
      prepare: called as prepare(config, input_dir, output_dir, allow_leak=..., progress=..., part=..., **options),
        config being a wgan_vgg.config.Config; makes a data set and returns its manifest.
      options: the flags of experiments.prepare that it takes besides, with a default each.
      reproducible: experiments.reproduce takes it too: it needs no option, and its records are pairs to denoise.
      write: where it makes its files itself, called as write(config, input_dir, progress).
    """

    prepare: str | Callable[..., Any]
    options: tuple[str, ...] = ()
    reproducible: bool = True
    write: str | Callable[..., None] | None = None

    def make_files(self, *arguments: Any) -> None:
        """Calls `write`, if it has one."""
        if self.write:
            imported(self.write)(*arguments)

    def make_records(self, *arguments: Any, **more: Any) -> Any:
        """Calls `prepare`."""
        return imported(self.prepare)(*arguments, **more)


_HERE = "wgan_vgg.reproduction.sources"
SOURCES = {
    "phantoms": Source(f"{_HERE}:phantoms", ("write_observations",), write=f"{_HERE}:write_phantoms"),
    "lodopab": Source(f"{_HERE}:lodopab", ("download",)),
    "dicom": Source(
        f"{_HERE}:dicom",
        (
            "test_patients",
            "validation_patients",
            "low_dose_folder",
            "normal_dose_folder",
            "low_dose_description",
            "normal_dose_description",
            "hu_window",
            "strict",
        ),
        reproducible=False,
    ),
    "noise-blocks": Source(
        "wgan_vgg.reproduction.noise_block_records:prepare",
        ("block_side", "block_stride", "cell_side", "mean_tolerance", "variance_tolerance"),
        reproducible=False,
    ),
}
