"""Denoised DICOM slices: the file they come from, with new pixels, and with all that no longer holds changed.

Attributes are those of the DICOM standard, PS3.3: general image C.7.6.1, general series C.7.3.1, SOP common C.12.1.
"""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

import wgan_vgg
from data_prep.dicom_file import floats, load_pydicom, translate_errors
from data_prep.dicom_pixels import StoredSlice, padding_range, read_stored
from wgan_vgg.errors import InputError, NotAnImage
from wgan_vgg.image_files.slices import Options, Slices, StoredScale

if TYPE_CHECKING:
    from pydicom import Dataset

NOTICE = "not for diagnostic use"
_TEXT_LENGTH, _SERIES_LENGTH = 1024, 64  # of the value representations ST and LO
_SERIES_NUMBERS = 1000  # are added to the old one: denoised series stand behind the scanner's own
# PS3.3, C.7.6.1.1.5.1, by transfer syntax.
_LOSSY_METHODS = {
    **dict.fromkeys(("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"), "ISO_10918_1"),
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}
_MAYBE_LOSSLESS = ("1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203")  # where the file says that it is
# True of the old pixels or of the old file only: extremes, thumbnail, signatures, when and by what it was made.
_OUTDATED = (
    *("SmallestImagePixelValue", "LargestImagePixelValue", "SmallestPixelValueInSeries", "LargestPixelValueInSeries"),
    *("IconImageSequence", "MACParametersSequence", "DigitalSignaturesSequence"),
    *("InstanceCreationDate", "InstanceCreationTime", "InstanceCreatorUID"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    # Of a multi-frame image that is a part of a larger one, C.7.6.16: what is derived of it is whole.
    *("ConcatenationUID", "SOPInstanceUIDOfConcatenationSource", "ConcatenationFrameOffsetNumber"),
    *("InConcatenationNumber", "InConcatenationTotalNumber"),
)


class DicomSlices(Slices):
    """One slice per file."""

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path)
        self._options = options

    def read(self, index: int) -> np.ndarray:  # noqa: ARG002
        self._slice = read_stored(self.path)
        if "LOCALIZER" in (self._slice.dataset.get("ImageType") or ()):
            raise NotAnImage(f"{self.path}: a localizer, not a slice; remove it")
        for name in ("SOPClassUID", "SOPInstanceUID"):
            if not self._slice.dataset.get(name):
                raise InputError(f"{self.path}: no {name}, by which its denoised image would refer to it; remove it")
        self.series_uid = str(self._slice.dataset.get("SeriesInstanceUID") or "")
        self.instance_uid = str(self._slice.dataset.SOPInstanceUID)
        with translate_errors(self.path):
            self.spacing_mm = spacing(self._slice.dataset)
            position = floats(self._slice.dataset, "ImagePositionPatient", 3)
        self.position_mm = position[2] if position else None
        return self._slice.hu(self._options.padding_hu)

    def write(self, index: int, hu: np.ndarray) -> None:  # noqa: ARG002
        self._pixels = new_pixels(self._slice, hu)

    def _end(self, partial: Path) -> None:
        with translate_errors(self.path):  # what pydicom reads it may yet refuse to write
            content = described(self._slice.dataset, self._pixels, self._options)
        partial.write_bytes(content)


def new_pixels(old: StoredSlice, hu: np.ndarray) -> np.ndarray:
    """What a slice's file is to hold for denoised HU (height, width); padding stays what it was."""
    bits, signed = int(old.dataset.BitsStored), old.raw.dtype.kind == "i"
    low = -(2 ** (bits - 1)) if signed else 0
    scale = StoredScale(old.slope, old.intercept, old.raw.dtype, low, low + 2**bits - 1)
    stored = _off_padding(old.dataset, scale.to_stored(hu), scale).astype(old.raw.dtype)
    # What did not change keeps its unused bits too.
    return np.where(old.padding | (stored == old.stored), old.raw, stored)


def described(
    dataset: "Dataset", pixels: np.ndarray, options: Options, more: Callable[[], None] = lambda: None
) -> bytes:
    """The file's bytes with other pixels, and with a header that says so; `more` is done to it before it is written."""
    content = io.BytesIO()
    _note_lossy(dataset)
    _set_pixels(dataset, pixels)
    _describe(dataset, options)
    more()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def spacing(dataset: "Dataset") -> float | None:
    """The side of a pixel in mm (of an oblong one the geometric mean); None where the file does not say.

    Raises:
      ValueError: it says something else than two numbers.
    """
    sides = floats(dataset, "PixelSpacing", 2)
    return math.sqrt(math.prod(sides)) if sides and min(sides) > 0 else None


