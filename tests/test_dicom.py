"""DICOM pairs: files written here with pydicom in both layouts, and pydicom's own CT sample."""

import itertools
import json
import logging
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import tensorflow as tf
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

from data_prep import prepare_dicom as prepare_module
from data_prep import tfrecords
from data_prep.dicom import read_header, read_hu
from data_prep.errors import InputError
from data_prep.patches import grid, to_range
from data_prep.prepare_dicom import prepare_dicom
from wgan_vgg.input_pipeline import DataSet

SIDE = 32
POSITIONS = (-30.0, -27.0, -24.0, -21.0)
ROLES = {"quarter_3mm": "Low Dose Images", "full_3mm": "Full Dose Images"}
SAMPLE = Path(get_testdata_file("CT_small.dcm", download=False))


def write_slice(path: Path, stored: np.ndarray, z: float | None = 0.0, **attributes: Any) -> Path:
    """Writes stored values (rows, columns) as a CT slice at height z; an attribute of None is left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    signed = stored.dtype.kind == "i"
    bits = stored.dtype.itemsize * 8
    values = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": generate_uid(entropy_srcs=[str(path)]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=[str(path.parent)]),
        "Modality": "CT",
        "PatientID": "",
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": attributes.get("BitsStored", bits) - 1,
        "PixelRepresentation": int(signed),
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "PixelSpacing": [0.75, 0.75],
        "ImagePositionPatient": None if z is None else [-12.0, -12.0, z],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelData": stored.tobytes(),
        **attributes,
    }
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for name, value in values.items():
        if value is not None:
            setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def stored_slice(patient: int, role: str, index: int) -> np.ndarray:
    """Stored values of one slice, uint16: tissue that differs in every pixel, the left quarter air."""
    rng = np.random.default_rng([patient, index, len(role)])
    stored = rng.integers(900, 1200, (SIDE, SIDE)).astype(np.uint16)
    stored[:, : SIDE // 4] = 10
    return stored


def write_patients(
    root: Path,
    names: Sequence[str],
    *,
    tcia: bool = False,
    suffix: str = ".IMA",
    positions: Sequence[float] = POSITIONS,
) -> Path:
    """Patients with both series; file numbers are shuffled against positions, and differently in each series."""
    for number, name in enumerate(names):
        for role, description in ROLES.items():
            folder = root / name / (f"study/1.0-{description}" if tcia else role)
            order = np.random.default_rng([number, len(role)]).permutation(len(positions))
            for index, z in enumerate(positions):
                path = folder / f"1-{order[index]:03d}{suffix}"
                extra = {"SeriesDescription": description if tcia else "Abdomen", "PatientID": name}
                write_slice(path, stored_slice(number, role, index), z, **extra)
    return root


def at_position(root: Path, patient: str, role: str, z: float) -> Path:
    """The file of a Mayo-style series at a position."""
    return next(p for p in (root / patient / role).iterdir() if pydicom.dcmread(p).ImagePositionPatient[2] == z)


def prepare(root: Path, **arguments: Any) -> dict[str, Any]:
    """prepare_dicom to a new folder beside the input."""
    settings = {"seed": 0, "test_patients": ["L2"], "patch_size": 0, "shards": 1, "data": {"source": "dicom"}}
    return prepare_dicom(root, root.parent / "records", **{**settings, **arguments})


def records(root: Path, split: str) -> list[dict[str, Any]]:
    """The records of a split as numpy values."""
    return list(DataSet.open(root.parent / "records").records(split).as_numpy_iterator())


def refusal(root: Path, **arguments: Any) -> str:
    """The one line with which prepare_dicom refuses, having written nothing."""
    with pytest.raises(InputError) as caught:
        prepare(root, **arguments)
    assert "\n" not in str(caught.value)
    assert not (root.parent / "records").exists()
    return str(caught.value)


@pytest.fixture(scope="module")
def written_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patients(tmp_path_factory.mktemp("dicom") / "mayo", ["L0", "L1", "L2"])


@pytest.fixture
def mayo(written_once: Path, tmp_path: Path) -> Path:
    """Three patients in the challenge's layout, for one test to spoil."""
    return shutil.copytree(written_once, tmp_path / "mayo")


