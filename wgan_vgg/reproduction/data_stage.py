"""The first stage of an experiment: its records, made from a source unless they are there."""

from pathlib import Path

from data_prep.config import DataConfig
from data_prep.manifest import load_manifest
from data_prep.progress import Progress, silent
from wgan_vgg.config import Config, nested
from wgan_vgg.config.sources import SOURCES
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
      source: one of wgan_vgg.config.sources that is reproducible.
      phantoms_dir: where a source that makes its files, as "phantoms", puts them.
      input_dir: the files of another one.
      allow_leak: let test patients occur in training.
      progress: called in both stages.

    Returns:
      `output_dir`.

    Raises:
      InputError: records of other settings or other files are there, or the source cannot give them.
    """
    chosen = SOURCES.get(source)
    if chosen is None or not chosen.reproducible:
        taken = ", ".join(name for name, one in SOURCES.items() if one.reproducible)
        raise InputError(f"source={source}: take one of {taken}; experiments.prepare makes records of others")
    if chosen.write:
        if input_dir:
            raise InputError(f"input_dir {input_dir}: not used with source={source}; drop one")
        input_dir = phantoms_dir
        chosen.make_files(config, input_dir, progress)
    elif input_dir is None:
        raise InputError(f"source={source}: give the folder of its files with --input_dir")
    if output_dir.exists():
        _check_same(config, output_dir, input_dir)
    else:
        chosen.make_records(config, input_dir, output_dir, allow_leak=allow_leak, progress=progress)
    return output_dir


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
