"""Enhanced CT: many frames in one file, read in HU frame by frame and written back as one file."""

import numpy as np
import pydicom
import pytest
from deployed import identity_run
from dicom_files import write_slice
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless

from data_prep.errors import InputError
from wgan_vgg.inference.denoise import Settings, denoise
from wgan_vgg.inference.denoiser import Denoiser

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"


def group(name, **values):
    item = Dataset()
    for key, value in values.items():
        setattr(item, key, value)
    holder = Dataset()
    setattr(holder, name, [item])
    return holder


def write_enhanced(path, stored, intercepts, **attributes):
    """Frames (count, rows, columns) with a rescale intercept each; pixel spacing and frame type are shared."""
    attributes = {"SOPClassUID": ENHANCED_CT, "NumberOfFrames": len(stored), "SeriesNumber": 2} | attributes
    values = dict.fromkeys(("RescaleSlope", "RescaleIntercept", "PixelSpacing", "ImagePositionPatient"))
    write_slice(path, stored[0], PixelData=stored.tobytes(), ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
                **values, **attributes)  # fmt: skip
    dataset = pydicom.dcmread(path)
    shared = group("PixelMeasuresSequence", PixelSpacing=[0.6, 0.6])
    shared.update(group("CTImageFrameTypeSequence", FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]))
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [
        group("PixelValueTransformationSequence", RescaleSlope=1, RescaleIntercept=value, RescaleType="HU")
        for value in intercepts
    ]
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def frames():
    return (1000 + 40 * np.random.default_rng(0).standard_normal((3, 20, 26))).astype(np.uint16)


@pytest.mark.parametrize("compressed", [False, True])
def test_through_an_identity_every_frame_keeps_its_pixels_and_the_file_its_frames(tmp_path, frames, compressed):
    path = write_enhanced(tmp_path / "a.dcm", frames, [-1024, -1000, -900])
    if compressed:
        dataset = pydicom.dcmread(path)
        dataset.compress(JPEGLSLossless, encoding_plugin="pyjpegls")
        dataset.save_as(path, enforce_file_format=True)
    outcome = denoise(Denoiser.load(identity_run(tmp_path / "run").path), path, tmp_path / "b.dcm", Settings())
    assert (outcome.slices, outcome.series[0].spacing_mm) == (3, pytest.approx(0.6))
    before, after = pydicom.dcmread(path), pydicom.dcmread(tmp_path / "b.dcm")
    np.testing.assert_array_equal(after.pixel_array, frames)
    assert after.NumberOfFrames == 3
    assert after.SOPClassUID == ENHANCED_CT
    assert (list(after.ImageType), after.SeriesNumber) == (["DERIVED", "PRIMARY", "VOLUME", "NONE"], 1002)
    (study,) = after.SourceImageEvidenceSequence
    (instance,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert instance.ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert after.SOPInstanceUID != before.SOPInstanceUID
    (shared,) = after.SharedFunctionalGroupsSequence
    (derivation,) = shared.DerivationImageSequence
    assert "not for diagnostic use" in derivation.DerivationDescription
    assert derivation.SourceImageSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert shared.CTImageFrameTypeSequence[0].FrameType[0] == "DERIVED"
    assert "SourceImageSequence" not in after, "that is where single slices have it"
    rescale = [
        frame.PixelValueTransformationSequence[0].RescaleIntercept for frame in after.PerFrameFunctionalGroupsSequence
    ]
    assert rescale == [-1024, -1000, -900]


def test_frames_are_read_with_their_own_rescale(tmp_path, frames):
    from wgan_vgg.image_files.enhanced_io import open_dicom
    from wgan_vgg.image_files.slices import Options

    source = open_dicom(write_enhanced(tmp_path / "a.dcm", frames, [-1024, -1000, -900]), Options())
    for number, intercept in enumerate((-1024, -1000, -900)):
        np.testing.assert_array_equal(source.read(number), frames[number].astype(np.float32) + intercept)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"Modality": "MR"}, "its Modality is MR"),
        ({"NumberOfFrames": 3_000_000_000}, "frames"),
        ({"NumberOfFrames": 7}, "not a readable DICOM image"),
    ],
)
def test_what_is_no_ct_or_claims_too_much_is_refused(tmp_path, frames, attributes, message):
    path = write_enhanced(tmp_path / "a.dcm", frames, [-1024] * 3, **attributes)
    with pytest.raises(InputError, match=message):
        denoise(Denoiser.load(identity_run(tmp_path / "run").path), path, tmp_path / "b.dcm", Settings())
    assert not (tmp_path / "b.dcm").exists()


def test_a_frame_in_other_units_is_no_ct_image(tmp_path, frames):
    path = write_enhanced(tmp_path / "a.dcm", frames, [-1024] * 3)
    dataset = pydicom.dcmread(path)
    dataset.PerFrameFunctionalGroupsSequence[1].PixelValueTransformationSequence[0].RescaleType = "MGML"
    dataset.save_as(path)
    with pytest.raises(InputError, match="its RescaleType is MGML, not HU"):
        denoise(Denoiser.load(identity_run(tmp_path / "run").path), path, tmp_path / "b.dcm", Settings())


def test_what_frames_say_of_their_making_is_replaced(tmp_path):
    ids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4"}
    part = {
        "ConcatenationUID": "1.2.5",
        "SOPInstanceUIDOfConcatenationSource": "1.2.6",
        "InConcatenationNumber": 1,
        "InConcatenationTotalNumber": 2,
        "ConcatenationFrameOffsetNumber": 0,
    }
    path = write_enhanced(tmp_path / "a.dcm", np.full((2, 20, 26), 1000, np.uint16), [-1024, -1024], **ids, **part)
    dataset = pydicom.dcmread(path)
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.update(group("DerivationImageSequence", DerivationDescription="before"))
        frame.update(group("CTImageFrameTypeSequence", FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "MAXIMUM"]))
    dataset.save_as(path, enforce_file_format=True)
    same = Denoiser.load(identity_run(tmp_path / "identity").path)
    denoise(same, path, tmp_path / "b.dcm", Settings())
    after = pydicom.dcmread(tmp_path / "b.dcm")
    for frame in after.PerFrameFunctionalGroupsSequence:
        assert "DerivationImageSequence" not in frame
        assert list(frame.CTImageFrameTypeSequence[0].FrameType) == ["DERIVED", "PRIMARY", "VOLUME", "MAXIMUM"]
    assert not set(part) & set(after.dir()), "of the original, which is in the evidence"
    (study,) = after.SourceImageEvidenceSequence
    assert (study.StudyInstanceUID, study.ReferencedSeriesSequence[0].SeriesInstanceUID) == ("1.2.3", "1.2.4")