# One file


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


def test_a_deflated_file_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a.dcm", np.zeros((8, 8), np.uint16))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, implicit_vr=False, little_endian=True)
    with pytest.raises(InputError, match="deflated"):
        read_hu(path)


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


# Series


@pytest.mark.parametrize(("tcia", "suffix"), [(False, ".IMA"), (False, ".dcm"), (True, ".dcm")])
def test_records_are_pairs_by_position(tmp_path: Path, tcia: bool, suffix: str) -> None:
    root = write_patients(tmp_path / "in", ["L0", "L1", "L2"], tcia=tcia, suffix=suffix)
    if tcia:
        projection = {"SeriesDescription": "Low Dose Projections", "PixelSpacing": None, "RescaleSlope": None}
        write_slice(root / "L0/study/1.0-projections/1-1.dcm", np.zeros((4, 9), np.uint16), None, **projection)
    manifest = prepare(root)
    for split, patients in (("train", [0, 1]), ("test", [2])):
        found = {(r["patient_id"].decode(), int(r["slice_index"])): r for r in records(root, split)}
        assert sorted(found) == [(f"L{number}", index) for number in patients for index in range(len(POSITIONS))]
        for (patient, index), record in found.items():
            for name, role in (("low_dose", "quarter_3mm"), ("normal_dose", "full_3mm")):
                expected = stored_slice(int(patient[1]), role, index).astype(np.float32) / 4096
                np.testing.assert_array_equal(record[name][..., 0], expected)
            assert (root / record["source"].decode()).is_file()
    assert manifest["source"] == "dicom"
    assert manifest["patients"] == {"train": ["L0", "L1"], "test": ["L2"]}
    assert manifest["patients_in_both"] == []
    assert (manifest["hu_slope"], manifest["hu_intercept"]) == (4096.0, -1024.0)
    assert manifest["pixel_spacing_mm"] == 0.75
    assert manifest["data"] == {"source": "dicom"}
    assert len(manifest["input_files"]) == 3 * 2 * len(POSITIONS)
    assert all((root / name).stat().st_size == size for name, size in manifest["input_files"].items())


def test_patches_are_cut_alike_and_air_is_dropped(mayo: Path) -> None:
    manifest = prepare(mayo, patch_size=8, shards=3, max_air_fraction=0.8)
    # 4 x 4 patches a slice, of which the first column is air.
    assert {name: entry["records"] for name, entry in manifest["splits"].items()} == {"train": 96, "test": 48}
    found = {int(record["slice_index"]): record for record in records(mayo, "test")}
    assert sorted(found) == [10_000 * pair + n for pair in range(4) for n in range(16) if n % 4]
    record = found[20_007]  # pair 2, second row, last column
    expected = stored_slice(2, "quarter_3mm", 2)[8:16, 24:32].astype(np.float32) / 4096
    np.testing.assert_array_equal(record["low_dose"][..., 0], expected)
    assert record["source"].decode().endswith("[8:16,24:32]")


