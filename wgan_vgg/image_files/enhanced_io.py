"""Denoised Enhanced CT: one file with all slices of a series, read frame by frame and written as one file again.

Attributes are those of the DICOM standard, PS3.3: Enhanced CT image A.38, multi-frame functional groups C.7.6.16.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_prep.dicom_file import load_pydicom, read_dataset, translate_errors
from data_prep.dicom_pixels import frame_group, read_frames
from wgan_vgg.errors import InputError, NotAnImage
from wgan_vgg.image_files.dicom_io import DicomSlices, code, described, spacing
from wgan_vgg.image_files.dicom_io import new_pixels as stored_pixels
from wgan_vgg.image_files.slices import Options, Slices

if TYPE_CHECKING:
    from pydicom import Dataset

_TAGS = ["NumberOfFrames", "SOPClassUID"]
_ENHANCED = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")  # Enhanced, Legacy Converted Enhanced CT


def open_dicom(path: Path, options: Options) -> Slices:
    """One slice, or the frames of an Enhanced CT file.

    Raises:
      InputError: not DICOM.
    """
    with translate_errors(path):
        header = read_dataset(path, stop_before_pixels=True, specific_tags=_TAGS)
        enhanced = str(header.get("SOPClassUID")) in _ENHANCED
    return EnhancedSlices(path, options) if enhanced else DicomSlices(path, options)


def read_instance_uid(path: Path) -> str:
    """The SOPInstanceUID in the header of a file, "" without.

    Raises:
      InputError: not DICOM.
    """
    with translate_errors(path):
        header = read_dataset(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
        return str(header.get("SOPInstanceUID") or "")


class EnhancedSlices(Slices):
    """All frames of one file, held in memory."""

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path)
        self._options = options
        self._frames = read_frames(path)
        self.count = len(self._frames)
        dataset = self._dataset = self._frames[0].dataset
        if "LOCALIZER" in (dataset.get("ImageType") or ()):
            raise NotAnImage(f"{path}: a localizer, not slices; remove it")
        if not dataset.get("SOPInstanceUID"):
            raise InputError(f"{path}: no SOPInstanceUID, by which its denoised image would refer to it; remove it")
        self.series_uid = str(dataset.get("SeriesInstanceUID") or "")
        self.instance_uid = str(dataset.SOPInstanceUID)
        with translate_errors(path):
            measures = frame_group(dataset, 0, "PixelMeasuresSequence")
            self.spacing_mm = spacing(measures) if measures else None
        self._pixels = np.empty((self.count, *self._frames[0].raw.shape), self._frames[0].raw.dtype)

    def read(self, index: int) -> np.ndarray:
        return self._frames[index].hu(self._options.padding_hu)

    def write(self, index: int, hu: np.ndarray) -> None:
        self._pixels[index] = stored_pixels(self._frames[index], hu)

    def _end(self, partial: Path) -> None:
        with translate_errors(self.path):
            source, evidence = _reference(self._dataset), _evidence(self._dataset)
            content = described(
                self._dataset, self._pixels, self._options, lambda: _describe(self._dataset, source, evidence)
            )
        partial.write_bytes(content)


def _reference(dataset: "Dataset") -> "Dataset":
    """What a frame's DerivationImageSequence says of the file that it comes from; to be made before UIDs change."""
    reference = load_pydicom().Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    reference.PurposeOfReferenceCodeSequence = [code("121322", "Source image for image processing operation")]
    return reference


def _evidence(dataset: "Dataset") -> "Dataset":
    """The item of SourceImageEvidenceSequence, which names study and series of the file referred to."""
    new = load_pydicom().Dataset
    study, series, instance = new(), new(), new()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = dataset.get("SeriesInstanceUID") or "", [instance]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = dataset.get("StudyInstanceUID") or "", [series]
    return study


def _describe(dataset: "Dataset", source: "Dataset", evidence: "Dataset") -> None:
    """Moves what is said of the derivation to where a multi-frame image has it: the groups that all frames share."""
    derivation = load_pydicom().Dataset()
    derivation.DerivationDescription = dataset.DerivationDescription
    derivation.DerivationCodeSequence = dataset.DerivationCodeSequence
    derivation.SourceImageSequence = [source]
    if not dataset.get("SharedFunctionalGroupsSequence"):
        dataset.SharedFunctionalGroupsSequence = [load_pydicom().Dataset()]
    dataset.SharedFunctionalGroupsSequence[0].DerivationImageSequence = [derivation]
    dataset.SourceImageEvidenceSequence = [evidence]
    dataset.ImageType = ["DERIVED", "PRIMARY", *list(dataset.ImageType)[2:]]  # the only second value it may have
    for name in ("SourceImageSequence", "DerivationDescription", "DerivationCodeSequence"):
        delattr(dataset, name)
    for frame in dataset.get("PerFrameFunctionalGroupsSequence") or ():
        if "DerivationImageSequence" in frame:  # of the frame before: a group stands in one of the two places only
            del frame.DerivationImageSequence
    for groups in (dataset.SharedFunctionalGroupsSequence[0], *(dataset.get("PerFrameFunctionalGroupsSequence") or ())):
        for kind in groups.get("CTImageFrameTypeSequence") or ():
            kind.FrameType = ["DERIVED", *list(kind.FrameType)[1:]]
