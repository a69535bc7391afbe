"""DICOM series to records: both layouts, patches, shards, the script."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import tensorflow as tf
from dicom_files import (
    POSITIONS,
    ROLES,
    SIDE,
    prepare,
    records,
    refusal,
    stored_slice,
    write_patients,
    write_slice,
)

from data_prep import prepare_dicom as prepare_module
from data_prep import tfrecords
from wgan_vgg.input_pipeline import DataSet


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
    assert (manifest["data"]["noise"], manifest["data"]["patch_size"]) == ("none", 0)
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


def test_patches_of_lung_are_kept(mayo: Path) -> None:
    for path in mayo.rglob("*.IMA"):
        z = float(pydicom.dcmread(path).ImagePositionPatient[2])
        write_slice(path, np.full((SIDE, SIDE), 1024 - 850, np.uint16), z, PatientID=path.parts[-3])
    assert prepare(mayo, patch_size=8)["splits"]["test"]["records"] == 4 * 16


def test_the_pixels_side_is_unknown_where_patients_differ(mayo: Path) -> None:
    for path in (mayo / "L1").rglob("*.IMA"):
        dataset = pydicom.dcmread(path)
        dataset.PixelSpacing = [0.8, 0.8]
        dataset.save_as(path)
    assert prepare(mayo)["pixel_spacing_mm"] == "unknown"


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


def test_validation_patients_by_name_and_by_default(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_patients(tmp_path / "in", ["L0", "L1", "L2"])
    found = {}
    for name, wanted in (("named", ["L1"]), ("default", None), ("none", []), ("one left", None)):
        tested = ["L1", "L2"] if name == "one left" else ["L2"]
        found[name] = prepare(root, validation_patients=wanted, test_patients=tested)["patients"]
        (root.parent / "records").rename(root.parent / name)
    assert found["named"] == {"train": ["L0"], "validation": ["L1"], "test": ["L2"]}
    assert [len(ids) for ids in found["default"].values()] == [1, 1, 1], "one in ten, at least one"
    assert list(found["none"]) == list(found["one left"]) == ["train", "test"]
    assert "one patient is left for training, so there is no validation split" in caplog.text
    assert "validation_patients=L7: no such patient" in refusal(root, validation_patients=["L7"])
    assert "validation_patients: L2 is one of test_patients, too" in refusal(root, validation_patients=["L1", "L2"])


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


def test_the_survey_reports_its_progress(mayo: Path) -> None:
    calls = []
    prepare(mayo, progress=lambda *call: calls.append(call))
    assert calls[:12] == [("look through the slices", done, 12) for done in range(1, 13)]
    assert calls[-1] == ("convert to TFRecord", 12, 12)


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
    status, out, err = script("prepare", "--preset=yang2018", *source)
    # Whole slices, of the test split, too; training takes patches of them.
    assert (status, "train: 4 images, patients: 1" in out, "test: 4 images" in out) == (0, True, True), err
    assert DataSet.open(output_dir).image_shape == (SIDE, SIDE)
    assert "look through the slices: 12/12" in err
    run = ["--preset=yang2018", "--model=generator-mse", "--batch_size=4", "--epochs=1", "--set=input.patch_size=16"]
    status, out, err = script("train", *run, f"--data_dir={output_dir}", f"--workdir={tmp_path / 'run'}")
    assert (status, out.startswith("step 1: validation psnr")) == (0, True), err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--test_patients=L9"], "L9"),
        (["--hu_window=low,high"], "--hu_window=low,high: expected LOW,HIGH, two numbers"),
        (["--hu_window="], "--hu_window=: expected LOW,HIGH, two numbers"),
        (["--test_patients=L2", "--strict"], "broken.IMA: not a readable DICOM image"),
        (["--download=test"], "goes with --source=lodopab"),
        (["--test_patients=L2", "--image_size=64"], "data.image_size=64: decides nothing with --source=dicom"),
        (["--test_patients=L2", "--photons=1e5"], "data.photons=1e5: decides nothing with data.noise=none"),
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
