"""Which files are denoised to where, and what must not be overwritten on the way."""

import itertools
import logging
import os
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
    files = _files(input_path)
    found = [path for path in files if _is_image(path)]
    if not found:
        raise InputError(f"input {input_path}: none of its {len(files)} files is DICOM or another image kind")
    if len(found) < len(files):
        logger.warning("%d files of %s are no images and were passed over", len(files) - len(found), input_path)
    return {path: output / path.relative_to(input_path) for path in found}


def _files(root: Path) -> list[Path]:
    """All files at any depth, behind links too; but no folder twice."""

    def refuse(error: OSError) -> None:
        raise InputError(f"input {error.filename}: cannot be read ({error.strerror})") from error

    files: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for folder, subfolders, names in os.walk(root, onerror=refuse, followlinks=True):
        subfolders.sort()
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:  # a link to where the walk has been
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        # Hidden files are what other systems leave beside the real ones (._NAME.dcm of macOS).
        files += [path for name in names if not name.startswith(".") and (path := Path(folder, name)).is_file()]
    return sorted(files)


def _is_image(path: Path) -> bool:
    """Whether a file is to be denoised; one that cannot be read may be, and is named when its turn comes."""
    try:
        return kind_of(path) is not None
    except InputError:
        return True


def check_output(input_path: Path, output: Path, *, overwrite: bool) -> None:
    """Refuses what would be lost.

    Raises:
      InputError: the output is a file that is there, of the other sort, or lies in the input or around it.
    """
    source, target = input_path.resolve(), output.resolve()
    if source == target or source in target.parents or (input_path.is_dir() and target in source.parents):
        raise InputError(f"output {output}: lies in the input or around it; choose another place")
    if input_path.is_file() and output.is_dir():
        raise InputError(f"output {output}: a folder, but the input is a file; name a file")
    if input_path.is_dir() and output.is_file():
        raise InputError(f"output {output}: a file, but the input is a folder; name a folder")
    if output.is_file() and not overwrite:
        raise InputError(f"output {output}: exists already; add --overwrite or choose another")


def claim_folder(input_path: Path, output: Path, origin: dict[str, object], *, overwrite: bool) -> None:
    """Leaves a note in an output folder of what its files come from; those older than the note do not.

    Args:
      input_path, output: two folders.
      origin: JSON values; a folder with files in it is gone on with only if it was claimed with the same ones.
      overwrite: replace what is there.

    Raises:
      InputError: the output holds other files, or another model's.
    """
    state, note = origin | {"input": str(input_path.resolve())}, output / STATE
    found = read_json(note) if note.is_file() else None
    others = output.is_dir() and any(not path.name.startswith(STATE) for path in output.iterdir())  # but the note
    if found != state and not overwrite and others:
        raise InputError(
            f"output {output}: holds {'other files' if found is None else 'what another model or input gave'}; "
            "add --overwrite or choose another"
        )
    if found is not None:
        for remains in [path for path in output.rglob(f"{PARTIAL}*") if path.is_file()]:
            remains.unlink()
    if found != state or overwrite:
        write_json(note, state)


def is_done(source: Path, target: Path, folder: Path) -> bool:
    """Whether a target in a claimed folder was made after that claim, of what its source still is."""
    if not target.is_file():
        return False
    # The time of the source's last change in any respect: that of its content survives copying.
    changed = max((folder / STATE).stat().st_mtime_ns, source.stat().st_ctime_ns)
    return target.stat().st_mtime_ns >= changed


def middles(paths: list[Path]) -> set[Path]:
    """Of the files of each folder the middle one."""
    groups = (list(group) for _, group in itertools.groupby(sorted(paths), key=lambda path: path.parent))
    return {files[len(files) // 2] for files in groups}
