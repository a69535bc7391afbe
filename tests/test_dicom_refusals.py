"""DICOM series that cannot be paired or read: refused or skipped by name."""

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from conftest import REPO
from deployed import identity_run
from dicom_files import POSITIONS, ROLES, SIDE, at_position, prepare, refusal, stored_slice, write_patients, write_slice


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
        ({"test_patients": []}, "the test split is empty; name some, "),
        ({"test_patients": ["L0", "L1", "L2"]}, "the train split is empty; name fewer, "),
        ({"hu_window": (100.0, -100.0)}, "hu_window"),
        ({"max_air_fraction": 2.0}, "max_air_fraction=2.0"),
        ({"low_dose_folder": "full_3mm"}, "both 'full_3mm'"),
        ({"low_dose_folder": "tenth", "normal_dose_folder": "whole"}, "no patient has folders tenth and whole"),
        ({"low_dose_folder": "tenth"}, "patient L0: no low-dose series"),
    ],
)
def test_wrong_arguments(mayo: Path, arguments: dict, message: str) -> None:
    assert message in refusal(mayo, **arguments)


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
    assert "L2 and L1 of the train split are of one PatientID, X" in refusal(root)
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
    assert refusal(mayo) == 'the DICOM source needs pydicom: pip install -e ".[dicom]"'


def test_what_pydicom_logs_is_not_shown(tmp_path):
    dataset = pydicom.dcmread(write_slice(tmp_path / "a.dcm", np.arange(81, dtype=np.uint16).reshape(9, 9)))
    dataset.compress(pydicom.uid.RLELossless)
    dataset.PixelData = pydicom.encaps.encapsulate([b"damaged"])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(tmp_path / "a.dcm")
    run = identity_run(tmp_path / "run").path
    flags = [f"--model_dir={run}", f"--input={tmp_path / 'a.dcm'}", f"--output={tmp_path / 'b.dcm'}"]
    command = [sys.executable, "-m", "experiments.denoise", *flags]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr


def test_in_a_folder_other_modalities_are_passed_over_and_a_uid_that_occurs_twice_is_named(script, tmp_path):
    model = identity_run(tmp_path / "model").path
    write_slice(tmp_path / "in" / "a.dcm", np.full((9, 9), 1000, np.uint16))
    write_slice(tmp_path / "in" / "mr.dcm", np.full((9, 9), 1000, np.uint16), Modality="MR")
    (tmp_path / "in" / "b.dcm").write_bytes((tmp_path / "in" / "a.dcm").read_bytes())
    flags = (f"--model={model}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    status, out, _ = script("denoise", *flags)
    assert (status, "1 files" in out, "1 left out, 1 passed over" in out) == (5, True, True)
    assert f"left out: {tmp_path / 'in' / 'b.dcm'}" in out
