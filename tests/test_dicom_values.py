"""DICOM as it is written: rounded values, padding, texts cut to their length, and the pixel's side that is told."""

import dataclasses

import numpy as np
import pydicom
import pytest
from deployed import identity_run
from dicom_files import write_slice

from wgan_vgg.image_files.dicom_io import _note_lossy
from wgan_vgg.inference.denoise import Settings, denoise
from wgan_vgg.inference.denoiser import Denoiser


@pytest.fixture(scope="module")
def same(tmp_path_factory):
    return Denoiser.load(identity_run(tmp_path_factory.mktemp("same")).path)


def test_values_are_rounded_to_the_nearest(tmp_path, same):
    path = write_slice(tmp_path / "a.dcm", np.full((16, 16), 1000, np.uint16))
    brighter = dataclasses.replace(same, network=lambda values: values + np.float32(0.6 / 4096))
    denoise(brighter, path, tmp_path / "b.dcm", Settings())
    assert np.unique(pydicom.dcmread(tmp_path / "b.dcm").pixel_array).tolist() == [1001]


def test_no_tissue_becomes_padding_at_the_top_of_the_bits(tmp_path, same):
    white = dataclasses.replace(same, network=lambda values: 0 * values + 40)
    stored = np.full((16, 16), 1100, np.uint16)
    stored[0] = 4095
    path = write_slice(tmp_path / "a.dcm", stored, BitsStored=12, PixelPaddingValue=4095)
    denoise(white, path, tmp_path / "b.dcm", Settings())
    after = pydicom.dcmread(tmp_path / "b.dcm").pixel_array
    assert (np.unique(after[0]).tolist(), np.unique(after[1:]).tolist()) == ([4095], [4094])


def test_long_texts_keep_their_end_and_oblong_pixels_have_a_mean_side(tmp_path, same):
    texts = {"SeriesDescription": "x" * 64, "DerivationDescription": "a" * 1000}
    path = write_slice(tmp_path / "a.dcm", np.full((24, 24), 1000, np.uint16), PixelSpacing=[0.5, 2.0], **texts)
    outcome = denoise(same, path, tmp_path / "b.dcm", Settings())
    after = pydicom.dcmread(tmp_path / "b.dcm")
    assert after.SeriesDescription == "x" * 31 + " denoised, not for diagnostic use"
    assert len(after.DerivationDescription) == 1024
    assert after.DerivationDescription.endswith("not for diagnostic use")
    assert outcome.series[0].spacing_mm == pytest.approx(1.0)


def test_the_source_is_named_by_its_class_and_its_instance(tmp_path, same):
    path = write_slice(tmp_path / "a.dcm", np.full((16, 16), 1000, np.uint16))
    denoise(same, path, tmp_path / "b.dcm", Settings())
    (source,) = pydicom.dcmread(tmp_path / "b.dcm").SourceImageSequence
    before = pydicom.dcmread(path)
    assert source.ReferencedSOPClassUID == before.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert source.ReferencedSOPInstanceUID == before.SOPInstanceUID


@pytest.mark.parametrize(
    ("syntax", "said", "expected"),
    [
        ("90", None, (None, None)),  # lossless
        ("91", None, ("01", "ISO_15444_1")),
        ("91", "00", ("00", None)),  # reversible, as the file says
        ("203", None, ("01", "ISO_15444_15")),
        ("203", "00", ("00", None)),
        ("81", "00", ("01", "ISO_14495_1")),  # near-lossless, whatever it says
    ],
)
def test_what_was_lossy_is_said_with_the_ratio_over_all_frames(syntax, said, expected):
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = f"1.2.840.10008.1.2.4.{syntax}"
    dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.NumberOfFrames = 10, 10, 16, 3
    dataset.PixelData = bytes(100)
    if said:
        dataset.LossyImageCompression = said
    _note_lossy(dataset)
    assert (dataset.get("LossyImageCompression"), dataset.get("LossyImageCompressionMethod")) == expected
    if expected[1]:
        assert dataset.LossyImageCompressionRatio == 6  # 3 * 10 * 10 * 2 bytes in 100
