"""Which of several calls that share an output folder denoises which file."""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from data_prep.staging import locked
from wgan_vgg.errors import InputError
from wgan_vgg.inference.output_files import STATE

CLAIMS = f"{STATE}.claims"  # in a shared output folder, while calls write there
_PATIENCE = 60.0  # seconds for another call to look through the folder and let others in
_UNSHARED_PATIENCE = 2.0  # the same where that call has no file of claims there, so that it shares with nobody
_POLL = 0.1


class Claims:
    """What this process has claimed in an output folder: all of it, unless it is shared.

    A claim in a shared folder is a lock on one byte of a file there, the byte being a hash of what is claimed. The
    system drops it with the process, however that ends, so nobody has to guess whether a silent process lives. (POSIX
    locks: of a process, and known to NFS.)

    Attributes:
      first: whether no other call writes there; true until `let_others_in` for one of several.
    """

    def __init__(self, folder: int | None = None, file: int | None = None, *, first: bool = True) -> None:
        self._folder, self._file, self.first = folder, file, first

    @property
    def shared(self) -> bool:
        """Whether other calls may write there, too."""
        return self._file is not None

    def let_others_in(self) -> None:
        """Ends the time in which a shared folder is the first call's alone."""
        if self._folder is not None:
            fcntl.flock(self._folder, fcntl.LOCK_SH)

    def take(self, name: str) -> bool:
        """Whether `name` is this process's now, or was."""
        if self._file is None:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(name))
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, by the system
            return False
        return True

    def release(self, name: str) -> None:
        """Leaves `name` to others."""
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _byte(name))


@contextlib.contextmanager
def claims_in(folder: Path, *, share: bool) -> Iterator[Claims]:
    """Opens an output folder for this call, alone or with others that share it.

    Raises:
      InputError: another call writes there that does not share it, or the disk cannot lock.
    """
    if not share:
        with locked(folder, f"output {folder}: another call writes there; wait, or give all of them --share"):
            yield Claims()
        return
    with contextlib.ExitStack() as stack:
        handle = os.open(folder, os.O_RDONLY)
        stack.callback(os.close, handle)
        first = _lock_folder(handle, folder)
        file = os.open(folder / CLAIMS, os.O_RDWR | os.O_CREAT, 0o666)
        stack.callback(os.close, file)
        try:
            yield Claims(handle, file, first=first)
        finally:
            with contextlib.suppress(OSError):  # the last one out removes it: nobody can have opened it meanwhile
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (folder / CLAIMS).unlink(missing_ok=True)


def _lock_folder(handle: int, folder: Path) -> bool:
    """Locks a folder, alone if no other call has it (true), else with those that share it."""
    began = time.monotonic()
    while True:
        for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
                return kind == fcntl.LOCK_EX
            except BlockingIOError:
                pass
            except OSError as error:
                raise InputError(
                    f"output {folder}: its disk cannot lock ({error.strerror}); leave out share"
                ) from error
        patience = _PATIENCE if (folder / CLAIMS).exists() else _UNSHARED_PATIENCE
        if time.monotonic() > began + patience:
            raise InputError(f"output {folder}: a call that does not share it writes there; wait, or take another")
        time.sleep(_POLL)


def _byte(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
