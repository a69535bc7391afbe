"""A CT slice's stored values, padding and Hounsfield units in DICOM, validated.

Attributes are those of the DICOM standard, PS3.3: image pixel C.7.6.3, pixel padding C.7.5.1.1.2, rescale C.8.2.1.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_prep.dicom_file import floats, image_shape, read_dataset, translate_errors
from data_prep.errors import InputError, NotAnImage
from data_prep.hu import PADDING_HU, HuScale

if TYPE_CHECKING:
    from pydicom import Dataset

_MOST_PIXELS = 2**30  # of all frames of a file


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
        dataset = read_dataset(path)
        _check_ct(dataset, path)
        shape = image_shape(dataset, path)  # before decoding, which is where a false header would cost memory
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
        dataset = read_dataset(path)
        _check_ct(dataset, path)
        shape, count = image_shape(dataset, path), int(dataset.NumberOfFrames)
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
        raise InputError(f"{path}: pixels {raw.shape} of type {raw.dtype}, expected whole numbers {shape}; remove it")
    return raw


def _stored_slice(dataset: "Dataset", raw: np.ndarray, rescaled_by: "Dataset", path: Path) -> StoredSlice:
    """One slice of a file; `rescaled_by` has its RescaleSlope and RescaleIntercept."""
    slopes, intercepts = (floats(rescaled_by, name, 1) for name in ("RescaleSlope", "RescaleIntercept"))
    if slopes is None or intercepts is None or slopes == (0.0,):
        raise InputError(
            f"{path}: RescaleSlope or RescaleIntercept is missing or zero: its values have no HU; remove it"
        )
    (slope,), (intercept,) = slopes, intercepts
    unused = raw.dtype.itemsize * 8 - int(dataset.BitsStored)
    stored = (raw << unused) >> unused  # an arithmetic shift, which also extends the sign
    padding = _padding(dataset, raw) | _padding(dataset, stored)
    found = StoredSlice(dataset, raw, stored, padding, slope, intercept)
    if not np.isfinite(found.hu(PADDING_HU)).all():
        raise InputError(
            f"{path}: its HU are not finite (RescaleSlope {slope}, RescaleIntercept {intercept}); remove it"
        )
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
        raise InputError(
            f"{path}: {photometric} with {samples} samples per pixel, expected MONOCHROME2 with 1; remove it"
        )
    allocated, bits, high = (int(dataset[name].value) for name in ("BitsAllocated", "BitsStored", "HighBit"))
    if not 1 <= bits <= allocated or high != bits - 1:
        raise InputError(
            f"{path}: BitsAllocated {allocated}, BitsStored {bits}, HighBit {high} do not fit together; remove it"
        )


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
