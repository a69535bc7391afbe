"""Where denoised files are written, and what must not be overwritten on the way."""

import contextlib
import itertools
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wgan_vgg.errors import InputError
from wgan_vgg.files import read_json, write_json
from wgan_vgg.image_files.find import PREVIEWS, STATE, find_images
from wgan_vgg.image_files.format_registry import format_of, named_format
from wgan_vgg.image_files.slices import PARTIAL

logger = logging.getLogger(__name__)


def output_path(output: str | Path, input_path: Path) -> Path:
    """Where to write; a text also says whether that is meant to be a folder.

    Raises:
      InputError: it is, but the input is a file.
    """
    if input_path.is_file() and str(output).endswith("/"):
        raise InputError(f"output {output}: ends as a folder does, but the input is a file; name a file")
    return Path(output)


def map_outputs(input_path: Path, output: Path) -> dict[Path, Path]:
    """The image files at `input_path`, each with its output file.

    Raises:
      InputError: no such input, or no image there.
    """
    found = find_images(input_path)
    return {path: output if input_path.is_file() else output / path.relative_to(input_path) for path in found}


def check_output(input_path: Path, output: Path, *, overwrite: bool) -> None:
    """Refuses what would be lost.

    Raises:
      InputError: the output is a file that is there, of the other sort, named as another kind of file, or lies in the
        input or around it.
    """
    source, target = input_path.resolve(), output.resolve()
    if source == target or source in target.parents or (input_path.is_dir() and target in source.parents):
        raise InputError(f"output {output}: lies in the input or around it; choose another place")
    if input_path.is_file() and output.is_dir():
        raise InputError(f"output {output}: a folder, but the input is a file; name a file")
    if input_path.is_dir() and output.is_file():
        raise InputError(f"output {output}: a file, but the input is a folder; name a folder")
    renamed = input_path.is_file() and output.suffix.lower() != input_path.suffix.lower()
    if renamed and named_format(output) not in (None, format_of(input_path)):
        raise InputError(f"output {output}: would be of another kind, that of {input_path}; give it that ending")
    if output.is_file() and not overwrite:
        raise InputError(f"output {output}: exists already; add --overwrite or choose another")


def preview_path(path: Path, folder: Path) -> Path:
    """The picture of a file that is written into a folder, at any depth of it."""
    return folder / PREVIEWS / f"{path.relative_to(folder)}.png"


def check_unclaimed(output: Path, origin: dict[str, object]) -> None:
    """Raises InputError where a single file would come into a folder that holds another model's files."""
    for folder in output.absolute().parents:
        found = _read_note(folder / STATE)
        if found and "fingerprint" in found and any(found.get(key) != value for key, value in origin.items()):
            raise InputError(
                f"output {output}: {folder} holds what another model or HU range gave; choose another place"
            )


def claim_folder(
    input_path: Path, output: Path, outputs: Iterable[Path], origin: dict[str, object], *, overwrite: bool
) -> None:
    """Leaves a note in an output folder of what its files come from, and removes those of a former note.

    The note comes first: whenever this is broken off, files older than the note are known not to come from its model,
    and the next call removes them.

    Args:
      input_path, output: two folders.
      outputs: the files that are to be written.
      origin: JSON values; a folder with files in it is resumed only if it was claimed with the same ones.
      overwrite: replace what is there.

    Raises:
      InputError: the output holds other files, or another model's.
    """
    state, note = origin | {"input": str(input_path.resolve())}, output / STATE
    found = _read_note(note)
    same = _is_same(found, state)
    others = any(not path.name.startswith(STATE) for path in output.iterdir())  # but the note
    if not same and not overwrite and others:
        raise InputError(
            f"output {output}: holds {'other files' if found is None else 'what another model or input gave'}; "
            "add --overwrite or choose another"
        )
    if found is not None:
        for remains in [path for path in output.rglob(f"{PARTIAL}*") if path.is_file()]:
            remains.unlink()
    former = (found or {}).get("files", ())
    files = {path.relative_to(output).as_posix() for path in outputs} | {str(name) for name in former}
    content = state | {"files": sorted(files)}
    if not same or overwrite:
        write_json(note, content)
    elif content != found:
        claimed = note.stat().st_mtime_ns
        write_json(note, content)
        os.utime(note, ns=(claimed, claimed))
    _remove_former(output, files, None if overwrite else note.stat().st_mtime_ns)


def join_folder(input_path: Path, output: Path, outputs: Iterable[Path], origin: dict[str, object]) -> None:
    """Checks that a folder which another call has claimed is this call's, too; arguments as for `claim_folder`.

    Raises:
      InputError: that call has another model or input, or found other files there.
    """
    found = _read_note(output / STATE)
    if found is None or not _is_same(found, origin | {"input": str(input_path.resolve())}):
        raise InputError(f"output {output}: a call with another model or input writes there; take another")
    if missing := {path.relative_to(output).as_posix() for path in outputs} - set(found["files"]):
        raise InputError(f"input {input_path}: {min(missing)} came after other calls had begun; wait for their end")


def _is_same(found: dict[str, Any] | None, state: dict[str, object]) -> bool:
    return found is not None and {key: found.get(key) for key in found if key != "files"} == state


def _read_note(note: Path) -> dict[str, Any] | None:
    found = read_json(note) if note.is_file() else None
    if found is not None and not isinstance(found, dict):
        raise InputError(f"{note}: not what a call leaves there; remove it or take another folder")
    return found


def _remove_former(output: Path, files: set[str], claimed: int | None) -> None:
    """Removes those of the files, and their pictures, that are older than a claim; all of them where it is None."""
    inside = [Path(name) for name in files if ".." not in Path(name).parts]  # a note may be a third party's
    found = [path for name in inside if (path := output / name).is_file() and output in path.parents]
    former = [path for path in found if claimed is None or path.stat().st_mtime_ns < claimed]
    for path in former:
        path.unlink()
        preview_path(path, output).unlink(missing_ok=True)
    if former:
        logger.warning("output %s: %d files of the call before were removed, to be replaced", output, len(former))


def is_up_to_date(source: Path, output: Path, folder: Path) -> bool:
    """Whether an output file in a claimed folder is newer than that claim and than its source."""
    if not output.is_file():
        return False
    with contextlib.suppress(FileNotFoundError):  # a source that has gone is named when its turn comes
        # The time of the source's last change in any respect: that of its content survives copying.
        changed = max((folder / STATE).stat().st_mtime_ns, source.stat().st_ctime_ns)
        return output.stat().st_mtime_ns >= changed
    return False


def middle_files(paths: list[Path]) -> set[Path]:
    """Of the files of each folder the middle one."""
    groups = (list(group) for _, group in itertools.groupby(sorted(paths), key=lambda path: path.parent))
    return {files[len(files) // 2] for files in groups}
