"""DICOM through an identity model: pixels bit for bit, padding, every storage of values; and what the header says."""

import dataclasses
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from deployed import identity_run, write_run
from dicom_files import SAMPLE, write_slice
from pydicom.data import get_testdata_file

from data_prep.dicom_pixels import read_hu
from data_prep.errors import InputError
from wgan_vgg.inference.denoise import Settings, denoise
from wgan_vgg.inference.denoiser import Denoiser


@pytest.fixture(scope="module")
def identity(tmp_path_factory) -> Denoiser:
    return Denoiser.load(identity_run(tmp_path_factory.mktemp("identity")).path)


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Denoiser:
    return Denoiser.load(write_run(tmp_path_factory.mktemp("network")).path)


def through(denoiser: Denoiser, path: Path) -> pydicom.Dataset:
    output = path.with_name("out") / path.name
    denoise(denoiser, path, output, Settings())
    return pydicom.dcmread(output)


def raw(dataset: pydicom.Dataset) -> np.ndarray:
    dataset.pixel_array_options(correct_unused_bits=False)
    return dataset.pixel_array


def in_range(stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    hu = slope * stored.astype(float) + intercept
    return (hu >= -1024) & (hu <= 3072)


@pytest.mark.parametrize(
    ("dtype", "low", "attributes"),
    [
        (np.int16, -2000, {"RescaleIntercept": 0}),
        (np.uint16, 0, {"BitsStored": 12}),
        (np.int16, -2000, {"RescaleIntercept": 0, "BitsStored": 12, "PixelPaddingValue": -2000}),
        (np.int16, 0, {"RescaleSlope": 0.25, "RescaleIntercept": -1000.5}),
        (np.int16, -1000, {"RescaleSlope": -1.5, "RescaleIntercept": 100}),
        (np.uint8, 0, {"RescaleSlope": 16, "RescaleIntercept": -1024}),
        (np.int32, -900, {"RescaleIntercept": 0}),
        (np.uint16, 0, {"PixelPaddingValue": 63536, "BitsStored": 12}),
        (np.uint16, 0, {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 40}),
    ],
)
def test_identity_is_bit_identical_inside_the_hu_range_and_in_padding(tmp_path, identity, dtype, low, attributes):
    rng = np.random.default_rng(0)
    highest = 2 ** (attributes.get("BitsStored", 8 * np.dtype(dtype).itemsize) - (np.dtype(dtype).kind == "i")) - 1
    high = min(low + 6000, highest)
    stored = rng.integers(low, high, (33, 47)).astype(dtype)
    padding = attributes.get("PixelPaddingValue")
    if padding is not None:
        stored[:5] = np.array(padding).astype(dtype)
    path = write_slice(tmp_path / "a.dcm", stored, **attributes)
    before, after = pydicom.dcmread(path), through(identity, path)
    kept = in_range(stored, attributes.get("RescaleSlope", 1), attributes.get("RescaleIntercept", -1024))
    if padding is not None:
        kept[:5] = True
    assert kept.mean() > 0.2
    np.testing.assert_array_equal(raw(after)[kept], raw(before)[kept])
    hu = read_hu(path.with_name("out") / "a.dcm")
    assert -1024.0 <= hu.min() <= hu.max() <= 3072
    for name in ("BitsStored", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "PixelPaddingValue"):
        assert after.get(name) == before.get(name)


def test_the_series_has_no_bias_where_a_peer_is_off_by_20_hu(tmp_path, identity):
    for number in range(4):
        rng = np.random.default_rng(number)
        write_slice(tmp_path / "series" / f"{number}.dcm", rng.integers(0, 4000, (32, 32)).astype(np.uint16), number)
    denoise(identity, tmp_path / "series", tmp_path / "out", Settings(batch=3))
    before, after = (
        np.stack([read_hu(path) for path in sorted((tmp_path / folder).glob("*.dcm"))]) for folder in ("series", "out")
    )
    assert np.mean(after - before) == 0
    assert np.array_equal(after, before)


def test_a_denoised_measurement_never_becomes_padding(tmp_path):
    # A network whose output is 0 everywhere, -1024 HU, which is stored as 0: the padding value.
    folder = identity_run(tmp_path / "run").path
    denoiser = Denoiser.load(folder)
    black = dataclasses.replace(denoiser, network=lambda values: 0 * values)
    stored = np.full((16, 16), 1100, np.uint16)
    stored[0] = 0
    after = raw(through(black, write_slice(tmp_path / "a.dcm", stored, PixelPaddingValue=0, RescaleIntercept=-1024)))
    assert after[0].tolist() == [0] * 16
    assert np.unique(after[1:]).tolist() == [1]
    limited = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 9, "RescaleIntercept": -1024}
    assert np.unique(raw(through(black, write_slice(tmp_path / "b.dcm", stored, **limited)))[1:]).tolist() == [10]


