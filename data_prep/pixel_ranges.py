"""Where each record's pixels lie in its shard, so that a patch can be read without the rest of its record."""

import dataclasses
import functools
import os
import struct
from pathlib import Path
from typing import Final

import numpy as np

from data_prep.errors import InputError
from data_prep.tfrecords import Record

# A TFRecord: its length as a uint64, that number's checksum of 4 bytes, the record, its checksum of 4 bytes.
_LENGTH: Final = struct.Struct("<Q")
_BEFORE: Final = 12
_AFTER: Final = 4


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Of all records of one image shape; other features stand behind the images, being sorted by name."""

    prefix: bytes  # what stands between the length of all features and the first pixel of low_dose
    between: int  # bytes from there to the first pixel of normal_dose


@functools.cache
def _layout(image_shape: tuple[int, int]) -> _Layout:
    low_dose, normal_dose = np.full(image_shape, 1, np.float32), np.full(image_shape, 2, np.float32)
    example = Record(low_dose, normal_dose, None, 0, "").serialize()
    first, second = example.index(low_dose.tobytes()), example.index(normal_dose.tobytes())
    return _Layout(example[1 + _varint_width(example) : first], second - first)


def _varint_width(example: bytes) -> int:
    """Bytes of the number that follows the first byte: the last one has no high bit."""
    return next(width for width in range(1, 11) if width == 10 or example[width] < 0x80)


def pixel_positions(path: Path, image_shape: tuple[int, int]) -> np.ndarray:
    """Where the first pixels of low_dose and normal_dose of each record of a shard lie, in bytes: (records, 2).

    Reads some 70 bytes of each record, and no pixels.

    Raises:
      InputError: a record is not laid out as Record.serialize does it, or the file ends within one.
    """
    layout = _layout(image_shape)
    found: list[tuple[int, int]] = []
    with path.open("rb", buffering=0) as file:
        size, start = os.fstat(file.fileno()).st_size, 0
        while start < size:
            head = os.pread(file.fileno(), _BEFORE + 11 + len(layout.prefix), start)
            example = head[_BEFORE:]
            end = start + _BEFORE + _LENGTH.unpack_from(head)[0] + _AFTER if len(head) > _BEFORE + 11 else size + 1
            skipped = 1 + _varint_width(example) if end <= size else 0
            if end > size or not example.startswith(layout.prefix, skipped):
                raise InputError(
                    f"{path}: record {len(found)} is not as experiments.prepare lays it out; prepare the data again"
                )
            low_dose = start + _BEFORE + skipped + len(layout.prefix)
            found.append((low_dose, low_dose + layout.between))
            start = end
    return np.array(found, np.int64).reshape(-1, 2)
