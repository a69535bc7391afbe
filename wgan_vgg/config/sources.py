"""The sources of slices by name: what makes their records, and which flags of experiments.prepare are theirs.

A new one is one file and one line here; see docs/extending.md.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from data_prep.config import DataConfig
from data_prep.late_import import imported
from data_prep.noise_models import NOISES
from wgan_vgg.errors import InputError


@dataclasses.dataclass(frozen=True)
class Source:
    """One source; functions are given as such, or as "module:function", imported late.

    Attributes:
      prepare: called as prepare(config, input_dir, output_dir, allow_leak=..., progress=..., part=..., **options),
        config being a wgan_vgg.config.Config; makes a data set and returns its manifest.
      options: the flags of experiments.prepare that it takes besides, with a default each.
      reproducible: experiments.reproduce takes it too: it needs no option, and its records are pairs to denoise.
      write: where it makes its files itself, called as write(config, input_dir, progress).
      settings: the fields of DataConfig that decide its records; None: all.
    """

    prepare: str | Callable[..., Any]
    options: tuple[str, ...] = ()
    reproducible: bool = True
    write: str | Callable[..., None] | None = None
    settings: tuple[str, ...] | None = None

    def make_files(self, *arguments: Any) -> None:
        """Calls `write`, if it has one."""
        if self.write:
            imported(self.write)(*arguments)

    def make_records(self, *arguments: Any, **more: Any) -> Any:
        """Calls `prepare`."""
        return imported(self.prepare)(*arguments, **more)


_HERE = "wgan_vgg.reproduction.sources"
_DICOM_ALONE = ("patch_size", "max_air_fraction")
_LODOPAB = tuple(field.name for field in dataclasses.fields(DataConfig) if field.name not in _DICOM_ALONE)
SOURCES = {
    "phantoms": Source(
        f"{_HERE}:phantoms", ("write_observations",), write=f"{_HERE}:write_phantoms", settings=_LODOPAB
    ),
    "lodopab": Source(f"{_HERE}:lodopab", ("download",), settings=_LODOPAB),
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
        settings=(
            "noise",
            "photons",
            "dose",
            "electronic_noise",
            "reconstruction_filter",
            "projection_coarseness",  # which has a rule of its own beside `dose`
            "shards",
            *_DICOM_ALONE,
        ),
    ),
    "noise-blocks": Source(
        "wgan_vgg.reproduction.noise_block_records:prepare",
        ("block_side", "block_stride", "cell_side", "mean_tolerance", "variance_tolerance"),
        reproducible=False,
        settings=("shards",),
    ),
}


def check_given(name: str, noise: str, given: Mapping[str, object]) -> None:
    """Refuses values that were given, not a preset's, and would change nothing.

    Args:
      name: of a source.
      noise: of the data, a name of NOISES.
      given: config values by key, such as "data.photons".

    Raises:
      InputError: one is of another source, or of another noise.
    """
    of_source, of_noise = SOURCES[name].settings, NOISES[noise].settings
    of_noises = {field for one in NOISES.values() for field in one.settings}
    for key, value in given.items():
        section, _, field = key.partition(".")
        if section == "phantoms" and not SOURCES[name].write:
            raise InputError(f"{key}={value}: goes with --source=phantoms, not {name}; leave it out")
        if section == "data" and of_source is not None and field not in of_source:
            raise InputError(f"{key}={value}: decides nothing with --source={name}; leave it out")
        if section == "data" and field in of_noises and field not in of_noise:
            raise InputError(
                f"{key}={value}: decides nothing with data.noise={noise}; leave it out, or give another noise"
            )