def test_values_stay_in_the_bits_that_are_stored(tmp_path, identity):
    white = dataclasses.replace(identity, network=lambda values: 0 * values + 40)  # 162,816 HU
    for dtype, top in ((np.uint16, 4095), (np.int16, 2047)):
        path = write_slice(tmp_path / np.dtype(dtype).name / "a.dcm", np.ones((8, 8), dtype), BitsStored=12)
        assert np.unique(raw(through(white, path))).tolist() == [top]


def test_header_says_what_was_done_and_keeps_what_holds(tmp_path, network):
    path = shutil.copy(SAMPLE, tmp_path / "CT_small.dcm")
    before, after = pydicom.dcmread(path), through(network, Path(path))
    assert list(after.ImageType) == ["DERIVED", "SECONDARY", *before.ImageType[2:]]
    assert "wgan-vgg" in after.DerivationDescription
    assert network.metadata["fingerprint"][:16] in after.DerivationDescription
    assert after.SeriesDescription.endswith("denoised, not for diagnostic use")
    assert len(after.SeriesDescription) <= 64
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID != before.SOPInstanceUID
    assert after.SeriesInstanceUID != before.SeriesInstanceUID
    assert after.SourceImageSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
    changed = {
        *("ImageType", "SOPInstanceUID", "SeriesInstanceUID", "SeriesDescription", "DerivationDescription"),
        *("SourceImageSequence", "PixelData", "SeriesNumber"),
    }
    gone = {"SmallestImagePixelValue", "LargestImagePixelValue", "InstanceCreationDate", "InstanceCreationTime"}
    for element in before:
        if element.keyword not in changed | gone | {"InstanceCreatorUID"}:
            assert after[element.tag] == element, element
    assert not gone & set(after.dir())
    assert not np.array_equal(after.pixel_array, before.pixel_array)


def test_uids_depend_on_the_file_and_the_model_alone(tmp_path, identity, network):
    def uids(denoiser: Denoiser, folder: str, position: float = 0.0) -> tuple[str, str]:
        path = write_slice(
            tmp_path / folder / "a.dcm",
            np.ones((8, 8), np.uint16),
            SOPInstanceUID=f"1.2.3.{position:.0f}",
            SeriesInstanceUID="1.2.4",
        )
        dataset = through(denoiser, path)
        return dataset.SOPInstanceUID, dataset.SeriesInstanceUID

    first = uids(identity, "a")
    assert uids(identity, "b") == first
    assert set(uids(network, "c")).isdisjoint(first)
    neighbour = uids(identity, "d", 3.0)
    assert neighbour[0] != first[0]
    assert neighbour[1] == first[1]


def test_what_no_longer_holds_is_removed(tmp_path, network):
    icon = pydicom.Dataset()
    icon.Rows = icon.Columns = 1
    sequences = ("IconImageSequence", "DigitalSignaturesSequence", "MACParametersSequence")
    extremes = [size + part for size in ("Smallest", "Largest") for part in ("ImagePixelValue", "PixelValueInSeries")]
    extra: dict[str, Any] = dict.fromkeys(extremes, 1) | {name: [icon] for name in sequences}
    extra |= {"InstanceCreationDate": "20200101", "InstanceCreatorUID": "1.2.3"}
    extra |= {"DerivationDescription": "Reformatted", "ImageType": ["ORIGINAL", "X"]}
    after = through(network, write_slice(tmp_path / "a.dcm", np.ones((8, 8), np.uint16), **extra))
    assert set(extra) & set(after.dir()) == {"DerivationDescription", "ImageType"}
    assert after.DerivationDescription.startswith("Reformatted; Denoised by wgan-vgg")
    assert list(after.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]


def test_an_image_type_of_one_value_is_no_list_of_letters(tmp_path, network):
    after = through(network, write_slice(tmp_path / "a.dcm", np.ones((8, 8), np.uint16), ImageType="ORIGINAL"))
    assert list(after.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]


