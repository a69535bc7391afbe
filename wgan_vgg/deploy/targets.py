"""Which files are denoised to where, and what must not be overwritten on the way."""

import itertools
import logging
from pathlib import Path

from data_prep.errors import InputError
from wgan_vgg.deploy.kinds import kind_of
from wgan_vgg.deploy.slices import PARTIAL
from wgan_vgg.run_dir import read_json, write_json

logger = logging.getLogger(__name__)

STATE = "denoise.json"  # in an output folder: what its files come from


def find_targets(input_path: Path, output: Path) -> dict[Path, Path]:
    """The image files at `input_path`, each with the file that it is denoised to.

    Raises:
      InputError: no such input, or no image there.
    """
    if input_path.is_file():
        if kind_of(input_path) is None:
            raise InputError(f"input {input_path}: not DICOM, NIfTI, .npy, .npz, HDF5, PNG or TIFF")
        return {input_path: output}
    if not input_path.is_dir():
        raise InputError(f"input {input_path}: no such file or folder")
    # Hidden files are what other systems leave beside the real ones (._NAME.dcm of macOS).
    files = sorted(path for path in input_path.rglob("*") if path.is_file() and not path.name.startswith("."))
    found = [path for path in files if kind_of(path) is not None]
    if not found:
        raise InputError(f"input {input_path}: none of its {len(files)} files is DICOM or another image kind")
    if len(found) < len(files):
        logger.warning("%d files of %s are no images and were passed over", len(files) - len(found), input_path)
    return {path: output / path.relative_to(input_path) for path in found}


def claim_output(input_path: Path, output: Path, origin: dict[str, object], *, overwrite: bool) -> None:
    """Refuses what would be lost; in a folder leaves a note of what its files come from.

    Args:
      input_path: a file or a folder.
      output: the same.
      origin: JSON values; a folder with files in it is gone on with only if it was claimed with the same ones.
      overwrite: replace what is there.

    Raises:
      InputError: the output is taken, of the other sort, or lies in the input or around it.
    """
    source, target = input_path.resolve(), output.resolve()
    if source == target or source in target.parents or (input_path.is_dir() and target in source.parents):
        raise InputError(f"output {output}: lies in the input or around it; choose another place")
    if input_path.is_file():
        if output.is_dir():
            raise InputError(f"output {output}: a folder, but the input is a file; name a file")
        if output.exists() and not overwrite:
            raise InputError(f"output {output}: exists already; add --overwrite or choose another")
        return
    if output.is_file():
        raise InputError(f"output {output}: a file, but the input is a folder; name a folder")
    state = origin | {"input": str(source)}
    if output.is_dir() and any(output.iterdir()):
        found = read_json(output / STATE) if (output / STATE).is_file() else None
        if found != state and not overwrite:
            raise InputError(
                f"output {output}: holds {'other files' if found is None else 'what another model or input gave'}; "
                "add --overwrite or choose another"
            )
        for remains in list(output.rglob(f"{PARTIAL}*")):
            remains.unlink()
    write_json(output / STATE, state)


def middles(paths: list[Path]) -> set[Path]:
    """Of the files of each folder the middle one."""
    groups = (list(group) for _, group in itertools.groupby(sorted(paths), key=lambda path: path.parent))
    return {files[len(files) // 2] for files in groups}
