"""One CT slice in DICOM: its header and its Hounsfield units, read with distrust.

Attributes are those of the DICOM standard, PS3.3: image plane C.7.6.2, image pixel C.7.6.3, pixel padding C.7.5.1.1.2,
rescale C.8.2.1. pydicom is the optional extra `dicom`.
"""

import contextlib
import dataclasses
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from data_prep.errors import InputError, NotAnImage, install
from data_prep.hdf5_slices import MAX_SIDE
from data_prep.hu import PADDING_HU, HuScale

if TYPE_CHECKING:
    from pydicom import Dataset

_DEFLATED = "1.2.840.10008.1.2.1.99"
_META_BEGIN = 144  # bytes: preamble, DICM and the element that says how long the rest of the file's own header is
_BLOCK = 2**20
_MOST_PIXELS = 2**30  # of all frames of a file
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
    try:
        import pydicom
    except ImportError as error:
        raise InputError(f"the DICOM source needs pydicom: {install('dicom')}") from error
    return pydicom


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


def _read(path: Path, **options: Any) -> "Dataset":
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


def _floats(dataset: "Dataset", name: str, count: int) -> tuple[float, ...] | None:
    value = dataset.get(name)
    if value is None or value == "" or (count > 1 and len(value) == 0):
        return None
    numbers = tuple(float(v) for v in (value if count > 1 else [value]))
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(f"{name} is {value}, expected {count} finite numbers")
    return numbers


def _shape(dataset: "Dataset", path: Path) -> tuple[int, int]:
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if not (0 < rows <= MAX_SIDE and 0 < columns <= MAX_SIDE):
        raise InputError(f"{path}: Rows x Columns is {rows} x {columns}, expected sides from 1 to {MAX_SIDE}")
    return rows, columns


def read_description(path: Path) -> str:
    """SeriesDescription of one file, "" without; projections, which have no slice position, have one too.

    Raises:
      InputError: not DICOM, or malformed.
    """
    with translate_errors(path):
        dataset = _read(path, stop_before_pixels=True, specific_tags=["SeriesDescription"])
        return str(dataset.get("SeriesDescription") or "")


def read_header(path: Path) -> SliceHeader:
    """The header of one file; its pixels stay unread.

    Raises:
      InputError: not DICOM (no preamble), malformed, an absurd size, or no position.
    """
    with translate_errors(path):
        dataset = _read(path, stop_before_pixels=True, specific_tags=_HEADER_TAGS)
        origin = _floats(dataset, "ImagePositionPatient", 3)
        orientation = _floats(dataset, "ImageOrientationPatient", 6)
        location = _floats(dataset, "SliceLocation", 1)
        if origin is None and location is None:
            raise InputError(f"{path}: neither ImagePositionPatient nor SliceLocation: the slice has no position")
        normal = np.cross(orientation[:3], orientation[3:]) if orientation else np.array([0.0, 0.0, 1.0])
        if not np.isclose(np.linalg.norm(normal), 1, atol=1e-2):
            raise ValueError(f"ImageOrientationPatient is {orientation}, expected two orthogonal unit vectors")
        return SliceHeader(
            path,
            str(dataset.get("PatientID") or ""),
            str(dataset.get("SeriesInstanceUID") or ""),
            _shape(dataset, path),
            float(np.dot(origin, normal)) if origin else None,
            location[0] if location else None,
            origin,
            orientation,
            _floats(dataset, "PixelSpacing", 2),
        )


@dataclasses.dataclass(frozen=True)
class StoredSlice:
    """One slice as its file has it.

    Attributes:
      dataset: all of the file.
      raw: what the file's bytes say, of the type of its allocated bits, shape (rows, columns).
      stored: the same with the bits that BitsStored leaves unused cut off.
      padding: where the values, by PixelPaddingValue (up to PixelPaddingRangeLimit, if there), are no measurement.
      slope, intercept: HU = slope * stored + intercept.
    """

    dataset: "Dataset"
    raw: np.ndarray
    stored: np.ndarray
    padding: np.ndarray
    slope: float
    intercept: float

    def hu(self, padding_hu: float) -> np.ndarray:
        """Hounsfield units, float32 (rows, columns), not checked for being finite; padding becomes `padding_hu`."""
        with np.errstate(over="ignore"):
            hu = HuScale(self.slope, self.intercept).to_hu(self.stored.astype(np.float64)).astype(np.float32)
        hu[self.padding] = padding_hu
        return hu


def read_hu(path: Path, padding_hu: float = PADDING_HU) -> np.ndarray:
    """One slice in Hounsfield units, see StoredSlice; padding becomes `padding_hu`.

    Returns:
      float32 (rows, columns), finite.

    Raises:
      InputError: as read_stored.
    """
    return read_stored(path).hu(padding_hu)


def read_stored(path: Path) -> StoredSlice:
    """One slice with all of its file; BitsStored and PixelRepresentation decide how stored values are read.

    Raises:
      NotAnImage: another modality than CT, or other values than HU.
      InputError: not a readable DICOM image, multi-frame, not one grey channel, an absurd size, no rescale slope
        or intercept, or HU that are not finite.
    """
    with translate_errors(path):
        dataset = _read(path)
        _check_ct(dataset, path)
        shape = _shape(dataset, path)  # before decoding, which is where a false header would cost memory
        _check_image(dataset, path)
        if (frames := int(dataset.get("NumberOfFrames") or 1)) != 1:
            raise InputError(f"{path}: {frames} frames, expected one slice a file; split it into single slices")
        return _stored_slice(dataset, _raw_pixels(dataset, path, shape), dataset, path)


