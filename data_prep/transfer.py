"""A resumable download of one file, and safe unpacking of one zip: what download.py is made of."""

import contextlib
import dataclasses
import os
import re
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from data_prep.digests import digest
from data_prep.errors import InputError, module_of_extra
from data_prep.progress import Progress

CHUNK = 1 << 16  # what a break of the connection may lose
ENOUGH = 1 << 20  # a connection that brought this much was a good one: the count of failures starts anew
RETRIES = 4
BACK_OFF = 1.0  # seconds before the first retry, doubled for each further one
TIMEOUT = (10, 60)  # seconds to connect, and between two bytes
BUSY = (408, 425, 429)  # besides 5xx, the answers after which the same request may succeed
UNKNOWN_SIZE_LIMIT = 16 << 20  # where no size is known: a server that sends on and on is cut off here


def import_requests() -> ModuleType:
    """requests, which is needed for nothing but downloads.

    Raises:
      InputError: it is not installed.
    """
    return module_of_extra("requests", "download", "downloading")


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file as its publisher describes it; `size` is None where unknown, `source` says who gave the md5."""

    url: str
    size: int | None
    md5: str
    source: str


@dataclasses.dataclass(frozen=True)
class Contents:
    """What an archive may hold: files of this form of name, so many at most, of so many bytes each."""

    pattern: str
    max_members: int
    max_bytes: int


def partial(path: Path) -> Path:
    """The temporary name under which `path` comes into being."""
    return path.with_name(f"{path.name}.part")


def size_of(path: Path) -> int:
    """Bytes of a file, 0 if there is none."""
    return path.stat().st_size if path.is_file() else 0


def fetch(session: Any, remote: RemoteFile, path: Path, progress: Progress) -> None:
    """Makes `path` exist with the right md5, going on from `NAME.part` if an earlier run left one.

    Raises:
      InputError: the server is out of reach or refuses, or the md5 is wrong. A wrong download is removed; a wrong
        file that lay at `path` before is the user's, and stays.
    """
    theirs = path.exists()
    candidate = path if theirs else _whole_download(session, remote, path, progress)
    progress(f"checking {path.name}", 0, size_of(candidate))
    actual = digest(candidate, "md5")
    if actual == remote.md5:
        candidate.replace(path)
        return
    found = f"{path}: got md5 {actual} ({size_of(candidate)} bytes), expected {remote.md5} from {remote.source}"
    if theirs:
        raise InputError(f"{found}; move this file away or choose another folder")
    candidate.unlink()
    raise InputError(f"{found}; the wrong download was removed, the same command fetches it anew")


def _whole_download(session: Any, remote: RemoteFile, path: Path, progress: Progress) -> Path:
    requests = import_requests()
    part, failures = partial(path), 0
    while True:
        # Without a size there is no telling whether the remains are the whole file; such files are small.
        if remote.size is None or size_of(part) > remote.size:
            part.unlink(missing_ok=True)
        start = size_of(part)
        if start == remote.size:
            return part
        try:
            _stream(session, remote, part, start, lambda done: progress(path.name, done, remote.size or 0))
            return part
        except requests.RequestException as error:
            why = str(error) if isinstance(error, requests.HTTPError) else type(error).__name__
        kept = size_of(part)
        failures = 1 if kept - start >= ENOUGH else failures + 1
        if failures > RETRIES:
            raise InputError(
                f"{remote.url}: broken off ({why}), also after {RETRIES} retries; {kept} of "
                f"{remote.size or 'unknown'} bytes are kept in {part}, and the same command resumes from there"
            )
        time.sleep(BACK_OFF * 2 ** (failures - 1))


def _stream(session: Any, remote: RemoteFile, part: Path, start: int, progress: Callable[[int], None]) -> None:
    requests = import_requests()
    # identity: a compressed transfer would make nonsense of the range and of the count of bytes
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with session.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        code = response.status_code
        if code in BUSY or code >= 500:
            raise requests.HTTPError(f"HTTP {code}")
        given = response.headers.get("Content-Range", "")
        if code == 416 or (code == 206 and not given.startswith(f"bytes {start}-")):
            part.unlink(missing_ok=True)  # it cannot be continued
            raise requests.HTTPError(f"HTTP {code} with range {given!r}")
        if code not in (200, 206):
            raise InputError(f"{remote.url}: the server answers HTTP {code}; try a browser, or the same command later")
        start = start if code == 206 else 0  # with 200 the whole file comes, whatever was asked for
        done = start
        with part.open("ab" if start else "wb") as out:
            for chunk in response.iter_content(CHUNK):
                out.write(chunk)
                done += len(chunk)
                progress(done)
                if done > (remote.size or UNKNOWN_SIZE_LIMIT):
                    return  # too long: the checksum will be wrong
        # A file that is whole on the server, but too short, is for the checksum to find.
        if done < (remote.size or 0) and response.headers.get("Content-Length") != str(done - start):
            raise requests.ConnectionError("the end is missing")


def list_members(archive: Path, contents: Contents) -> dict[str, int]:
    """Names and unpacked bytes of an archive's members, all of which are as `contents` says.

    Raises:
      InputError: not a whole zip, or a member that does not belong there.
    """
    with _opened(archive) as file:
        return {info.filename: info.file_size for info in _checked_members(file, archive, contents)}


def unpack(archive: Path, contents: Contents, progress: Progress) -> dict[str, int]:
    """Unpacks all members beside the archive, or none: no name appears before the last byte of all is checked.

    Returns:
      The members' names and sizes.

    Raises:
      InputError: not a whole zip, or a member that does not belong there.
    """
    with _opened(archive) as file:
        members = {archive.with_name(i.filename): i for i in _checked_members(file, archive, contents)}
        total, done = sum(info.file_size for info in members.values()), 0
        try:
            for path, info in members.items():
                with file.open(info) as source, partial(path).open("wb") as out:
                    left = info.file_size
                    while chunk := source.read(CHUNK):
                        left -= len(chunk)
                        if left < 0:
                            break
                        out.write(chunk)
                        done += len(chunk)
                        progress(f"unpacking {archive.name}", done, total)
                    if left:
                        raise zipfile.BadZipFile(f"{info.filename} has not the {info.file_size} bytes it declares")
                    out.flush()
                    os.fsync(out.fileno())  # the receipt, written next, must not outlive the data
            for path in members:
                partial(path).replace(path)
        finally:
            for path in members:
                partial(path).unlink(missing_ok=True)
    return {path.name: info.file_size for path, info in members.items()}


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as file:
            yield file
    except InputError:
        raise
    # All that zipfile lets through when a header lies: RuntimeError is encryption or an unknown method.
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError) as error:
        raise InputError(f"{archive}: not a whole zip archive ({error}); remove it and fetch it again") from error


def _checked_members(file: zipfile.ZipFile, archive: Path, contents: Contents) -> list[zipfile.ZipInfo]:
    def refuse(why: str) -> InputError:
        return InputError(f"{archive}: {why}; nothing was unpacked, remove this archive")

    infos = file.infolist()
    if not 0 < len(infos) <= contents.max_members:
        raise refuse(f"has {len(infos)} members, expected 1 to {contents.max_members}")
    seen = set()
    for info in infos:
        mode = stat.S_IFMT(info.external_attr >> 16)
        if not re.fullmatch(contents.pattern, info.filename) or mode not in (0, stat.S_IFREG):
            raise refuse(f"member {info.filename!r} is not a plain file of the form {contents.pattern}")
        if info.filename in seen:
            raise refuse(f"member {info.filename!r} occurs twice")
        if info.file_size > contents.max_bytes:
            raise refuse(f"member {info.filename!r} has {info.file_size} bytes, expected {contents.max_bytes} at most")
        seen.add(info.filename)
    return infos
