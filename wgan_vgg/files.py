"""Files that are written whole or not at all: under a temporary name, then renamed. Locks: data_prep.staging."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from wgan_vgg.errors import InputError


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
      InputError: the file is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); remove it or take another folder") from error


def write_json(path: Path, value: Any, *, shared: bool = False) -> None:
    """Writes JSON whole, see write_via."""
    text = json.dumps(value, indent=1) + "\n"
    write_via(path, lambda file: file.write(text.encode()), shared=shared)


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole, see write_bytes."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole, see write_via."""
    write_via(path, lambda file: file.write(content))


def write_via(path: Path, write: Callable[[BinaryIO], object], *, shared: bool = False) -> None:
    """Lets `write` fill a file of a temporary name, then renames: readers see the old one or the new one, whole.

    Where other processes may write the same file (`shared`), that name is this one's own; a kill leaves it behind.

    Raises:
      InputError: it cannot be written.
    """
    partial = path.with_name(f"{path.name}{f'.{os.getpid()}' if shared else ''}.part")
    with translate_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                write(file)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Writing to a full disk raises an error that names no file."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); make room or choose another"
        ) from error
