"""Which of several calls that share an output folder denoises which file."""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from wgan_vgg.errors import InputError
from wgan_vgg.files import translate_errors
from wgan_vgg.image_files.find import STATE

LOCK = f"{STATE}.lock"  # in an output folder, while calls write there
CLAIMS = f"{STATE}.claims"  # the same in a shared one
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

    def __init__(self, lock: int | None = None, file: int | None = None, *, first: bool = True) -> None:
        self._lock, self._file, self.first = lock, file, first

    @property
    def shared(self) -> bool:
        """Whether other calls may write there, too."""
        return self._file is not None

    def let_others_in(self) -> None:
        """Ends the time in which a shared folder is the first call's alone."""
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_SH)

    def take(self, name: str) -> bool:
        """Whether `name`, the same in all calls, is this process's now, or was."""
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
    lock, first = _lock_with_others(folder) if share else (_lock_alone(folder), True)
    with contextlib.ExitStack() as stack:
        stack.callback(_unlock, lock, folder)
        if not share:
            yield Claims()
            return
        file = os.open(folder / CLAIMS, os.O_RDWR | os.O_CREAT, 0o666)
        stack.callback(os.close, file)
        yield Claims(lock, file, first=first)


def _lock_alone(folder: Path) -> int | None:
    """Locks a folder for one call; None where its disk cannot."""
    try:
        lock = _lock(folder, fcntl.LOCK_EX)
    except OSError:
        (folder / LOCK).unlink(missing_ok=True)
        return None
    if lock is None:
        raise InputError(f"output {folder}: another call writes there; wait, or give all of them --share")
    return lock


def _lock_with_others(folder: Path) -> tuple[int, bool]:
    """Locks a folder, alone if no other call has it (true), else with those that share it."""
    began = time.monotonic()
    while True:
        for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
            try:
                lock = _lock(folder, kind)
            except OSError as error:
                raise InputError(
                    f"output {folder}: its disk cannot lock ({error.strerror}); leave out share"
                ) from error
            if lock is not None:
                return lock, kind == fcntl.LOCK_EX
        patience = _PATIENCE if (folder / CLAIMS).exists() else _UNSHARED_PATIENCE
        if time.monotonic() > began + patience:
            raise InputError(f"output {folder}: a call that does not share it writes there; wait, or take another")
        time.sleep(_POLL)


def _lock(folder: Path, kind: int) -> int | None:
    """Opens and locks a folder's file of locks; None where another call's lock is in the way.

    A file's lock, since NFS keeps that of a folder to one host; by flock, since lockf takes the calls of a process for
    one.
    """
    while True:
        with contextlib.ExitStack() as stack:
            with translate_errors(folder / LOCK):
                handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            stack.callback(os.close, handle)
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            with contextlib.suppress(FileNotFoundError):  # the last call out has removed it meanwhile: once more
                if os.path.samestat(os.fstat(handle), (folder / LOCK).stat()):
                    stack.pop_all()
                    return handle


def _unlock(lock: int | None, folder: Path) -> None:
    """Leaves a folder; the last one out removes the files of locks and claims."""
    if lock is None:
        return
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name in (CLAIMS, LOCK):
            (folder / name).unlink(missing_ok=True)
    os.close(lock)


def _byte(name: str) -> int:
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:7])