def test_what_only_the_old_encoding_needed_is_removed(tmp_path, identity):
    stored = np.random.default_rng(0).integers(0, 3000, (9, 9)).astype(np.uint16)
    dataset = pydicom.dcmread(write_slice(tmp_path / "a.dcm", stored))
    dataset.compress(pydicom.uid.RLELossless, encapsulate_ext=True)
    dataset.preamble = b"II*\0" + bytes(124)  # a TIFF too, by offsets into the compressed pixels
    dataset.save_as(tmp_path / "a.dcm")
    assert "ExtendedOffsetTable" in pydicom.dcmread(tmp_path / "a.dcm")
    after = through(identity, tmp_path / "a.dcm")
    assert not {"ExtendedOffsetTable", "ExtendedOffsetTableLengths"} & set(after.dir())
    assert after.preamble == bytes(128)
    np.testing.assert_array_equal(after.pixel_array, stored)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm"])
def test_compressed_and_big_endian_files_come_out_uncompressed(tmp_path, identity, name):
    dataset = pydicom.dcmread(get_testdata_file(name, download=False))
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.Modality = 1, 0, "CT"
    path = tmp_path / name
    dataset.save_as(path)
    after = through(identity, path)
    assert not after.file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(after.pixel_array, pydicom.dcmread(path).pixel_array)


def test_a_localizer_is_refused(tmp_path, identity):
    path = write_slice(tmp_path / "a.dcm", np.ones((8, 8), np.uint16), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    with pytest.raises(InputError, match="a localizer"):
        through(identity, path)
    assert not (tmp_path / "out" / "a.dcm").exists()


def errors(tool: str, path: Path) -> list[str]:
    """What a validator finds wrong, its lines without the values of UIDs."""
    done = subprocess.run([tool, path], capture_output=True, text=True, timeout=60, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("Error", "E:", "F:"))]


@pytest.mark.skipif(not shutil.which("dcmdump"), reason="dcmdump is not installed (apt-get install dcmtk)")
def test_dcmtk_reads_it(tmp_path, network):
    path = Path(shutil.copy(SAMPLE, tmp_path / "CT_small.dcm"))
    through(network, path)
    output = tmp_path / "out" / "CT_small.dcm"
    assert errors("dcmdump", output) == []
    shown = subprocess.run(["dcmdump", output], capture_output=True, text=True, check=True).stdout
    assert "[DERIVED\\SECONDARY\\AXIAL]" in shown
    assert "not for diagnostic use" in shown


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy is not installed (apt-get install dicom3tools)")
def test_dciodvfy_finds_no_new_error(tmp_path, network):
    path = Path(shutil.copy(SAMPLE, tmp_path / "CT_small.dcm"))
    through(network, path)
    before, after = errors("dciodvfy", path), errors("dciodvfy", tmp_path / "out" / "CT_small.dcm")
    assert set(after) <= set(before)


def test_a_lossy_origin_is_recorded_and_the_series_stands_apart(identity, tmp_path):
    stored = (1000 + 30 * np.random.default_rng(0).standard_normal((24, 24))).astype(np.uint16)
    path = write_slice(tmp_path / "a.dcm", stored, SeriesNumber=3)
    dataset = pydicom.dcmread(path)
    dataset.compress("1.2.840.10008.1.2.4.81", jls_error=3, encoding_plugin="pyjpegls")
    dataset.save_as(path, enforce_file_format=True)
    denoise(identity, path, tmp_path / "b.dcm", Settings())
    result = pydicom.dcmread(tmp_path / "b.dcm")
    assert (result.LossyImageCompression, result.LossyImageCompressionMethod) == ("01", "ISO_14495_1")
    assert float(result.LossyImageCompressionRatio) > 1.5
    assert not result.file_meta.TransferSyntaxUID.is_compressed
    assert result.SeriesNumber == 1003
    (equipment,) = result.ContributingEquipmentSequence
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Processing Equipment"
    assert (equipment.Manufacturer, "not for diagnostic use" in equipment.ContributionDescription) == ("wgan-vgg", True)
    assert result.DerivationCodeSequence[-1].CodeValue == "113087"
    lossless = write_slice(tmp_path / "c.dcm", stored)
    denoise(identity, lossless, tmp_path / "d.dcm", Settings())
    assert "LossyImageCompression" not in pydicom.dcmread(tmp_path / "d.dcm")
