"""One DICOM file: its HU, its position, and what is refused; pydicom's own CT sample and files written here."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import SAMPLE, jpeg_lossless, write_slice
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

from data_prep import dicom_file
from data_prep.dicom_file import read_header
from data_prep.dicom_pairs import SlicePair
from data_prep.dicom_pixels import read_hu
from data_prep.errors import InputError
from data_prep.patches import PatchReader, grid, to_range


def test_pydicoms_ct_sample_has_its_known_hu() -> None:
    hu = read_hu(SAMPLE)
    assert hu.shape == (128, 128)
    assert hu.dtype == np.float32
    # Stored 175 180 166 143, 128 to 2191; slope 1, intercept -1024; its padding value -2000 does not occur.
    assert hu[0, :4].tolist() == [-849, -844, -858, -881]
    assert (hu.min(), hu.max()) == (-896, 1167)
    header = read_header(SAMPLE)
    assert (header.patient_id, header.position, header.spacing) == ("1CT1", -75.699997, (0.661468, 0.661468))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.uint8])
def test_signedness_slope_and_intercept(tmp_path: Path, dtype: type) -> None:
    low = -300 if np.issubdtype(dtype, np.signedinteger) else 0
    stored = (np.arange(256).reshape(16, 16) + low).astype(dtype)
    hu = read_hu(write_slice(tmp_path / "a.dcm", stored, RescaleSlope=0.5, RescaleIntercept=-100))
    np.testing.assert_array_equal(hu, 0.5 * (np.arange(256.0).reshape(16, 16) + low) - 100)


def test_unused_high_bits_are_no_part_of_the_value(tmp_path: Path) -> None:
    stored = np.array([[0xF005, 0x0005], [0xA7FF, 0x0800]], np.uint16)
    unsigned = read_hu(write_slice(tmp_path / "u.dcm", stored, BitsStored=12, RescaleIntercept=0))
    assert unsigned.tolist() == [[5, 5], [0x7FF, 0x800]]
    signed = read_hu(write_slice(tmp_path / "s.dcm", stored.view(np.int16), BitsStored=12, RescaleIntercept=0))
    assert signed.tolist() == [[5, 5], [2047, -2048]]


def test_padding_becomes_air_before_rescaling(tmp_path: Path) -> None:
    stored = np.array([[-2000, 0], [24, 1064]], np.int16)
    path = write_slice(tmp_path / "a.dcm", stored, PixelPaddingValue=-2000, RescaleSlope=2)
    assert read_hu(path).tolist() == [[-1024, -1024], [-976, 1104]]
    assert read_hu(path, padding_hu=-3000)[0, 0] == -3000
    # A range of padding values; and -2000 written as an unsigned number, in bits that BitsStored leaves unused.
    ranged = write_slice(tmp_path / "b.dcm", stored, PixelPaddingValue=-2000, PixelPaddingRangeLimit=0)
    assert read_hu(ranged, padding_hu=-3000).tolist() == [[-3000, -3000], [-1000, 40]]
    wide = np.array([[63536, 2096]], np.uint16)
    wide_path = write_slice(tmp_path / "c.dcm", wide, PixelPaddingValue=63536, BitsStored=12)
    assert read_hu(wide_path).tolist() == [[-1024, 1072]]


def test_padding_is_found_by_its_value_too_where_its_high_bits_are_not_set(tmp_path: Path) -> None:
    """Fails where it is looked for among the bits as they lie: -2000 in 12 bits is 0x830, which 16 bits say is 2096."""
    short = np.array([[0x0830, 1000]], np.int16)
    path = write_slice(tmp_path / "a.dcm", short, PixelPaddingValue=-2000, BitsStored=12)
    assert read_hu(path).tolist() == [[-1024, -24]]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"RescaleSlope": None}, "RescaleSlope or RescaleIntercept is missing"),
        ({"RescaleIntercept": None}, "RescaleSlope or RescaleIntercept is missing"),
        ({"RescaleSlope": "1e300"}, "not finite"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}, "RGB with 3 samples"),
        ({"Rows": 60000, "Columns": 60000}, "60000 x 60000"),
        ({"BitsStored": 17}, "do not fit together"),
        ({"PixelData": b"\0" * 100}, "not a readable DICOM image"),
        ({"PixelData": None}, "not a readable DICOM image"),
        ({"Modality": "MR"}, "its Modality is MR, not CT"),
        ({"Modality": "PT", "RescaleType": "BQML"}, "its Modality is PT, not CT"),
        ({"RescaleType": "US"}, "its RescaleType is US, not HU"),
    ],
)
def test_a_file_that_is_no_ct_slice_is_refused_by_name(tmp_path: Path, attributes: dict, message: str) -> None:
    path = write_slice(tmp_path / "a.dcm", np.ones((8, 8), np.uint16), **attributes)
    with pytest.raises(InputError, match=message) as caught:
        read_hu(path)
    assert str(path) in str(caught.value)


def test_a_rescale_slope_of_nan_is_refused(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a.dcm", np.zeros((8, 8), np.uint16), RescaleSlope="1.5")
    path.write_bytes(path.read_bytes().replace(b"DS\x04\x001.5 ", b"DS\x04\x00nan "))
    with pytest.raises(InputError, match="RescaleSlope is nan, expected 1 finite"):
        read_hu(path)


def deflated(path: Path, side: int) -> Path:
    write_slice(path, np.arange(side * side).reshape(side, side).astype(np.uint16))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, implicit_vr=False, little_endian=True)
    return path


def test_a_deflated_file_is_read_and_a_bomb_is_refused_before_it_is_inflated(tmp_path: Path, monkeypatch) -> None:
    found = read_hu(deflated(tmp_path / "a.dcm", 8))
    np.testing.assert_array_equal(found, np.arange(64).reshape(8, 8) - 1024)
    assert read_header(tmp_path / "a.dcm").shape == (8, 8)
    monkeypatch.setattr(dicom_file, "_LARGEST_INFLATED", 10_000)
    with pytest.raises(InputError, match="unpacks to more than 10,000 bytes"):
        read_hu(deflated(tmp_path / "b.dcm", 80))


JPEG_LOSSLESS, JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"


@pytest.mark.parametrize(
    ("syntax", "selection"), [(JPEG_LOSSLESS, 4), (JPEG_LOSSLESS_SV1, 1), (JPEGLSLossless, 0), (JPEG2000Lossless, 0)]
)
def test_what_pacs_store_losslessly_is_read_bit_for_bit(tmp_path: Path, syntax: str, selection: int) -> None:
    stored = (1000 + 200 * np.random.default_rng(0).standard_normal((71, 83))).astype(np.uint16)
    stored[3, 4], stored[5, 6] = 0, 65535
    path = write_slice(tmp_path / "a.dcm", stored)
    dataset = pydicom.dcmread(path)
    if selection:
        dataset.PixelData = encapsulate([jpeg_lossless(stored, selection)])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    else:
        dataset.compress(syntax, encoding_plugin="pyjpegls" if syntax == JPEGLSLossless else "pylibjpeg")
    dataset.save_as(path, enforce_file_format=True)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(read_hu(path), stored.astype(np.float32) - 1024)


def test_position_is_along_the_slice_normal(tmp_path: Path) -> None:
    stored = np.zeros((8, 8), np.uint16)
    # A coronal slice: rows along x, columns along -z, so the normal is y.
    path = write_slice(
        tmp_path / "a.dcm", stored, ImagePositionPatient=[1, 7, 3], ImageOrientationPatient=[1, 0, 0, 0, 0, -1]
    )
    assert read_header(path).position == 7
    plain = write_slice(tmp_path / "b.dcm", stored, 3.0, ImageOrientationPatient=None)
    assert read_header(plain).position == 3
    with pytest.raises(InputError, match="no position"):
        read_header(write_slice(tmp_path / "c.dcm", stored, None))
    with pytest.raises(InputError, match="ImageOrientationPatient"):
        read_header(write_slice(tmp_path / "d.dcm", stored, ImageOrientationPatient=[1, 0, 0, 1, 0, 0]))


def test_window_and_grid() -> None:
    values, clipped = to_range(np.array([-2000, -1024, 0, 3072, 4000], np.float32))
    assert values.dtype == np.float32
    assert values.tolist() == [0, 0, 0.25, 1, 1]
    assert clipped == 2
    image = np.arange(35.0).reshape(5, 7)
    assert grid(image, 2).shape == (6, 2, 2)
    assert grid(image, 2)[4].tolist() == [[16, 17], [23, 24]]  # second row of patches, second of three
    assert grid(image, 0).shape == (1, 5, 7)


def test_padding_is_air_in_whatever_window(tmp_path: Path) -> None:
    stored = np.full((16, 16), 1024, np.uint16)
    stored[:, :8] = 0
    path = write_slice(tmp_path / "a.dcm", stored, PixelPaddingValue=0)
    found = PatchReader((-200.0, 1000.0), 8).survey(SlicePair("p", 0, None, read_header(path)), 0.5)
    assert found.kept == [1, 3]


def test_a_patch_with_exactly_as_much_air_as_allowed_is_kept(tmp_path: Path) -> None:
    """Fails where it has to have less: its left half is air. The patch beside it has a column more."""
    stored = np.full((8, 16), 1024, np.uint16)
    stored[:, :4] = stored[:, 8:13] = 0
    pair = SlicePair("p", 0, None, read_header(write_slice(tmp_path / "a.dcm", stored)))
    assert PatchReader((-1024.0, 3072.0), 8).survey(pair, 0.5).kept == [0]
