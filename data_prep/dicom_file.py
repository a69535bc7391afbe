"""One DICOM file, validated: how it is opened, and the header that pairing needs.

Attributes are those of the DICOM standard, PS3.3, image plane C.7.6.2. pydicom is the optional extra `dicom`.
"""

import contextlib
import dataclasses
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from data_prep.errors import InputError, module_of_extra
from data_prep.hdf5_slices import MAX_SIDE

if TYPE_CHECKING:
    from pydicom import Dataset

_DEFLATED = "1.2.840.10008.1.2.1.99"
_META_BEGIN = 144  # bytes: preamble, DICM and the element that says how long the rest of the file's own header is
_BLOCK = 2**20
_LARGEST_INFLATED = 2**28  # bytes; a slice of 8192x8192 in 16 bits has half as many
_HEADER_TAGS = [
    "Columns",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PatientID",
    "PixelSpacing",
    "Rows",
    "SeriesInstanceUID",
    "SliceLocation",
]


@dataclasses.dataclass(frozen=True)
class SliceHeader:
    """What pairing needs of one file; lengths in mm, None where the file does not say.

    `position` is ImagePositionPatient projected on the slice's normal (on z without ImageOrientationPatient);
    `origin`, `orientation` and `spacing` are ImagePositionPatient, ImageOrientationPatient and PixelSpacing.
    """

    path: Path
    patient_id: str
    series_uid: str
    shape: tuple[int, int]
    position: float | None
    slice_location: float | None
    origin: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None


def load_pydicom() -> ModuleType:
    """pydicom, which only the DICOM source needs.

    Raises:
      InputError: it is not installed.
    """
    return module_of_extra("pydicom", "dicom", "the DICOM source")


@contextlib.contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Turns whatever a malformed file drives pydicom's parser and decoders to into one line that names it."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{path}: not a readable DICOM image ({reason}); copy it again or remove it") from error


def read_dataset(path: Path, **options: Any) -> "Dataset":
    """The file as pydicom's dcmread gives it with these options; a deflated one is measured before it is unpacked.

    Raises:
      InputError: pydicom is missing, or the file would unpack to more than any slice needs.
    """
    pydicom = load_pydicom()
    meta = pydicom.filereader.read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") == _DEFLATED:
        _check_inflated_size(path, _META_BEGIN + int(meta.FileMetaInformationGroupLength))
    return pydicom.dcmread(path, **options)


def _check_inflated_size(path: Path, begin: int) -> None:
    """Raises InputError where a deflated file unpacks to more than any slice needs: pydicom unpacks it at once."""
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as file:
        file.seek(begin)
        while block := file.read(_BLOCK):
            while block and size <= _LARGEST_INFLATED:
                size += len(inflater.decompress(block, _BLOCK))
                block = inflater.unconsumed_tail
            if size > _LARGEST_INFLATED:
                raise InputError(f"{path}: unpacks to more than {_LARGEST_INFLATED:,} bytes; store it uncompressed")


def floats(dataset: "Dataset", name: str, count: int) -> tuple[float, ...] | None:
    """An attribute's `count` finite numbers, None where it is absent or empty; ValueError for something else."""
    value = dataset.get(name)
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if values in ([], [None], [""]):
        return None
    numbers = tuple(map(float, values))
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(f"{name} is {value}, expected {count} finite numbers")
    return numbers


def image_shape(dataset: "Dataset", path: Path) -> tuple[int, int]:
    """Rows and columns; InputError where they are no sides of a slice."""
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if not (0 < rows <= MAX_SIDE and 0 < columns <= MAX_SIDE):
        raise InputError(
            f"{path}: Rows x Columns is {rows} x {columns}, expected sides from 1 to {MAX_SIDE}; remove it"
        )
    return rows, columns


def read_series(path: Path) -> tuple[str, str]:
    """SeriesDescription and SeriesInstanceUID of one file, "" without; projections, which have no place, have them too.

    Raises:
      InputError: not DICOM, or malformed.
    """
    with translate_errors(path):
        tags = ["SeriesDescription", "SeriesInstanceUID"]
        dataset = read_dataset(path, stop_before_pixels=True, specific_tags=list(tags))
        description, uid = (str(dataset.get(tag) or "") for tag in tags)
        return description, uid


def read_header(path: Path) -> SliceHeader:
    """The header of one file; its pixels stay unread.

    Raises:
      InputError: not DICOM (no preamble), malformed, an absurd size, or no position.
    """
    with translate_errors(path):
        dataset = read_dataset(path, stop_before_pixels=True, specific_tags=_HEADER_TAGS)
        origin = floats(dataset, "ImagePositionPatient", 3)
        orientation = floats(dataset, "ImageOrientationPatient", 6)
        location = floats(dataset, "SliceLocation", 1)
        if origin is None and location is None:
            raise InputError(
                f"{path}: neither ImagePositionPatient nor SliceLocation: the slice has no position; remove it"
            )
        normal = np.cross(orientation[:3], orientation[3:]) if orientation else np.array([0.0, 0.0, 1.0])
        if not np.isclose(np.linalg.norm(normal), 1, atol=1e-2):
            raise ValueError(f"ImageOrientationPatient is {orientation}, expected two orthogonal unit vectors")
        return SliceHeader(
            path,
            str(dataset.get("PatientID") or ""),
            str(dataset.get("SeriesInstanceUID") or ""),
            image_shape(dataset, path),
            float(np.dot(origin, normal)) if origin else None,
            location[0] if location else None,
            origin,
            orientation,
            floats(dataset, "PixelSpacing", 2),
        )