def read_frames(path: Path) -> list[StoredSlice]:
    """Every frame of an Enhanced CT image (PS3.3, A.38), all of them with the whole file as their `dataset`.

    Raises:
      InputError: as read_stored; also more pixels than are held in memory.
    """
    with translate_errors(path):
        dataset = _read(path)
        _check_ct(dataset, path)
        shape, count = _shape(dataset, path), int(dataset.NumberOfFrames)
        _check_image(dataset, path)
        if not 0 < count * shape[0] * shape[1] <= _MOST_PIXELS:
            raise InputError(
                f"{path}: {count} frames of {shape[0]}x{shape[1]}, expected {_MOST_PIXELS:,} pixels at most"
            )
        raw = _raw_pixels(dataset, path, (count, *shape) if count > 1 else shape).reshape(count, *shape)
        groups = [frame_group(dataset, number, "PixelValueTransformationSequence") for number in range(count)]
        for group in groups:
            _check_ct(group or dataset, path)
        return [_stored_slice(dataset, image, group or dataset, path) for image, group in zip(raw, groups, strict=True)]


def frame_group(dataset: "Dataset", number: int, name: str) -> "Dataset | None":
    """A functional group of a frame, by the name of its sequence: the frame's own, else the one that all share."""
    shared, frames = (dataset.get(f"{kind}FunctionalGroupsSequence") for kind in ("Shared", "PerFrame"))
    for groups in (frames[number] if frames else None, shared[0] if shared else None):
        if groups is not None and groups.get(name):
            return groups[name].value[0]
    return None


def _raw_pixels(dataset: "Dataset", path: Path, shape: tuple[int, ...]) -> np.ndarray:
    # Padding may lie in bits that BitsStored says are unused, so these are not cut off yet.
    dataset.pixel_array_options(correct_unused_bits=False)
    raw = dataset.pixel_array
    if raw.shape != shape or raw.dtype.kind not in "iu":
        raise InputError(f"{path}: pixels {raw.shape} of type {raw.dtype}, expected whole numbers {shape}")
    return raw


def _stored_slice(dataset: "Dataset", raw: np.ndarray, rescaled_by: "Dataset", path: Path) -> StoredSlice:
    """One slice of a file; `rescaled_by` has its RescaleSlope and RescaleIntercept."""
    slopes, intercepts = (_floats(rescaled_by, name, 1) for name in ("RescaleSlope", "RescaleIntercept"))
    if slopes is None or intercepts is None or slopes == (0.0,):
        raise InputError(f"{path}: RescaleSlope or RescaleIntercept is missing or zero: its values have no HU")
    (slope,), (intercept,) = slopes, intercepts
    unused = raw.dtype.itemsize * 8 - int(dataset.BitsStored)
    stored = (raw << unused) >> unused  # an arithmetic shift, which also extends the sign
    padding = _padding(dataset, raw) | _padding(dataset, stored)
    found = StoredSlice(dataset, raw, stored, padding, slope, intercept)
    if not np.isfinite(found.hu(PADDING_HU)).all():
        raise InputError(f"{path}: its HU are not finite (RescaleSlope {slope}, RescaleIntercept {intercept})")
    return found


def _check_ct(dataset: "Dataset", path: Path) -> None:
    """Raises NotAnImage for a sound file of another modality, or whose rescaled values are something else than HU."""
    modality, unit = (str(dataset.get(name) or "") for name in ("Modality", "RescaleType"))
    if modality not in ("", "CT"):
        raise NotAnImage(f"{path}: its Modality is {modality}, not CT; remove it")
    if unit not in ("", "HU"):
        raise NotAnImage(f"{path}: its RescaleType is {unit}, not HU; remove it")


def _check_image(dataset: "Dataset", path: Path) -> None:
    samples = int(dataset.get("SamplesPerPixel") or 1)
    photometric = str(dataset.get("PhotometricInterpretation"))
    if samples != 1 or not photometric.startswith("MONOCHROME"):
        raise InputError(f"{path}: {photometric} with {samples} samples per pixel, expected MONOCHROME2 with 1")
    allocated, bits, high = (int(dataset[name].value) for name in ("BitsAllocated", "BitsStored", "HighBit"))
    if not 1 <= bits <= allocated or high != bits - 1:
        raise InputError(f"{path}: BitsAllocated {allocated}, BitsStored {bits}, HighBit {high} do not fit together")


def padding_range(dataset: "Dataset", dtype: np.dtype) -> tuple[int, int] | None:
    """The lowest and the highest value, of the pixels' own type, that the file says are padding; None without."""
    if dataset.get("PixelPaddingValue") is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = [int(dataset.PixelPaddingValue), int(dataset.PixelPaddingValue if limit is None else limit)]
    # The type wraps it as the pixels themselves are: files say 63536 for a signed -2000.
    low, high = sorted(np.array(ends).astype(dtype).tolist())
    return low, high


def _padding(dataset: "Dataset", values: np.ndarray) -> np.ndarray:
    ends = padding_range(dataset, values.dtype)
    return np.zeros(values.shape, bool) if ends is None else (values >= ends[0]) & (values <= ends[1])