def test_a_shard_has_whole_slices_and_the_result_is_the_same_for_any_number_of_workers(mayo: Path) -> None:
    first = prepare(mayo, patch_size=8, shards=2, workers=1)["splits"]
    (mayo.parent / "records").rename(mayo.parent / "first")
    assert prepare(mayo, patch_size=8, shards=2, workers=3)["splits"] == first
    for shard in first["test"]["shards"]:
        serialized = tf.data.TFRecordDataset(str(mayo.parent / "records" / shard["file"]))
        parsed = [tfrecords.parse_example(record, (8, 8)) for record in serialized]
        pairs = [int(record["slice_index"]) // prepare_module.PATCHES_PER_SLICE for record in parsed]
        assert sum(one != two for one, two in itertools.pairwise(pairs)) == 1


def test_test_patients_by_patient_id(tmp_path: Path) -> None:
    root = write_patients(tmp_path / "in", ["L0", "L1", "L2"], tcia=True)
    (root / "L1").rename(root / "folder")
    assert prepare(root, test_patients=["L1"])["patients"] == {"train": ["L0", "L2"], "test": ["folder"]}


def test_slice_location_serves_where_positions_are_missing(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for patient in ("L0", "L2"):
        for role in ROLES:
            for index in range(3):
                name = f"{index if role == 'full_3mm' else 2 - index}.dcm"
                stored = stored_slice(0, role, index)
                write_slice(root / patient / role / "sub" / name, stored, None, SliceLocation=index * 1.5)
    prepare(root)
    found = sorted(records(root, "train"), key=lambda record: record["slice_index"])
    for index, record in enumerate(found):
        expected = stored_slice(0, "quarter_3mm", index).astype(np.float32) / 4096
        np.testing.assert_array_equal(record["low_dose"][..., 0], expected)


def test_pixels_outside_the_window_are_clipped_and_counted_once(mayo: Path, caplog: pytest.LogCaptureFixture) -> None:
    prepare(mayo, hu_window=(-200.0, 1000.0))
    air = 3 * 4 * 2 * SIDE * SIDE // 4
    clipped = [m for m in caplog.messages if "clipped" in m]
    assert len(clipped) == 1
    assert clipped[0].startswith(f"{air} of {4 * air} pixels lie outside hu_window (-200.0, 1000.0)")


# Refusals


def test_a_position_in_one_series_only(mayo: Path) -> None:
    path = at_position(mayo, "L1", "quarter_3mm", -24.0)
    lone = at_position(mayo, "L1", "full_3mm", -24.0)
    path.unlink()
    message = refusal(mayo)
    assert "patient L1: 3 low-dose and 4 normal-dose slices" in message
    assert f"position -24 mm is in the normal-dose series only ({lone})" in message
    # Equal counts do not help where the positions differ.
    write_slice(path, stored_slice(1, "quarter_3mm", 2), -24.5)
    assert "position -24.5 mm is in the low-dose series only" in refusal(mayo)


def test_two_slices_at_one_position(mayo: Path) -> None:
    write_slice(mayo / "L0/full_3mm/again.dcm", stored_slice(0, "full_3mm", 0), POSITIONS[0] + 0.05)
    assert "patient L0: two normal-dose slices at position -30 mm" in refusal(mayo)


@pytest.mark.parametrize(
    ("attribute", "value", "name"),
    [
        ("PixelSpacing", [0.8, 0.8], "spacing"),
        ("ImagePositionPatient", [-11.0, -12.0, POSITIONS[0]], "origin"),
        ("ImageOrientationPatient", [-1, 0, 0, 0, -1, 0], "orientation"),
    ],
)
def test_partners_that_show_different_places(mayo: Path, attribute: str, value: list[float], name: str) -> None:
    path = at_position(mayo, "L0", "full_3mm", POSITIONS[0])
    dataset = pydicom.dcmread(path)
    setattr(dataset, attribute, value)
    dataset.save_as(path)
    assert re.search(f"patient L0: at position -30 mm the {name} is .* the pixels of a pair must match", refusal(mayo))


def test_partners_of_different_shape(mayo: Path) -> None:
    path = at_position(mayo, "L0", "full_3mm", POSITIONS[0])
    write_slice(path, np.zeros((SIDE, 2 * SIDE), np.uint16), POSITIONS[0])
    assert "the shape is (32, 32)" in refusal(mayo)


def test_slices_of_several_shapes_need_patches(mayo: Path) -> None:
    for role in ROLES:
        write_slice(at_position(mayo, "L0", role, -30.0), np.full((SIDE, 2 * SIDE), 1024, np.uint16), -30.0)
    assert "patch_size=0: whole slices must be of one shape" in refusal(mayo)
    assert "patch_size=33" in refusal(mayo, patch_size=33)
    prepare(mayo, patch_size=32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test_patients": ["L9"]}, "mayo has L0, L1, L2"),
        ({"test_patients": []}, "the test split is empty; "),
        ({"test_patients": ["L0", "L1", "L2"]}, "the train split is empty; "),
        ({"hu_window": (100.0, -100.0)}, "hu_window"),
        ({"max_air_fraction": 2.0}, "max_air_fraction=2.0"),
        ({"low_dose_folder": "full_3mm"}, "both 'full_3mm'"),
        ({"low_dose_folder": "tenth", "normal_dose_folder": "whole"}, "no patient has folders tenth and whole"),
        ({"low_dose_folder": "tenth"}, "patient L0: no low-dose series"),
    ],
)
def test_wrong_arguments(mayo: Path, arguments: dict, message: str) -> None:
    assert message in refusal(mayo, **arguments)


def test_the_survey_reports_its_progress(mayo: Path) -> None:
    surveyed, written = [], []
    prepare(mayo, survey_progress=lambda *call: surveyed.append(call), progress=lambda *call: written.append(call))
    assert surveyed == [(done, 12) for done in range(1, 13)]
    assert written[-1] == (12, 12)


def test_nothing_but_air(mayo: Path) -> None:
    for path in (mayo / "L2").rglob("*.IMA"):
        write_slice(path, np.zeros((SIDE, SIDE), np.uint16), float(pydicom.dcmread(path).ImagePositionPatient[2]))
    assert "the test split is empty: every patch is mostly air" in refusal(mayo, patch_size=8)


def test_folders_of_one_patient_id_stay_together(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_patients(tmp_path / "in", ["L0", "L1", "L2"], tcia=True)

    def rename(folder: str, patient_id: str) -> None:
        for path in (root / folder).rglob("*.IMA"):
            dataset = pydicom.dcmread(path)
            dataset.PatientID = patient_id
            dataset.save_as(path)

    rename("L1", "X")
    rename("L2", "X")
    assert "L2 and the training folder L1 are of one PatientID, X" in refusal(root)
    # An id that all share is an anonymiser's placeholder, and tells nobody apart.
    for folder in ("L0", "L1", "L2"):
        rename(folder, "ANONYMOUS")
    assert prepare(root)["patients"]["test"] == ["L2"]
    assert "PatientID is ANONYMOUS in every folder" in caplog.text


def test_tcia_series(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_patients(tmp_path / "in", ["L0", "L1", "L2", "G3"], tcia=True)
    low, full = (root / "G3/study" / f"1.0-{ROLES[role]}" for role in ROLES)
    for path in low.iterdir():
        path.unlink()
    assert "1 patients have no series 'Low Dose Images': G3" in refusal(root, strict=True)
    assert prepare(root, low_dose_description="low dose")["patients"]["train"] == ["L0", "L1"]
    assert "no series 'low dose': G3; left out" in caplog.text
    (root.parent / "records").rename(root.parent / "done")
    assert "both match the series" in refusal(root, low_dose_description="dose")
    assert "the series found are 'Full Dose Images', 'Low Dose Images'" in refusal(
        root, low_dose_description="tenth", normal_dose_description="whole"
    )
    full.rename(root / "L0/study/2.0-again")
    assert "patient L0: two normal-dose series" in refusal(root)


# Malformed files


@pytest.mark.parametrize("kind", ["no preamble", "truncated header", "truncated pixels", "empty", "no slope"])
def test_a_malformed_file_is_named_counted_and_skipped(mayo: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    path = at_position(mayo, "L1", "quarter_3mm", -27.0)
    content = path.read_bytes()
    if kind == "no slope":
        write_slice(path, stored_slice(1, "quarter_3mm", 1), -27.0, RescaleSlope=None)
    else:
        kinds = {"no preamble": b"not DICOM" * 99, "truncated header": content[:400], "empty": b""}
        path.write_bytes(kinds.get(kind, content[:-100]))
    assert str(path) in refusal(mayo, strict=True)
    manifest = prepare(mayo)
    assert manifest["splits"]["train"]["records"] == 7
    assert len(manifest["input_files"]) == 22
    assert f"skipped: {path}" in caplog.text
    assert "1 malformed DICOM files skipped, and 1 slices that lost their partner" in caplog.messages
    assert all(record.levelno == logging.WARNING for record in caplog.records)


def test_a_malformed_file_excuses_one_slice_not_two(mayo: Path) -> None:
    at_position(mayo, "L1", "quarter_3mm", -24.0).unlink()
    at_position(mayo, "L1", "quarter_3mm", -27.0).write_bytes(b"")
    assert "patient L1: 2 low-dose and 4 normal-dose slices do not pair" in refusal(mayo)


def test_a_series_without_a_readable_slice(mayo: Path) -> None:
    for path in (mayo / "L1/full_3mm").iterdir():
        path.write_bytes(b"x")
    assert "patient L1: no readable normal-dose slice" in refusal(mayo)


def test_pairs_without_readable_pixels(mayo: Path) -> None:
    for path in (mayo / "L1/full_3mm").iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    assert "patient L1: none of its 4 pairs can be read" in refusal(mayo)


def test_other_files_are_no_slices(mayo: Path) -> None:
    (mayo / "L0/full_3mm/LICENSE").write_text("text")
    (mayo / "L0/full_3mm/._1-000.IMA").write_bytes(b"macOS")
    (mayo / "notes").mkdir()
    assert json.dumps(prepare(mayo, strict=True)["input_files"]).count("IMA") == 24


def test_without_pydicom(mayo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert refusal(mayo) == "the DICOM source needs pydicom: pip install 'wgan-vgg[dicom]'"


def test_a_slice_is_decoded_once_a_pass_not_once_a_patch(mayo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = prepare_module.PatchReader.read

    def counting(reader: Any, pair: Any) -> Any:
        before = getattr(reader._kept, "pair", None)
        calls.append(pair is not before)
        return original(reader, pair)

    monkeypatch.setattr(prepare_module.PatchReader, "read", counting)
    prepare(mayo, patch_size=8, shards=2, workers=1)
    # 12 pairs in the survey and 12 in the records, the first once more for its shape; no slice is cut by a shard's end.
    assert sum(calls) == 12 + 12 + 1
    assert len(calls) == 12 + 1 + 144


# By script


def test_prepare_and_train_by_script(mayo: Path, tmp_path: Path, script: Callable[..., tuple[int, str, str]]) -> None:
    output_dir = tmp_path / "out"
    source = ["--source=dicom", f"--input_dir={mayo}", f"--output_dir={output_dir}", "--test_patients=L2"]
    status, _, err = script("prepare", *source)
    assert (status, "take --preset=yang2018 or --noise=none" in err) == (2, True)
    status, out, err = script("prepare", "--preset=yang2018", "--patch_size=0", *source)
    assert (status, "train: 8 images, patients: 2" in out) == (0, True), err
    assert "look through the slices: 12/12" in err
    run = ["--preset=yang2018", "--model=generator-mse", "--batch_size=4", "--epochs=1", "--set=input.patch_size=16"]
    status, out, err = script("train", *run, f"--data_dir={output_dir}", f"--workdir={tmp_path / 'run'}")
    assert (status, out.startswith("step 2: test psnr")) == (0, True), err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--test_patients=L9"], "L9"),
        (["--hu_window=low,high"], "expected two numbers"),
        (["--test_patients=L2", "--patch_size=0", "--strict"], "broken.IMA: not a readable DICOM image"),
        (["--download=test"], "goes with --source=lodopab"),
    ],
)
def test_mistakes_by_script(
    mayo: Path, tmp_path: Path, script: Callable[..., Any], flags: list[str], message: str
) -> None:
    (mayo / "L0" / "full_3mm" / "broken.IMA").write_bytes(b"not DICOM")
    source = ["--source=dicom", "--preset=yang2018", f"--input_dir={mayo}", f"--output_dir={tmp_path / 'out'}"]
    status, out, err = script("prepare", *source, *flags)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert message in err
    assert not (tmp_path / "out").exists()
