"""What makes the records of each source, with the arguments that all sources share; see wgan_vgg.config.sources."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep import lodopab as lodopab_files
from data_prep import phantoms as phantom_files
from data_prep.geometry import Geometry
from data_prep.json_types import Manifest
from data_prep.observations import write_observations as write_observation_files
from data_prep.parts import WHOLE, Part
from data_prep.prepare import prepare_lodopab
from data_prep.progress import Progress, silent
from data_prep.series_names import SeriesNames
from wgan_vgg.config import Config

logger = logging.getLogger(__name__)


def write_phantoms(config: Config, output_dir: Path, progress: Progress = silent) -> None:
    """Writes the config's phantoms, unless they are there.

    Raises:
      InputError: other files are there.
    """
    patients = {part: getattr(config.phantoms, f"{part}_patients") for part in lodopab_files.PARTS}
    slices = (config.phantoms.min_slices, config.phantoms.max_slices)
    if output_dir.is_dir() and any(output_dir.iterdir()):
        phantom_files.check_same(output_dir, patients=patients, slices_per_patient=slices, seed=config.seed)
        return
    phantom_files.write_phantoms(
        output_dir, patients=patients, slices_per_patient=slices, seed=config.seed, progress=progress
    )


def phantoms(
    config: Config,
    input_dir: Path,
    output_dir: Path,
    *,
    allow_leak: bool,
    progress: Progress,
    part: Part = WHOLE,
    write_observations: bool = False,
) -> Manifest:
    """Records of phantoms, whose files have LoDoPaB-CT's form; their low-dose sinograms are first made if asked for."""
    if write_observations:
        write_observation_files(
            input_dir,
            photons=config.data.single_photons,
            seed=config.seed,
            geometry=Geometry().coarser(config.data.projection_coarseness),
            progress=progress,
        )
    return lodopab(config, input_dir, output_dir, allow_leak=allow_leak, progress=progress, part=part)


def lodopab(
    config: Config,
    input_dir: Path,
    output_dir: Path,
    *,
    allow_leak: bool,
    progress: Progress,
    part: Part = WHOLE,
    download: Sequence[str] = (),
) -> Manifest:
    """Records of LoDoPaB-CT's files; the parts to download are brought first."""
    if download:
        from data_prep.download import download_lodopab

        observations = config.data.noise == "observations"
        logger.info("%s", download_lodopab(input_dir, download, observations=observations, progress=progress))
    return prepare_lodopab(
        input_dir, output_dir, config.data, seed=config.seed, allow_leak=allow_leak, progress=progress, part=part
    )


def dicom(
    config: Config,
    input_dir: Path,
    output_dir: Path,
    *,
    allow_leak: bool,  # noqa: ARG001  # DICOM's patients are told apart by what the user says
    progress: Progress,
    **options: Any,
) -> Manifest:
    """Records of DICOM series; options as of prepare_dicom, and the fields of SeriesNames instead of its `names`."""
    from data_prep.prepare_dicom import prepare_dicom

    fields = [field.name for field in dataclasses.fields(SeriesNames) if field.name in options]
    names = SeriesNames(**{name: options.pop(name) for name in fields})
    return prepare_dicom(
        input_dir, output_dir, config.data, seed=config.seed, names=names, progress=progress, **options
    )
