"""The first stage of an experiment: its records, made from phantoms or LoDoPaB-CT files unless they are there."""

from pathlib import Path

from data_prep import lodopab, phantoms, prepare
from data_prep.config import DataConfig
from data_prep.manifest import load_manifest
from data_prep.progress import Progress, silent
from wgan_vgg.config import Config, nested
from wgan_vgg.errors import InputError


def prepare_data(
    config: Config,
    output_dir: Path,
    source: str,
    *,
    phantoms_dir: Path,
    input_dir: Path | None,
    allow_leak: bool,
    progress: Progress = silent,
) -> Path:
    """Makes the records in `output_dir`, unless the same ones are there.

    Args:
      config: its data section, its seed and, for phantoms, its phantoms.
      output_dir: folder of the records.
      source: "phantoms", which are first made in `phantoms_dir`, or "lodopab".
      phantoms_dir: see `source`.
      input_dir: the LoDoPaB-CT files, for source "lodopab".
      allow_leak: let test patients occur in training.
      progress: called in both stages.

    Returns:
      `output_dir`.

    Raises:
      InputError: records of other settings or other files are there, or the source cannot give them.
    """
    if source == "phantoms":
        if input_dir:
            raise InputError(f"input_dir {input_dir}: not used with source=phantoms; drop one")
        input_dir = phantoms_dir
        write_phantoms(config, input_dir, progress)
    elif input_dir is None:
        raise InputError(f"source={source}: give the folder of its files with --input_dir")
    if output_dir.exists():
        _check_same(config, output_dir, input_dir)
        return output_dir
    prepare.prepare_lodopab(
        input_dir,
        output_dir,
        config.data,
        seed=config.seed,
        allow_leak=allow_leak,
        progress=progress,
    )
    return output_dir


def write_phantoms(config: Config, output_dir: Path, progress: Progress = silent) -> None:
    """Writes the config's phantoms, unless they are there.

    Raises:
      InputError: other files are there.
    """
    patients = {part: getattr(config.phantoms, f"{part}_patients") for part in lodopab.PARTS}
    slices = (config.phantoms.min_slices, config.phantoms.max_slices)
    if output_dir.is_dir() and any(output_dir.iterdir()):
        phantoms.check_same(output_dir, patients=patients, slices_per_patient=slices, seed=config.seed)
        return
    phantoms.write_phantoms(
        output_dir, patients=patients, slices_per_patient=slices, seed=config.seed, progress=progress
    )


def _check_same(config: Config, data_dir: Path, input_dir: Path) -> None:
    """Raises InputError unless the records were made of the same files with the same settings."""
    manifest = load_manifest(data_dir)
    made_with = DataConfig.from_manifest(manifest["data"])
    found = nested.differences(
        {"seed": manifest["seed"], "data": nested.to_dict(made_with)},
        {"seed": config.seed, "data": nested.to_dict(config.data)},
    )
    for name, size in manifest["input_files"].items():
        if not (input_dir / name).is_file() or (input_dir / name).stat().st_size != size:
            found.append(f"input_dir: {name} is not the file the records were made of")
    if found:
        raise InputError(f"{data_dir}: made with other settings ({'; '.join(found)}); take another workdir")