def _off_padding(dataset: "Dataset", stored: np.ndarray, scale: StoredScale) -> np.ndarray:
    """A measurement must not become padding: values there go just above it, or below where there is no above."""
    low, high = padding_range(dataset, stored.dtype) or (1, 0)
    return np.where((stored >= low) & (stored <= high), high + 1 if high < scale.high else low - 1, stored)


def _set_pixels(dataset: "Dataset", pixels: np.ndarray) -> None:
    """Stores pixels uncompressed, in the byte order of the file."""
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.file_meta.TransferSyntaxUID = load_pydicom().uid.ExplicitVRLittleEndian
    order: Literal["<", ">"] = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
    content = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    dataset["PixelData"].is_undefined_length = False


def _note_lossy(dataset: "Dataset") -> None:
    """Says of pixels that were lossily compressed in the file read that they were, where it does not itself."""
    syntax = dataset.file_meta.TransferSyntaxUID
    method = _LOSSY_METHODS.get(str(syntax))
    if method is None or (syntax in _MAYBE_LOSSLESS and dataset.get("LossyImageCompression") == "00"):
        return
    pixels = dataset.Rows * dataset.Columns * int(dataset.get("NumberOfFrames") or 1)
    ratio = pixels * dataset.BitsAllocated / 8 / max(1, len(dataset.PixelData))
    dataset.LossyImageCompression = "01"
    if not dataset.get("LossyImageCompressionMethod"):
        dataset.LossyImageCompressionMethod, dataset.LossyImageCompressionRatio = method, f"{ratio:.4g}"


def code(value: str, meaning: str) -> "Dataset":
    code = load_pydicom().Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _equipment(options: Options) -> "Dataset":
    """An item of ContributingEquipmentSequence (C.12.1.5): this program. Without a time, so that bytes repeat."""
    item = load_pydicom().Dataset()
    item.PurposeOfReferenceCodeSequence = [code("109102", "Processing Equipment")]
    item.Manufacturer, item.ManufacturerModelName = "wgan-vgg", options.fingerprint[:16]
    item.SoftwareVersions = wgan_vgg.__version__
    item.ContributionDescription = f"{options.derivation}; {NOTICE}"[:_TEXT_LENGTH]
    return item


def _describe(dataset: "Dataset", options: Options) -> None:
    """New UIDs, which depend on the old ones and the model alone, and what was done."""
    pydicom = load_pydicom()

    def derived(old: str) -> str:
        return pydicom.uid.generate_uid(entropy_srcs=["wgan-vgg", options.fingerprint, old])

    source = pydicom.Dataset()
    source.ReferencedSOPClassUID = dataset.SOPClassUID
    source.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    dataset.SourceImageSequence = [source]
    dataset.SOPInstanceUID = derived(str(dataset.SOPInstanceUID))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for name in ("ImplementationClassUID", "ImplementationVersionName"):  # of the writer, which is pydicom now
        if name in dataset.file_meta:
            delattr(dataset.file_meta, name)
    dataset.SeriesInstanceUID = derived(str(dataset.get("SeriesInstanceUID") or dataset.get("StudyInstanceUID") or ""))
    image_type = dataset.get("ImageType") or []
    values = [image_type] if isinstance(image_type, str) else image_type
    dataset.ImageType = ["DERIVED", "SECONDARY", *(values[2:] or ["AXIAL"])]
    before = str(dataset.get("DerivationDescription") or "")
    text = f"{options.derivation}; {NOTICE}"
    dataset.DerivationDescription = f"{before}; {text}"[-_TEXT_LENGTH:] if before else text[:_TEXT_LENGTH]
    series, suffix = str(dataset.get("SeriesDescription") or ""), f"denoised, {NOTICE}"
    dataset.SeriesNumber = _SERIES_NUMBERS + int(dataset.get("SeriesNumber") or 0)
    dataset.DerivationCodeSequence = [*(dataset.get("DerivationCodeSequence") or ()), code("113087", "Smoothing")]
    dataset.ContributingEquipmentSequence = [
        *(dataset.get("ContributingEquipmentSequence") or ()),
        _equipment(options),
    ]
    dataset.SeriesDescription = f"{series[: _SERIES_LENGTH - len(suffix) - 1]} {suffix}".strip()
    dataset.preamble = bytes(128)  # where it makes the file a TIFF too, that one's offsets are wrong now
    for name in _OUTDATED:
        if name in dataset:
            delattr(dataset, name)
