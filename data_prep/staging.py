"""A folder that appears whole, by one rename, or not at all."""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from data_prep.errors import InputError


def check_free(output_dir: Path) -> None:
    """Raises InputError unless `output_dir` is still to be made, or an empty folder, where a folder can be made.

    Long work should begin with this.
    """
    # "." has no name that a folder could take.
    if output_dir.exists() and (not output_dir.name or not output_dir.is_dir() or any(output_dir.iterdir())):
        raise InputError(f"output_dir {output_dir}: exists already; remove it or choose another")
    parent = next(folder for folder in output_dir.absolute().parents if folder.exists())
    with translate_write_errors(f"output_dir {output_dir}"):
        Path(tempfile.mkdtemp(prefix=_prefix(output_dir), dir=parent)).rmdir()


def check_replaced(output_dir: Path, ours: Callable[[Path], bool], source: Path, *, overwrite: bool) -> None:
    """Refuses a folder that is there, unless it is to be replaced and nothing else can be lost with it.

    Args:
      output_dir: the folder.
      ours: whether a folder is of the sort that replaces it.
      source: what the new one is made of.
      overwrite: replace what is there.

    Raises:
      InputError: it may not be replaced.
    """
    if not output_dir.exists():
        return
    if not overwrite:
        raise InputError(f"output_dir {output_dir}: exists already; add --overwrite or choose another")
    if output_dir.resolve() in (source.resolve(), *source.resolve().parents):
        raise InputError(f"output_dir {output_dir}: {source}, which it would be made of, lies there; choose another")
    if not output_dir.is_dir() or (any(output_dir.iterdir()) and not ours(output_dir)):
        raise InputError(f"output_dir {output_dir}: holds something else; remove it or choose another")


def disk(path: Path) -> Path:
    """The mount point of the disk on which `path` lies or will lie."""
    return next(folder for folder in (path.resolve(), *path.resolve().parents) if folder.is_mount())


@contextlib.contextmanager
def translate_disk_errors(place: str, folder: Path) -> Iterator[None]:
    """Turns the errors of a full disk, that of `folder`, into one line that names `place`.

    Raises:
      InputError: the disk is full.
    """
    try:
        yield
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise InputError(f"{place}: no space left on the disk {disk(folder)}; free some or choose another") from error


@contextlib.contextmanager
def locked(folder: Path, taken: str) -> Iterator[None]:
    """Keeps a folder for this process while the block runs; the lock goes with the process, however it ends.

    On NFS, which keeps the locks of folders to one host, it holds among the processes of that host.

    Raises:
      InputError: another process has it; the message is `taken`.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(taken) from error
        except OSError:
            pass  # some network file systems cannot lock a folder
        yield
    finally:
        os.close(handle)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that a disk or a quota is full, or a file as large as it may be."""
    # TensorFlow's writers report the same thing as ResourceExhaustedError.
    return (
        getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        or type(error).__name__ == "ResourceExhaustedError"
        or "File too large" in str(error)
    )


@contextlib.contextmanager
def temporary_folder(parent: Path, prefix: str, place: str) -> Iterator[Path]:
    """A folder of a new name in `parent`, gone after the block; makes `parent` if need be.

    What killed runs left behind under the same prefix is swept: a living run holds a lock on its folder.

    Args:
      parent, prefix: where the folder is, and how its name begins.
      place: what errors call it.

    Raises:
      InputError: the folder cannot be written, or its disk is full.
    """
    with translate_write_errors(place):
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent, prefix)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with translate_disk_errors(place, parent):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextlib.contextmanager
def staged_folder(output_dir: Path, *, replace: bool = False) -> Iterator[Path]:
    """A temporary folder beside `output_dir` that takes its name if the block ends well and vanishes if not.

    With `replace` an older folder of that name goes once the new one is whole.

    Raises:
      InputError: `output_dir` is taken or cannot be written, or its disk is full.
    """
    place, old = f"output_dir {output_dir}", _replaced(output_dir)
    if not replace:
        check_free(output_dir)
    with temporary_folder(output_dir.parent, _prefix(output_dir), place) as folder:
        with translate_write_errors(place):
            _restore_replaced(output_dir)
        yield folder
        with translate_write_errors(place):
            folder.chmod(0o755)  # mkdtemp makes it private
            if replace and output_dir.exists():
                output_dir.rename(old)  # a kill between the two renames leaves both folders whole
            folder.rename(output_dir)
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def translate_write_errors(place: str) -> Iterator[None]:
    """Turns an error of the operating system into one line that names the place."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{place}: cannot be written ({error.strerror or error}); choose another") from error


def link_or_copy(file: Path, target: Path) -> None:
    """The same file under a second name, or on a disk without hard links a copy."""
    try:
        target.hardlink_to(file)
    except OSError:
        shutil.copy2(file, target)


def _prefix(output_dir: Path) -> str:
    return f".{output_dir.name}.partial-"


def _replaced(output_dir: Path) -> Path:
    return output_dir.parent / f".{output_dir.name}.replaced"


def _restore_replaced(output_dir: Path) -> None:
    """Undoes a replacement that was killed between its two renames, or finishes one killed after them."""
    old = _replaced(output_dir)
    if old.exists() and not output_dir.exists():
        old.rename(output_dir)
    shutil.rmtree(old, ignore_errors=True)


def _sweep(parent: Path, prefix: str) -> None:
    for remains in [path for path in parent.iterdir() if path.name.startswith(prefix)]:
        handle = os.open(remains, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(remains, ignore_errors=True)
        except BlockingIOError:
            pass  # a run that is still alive
        finally:
            os.close(handle)
