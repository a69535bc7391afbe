"""Which series below a patient's folder are taken, of which files; and what is left out or refused."""

import errno
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicom_files import (
    POSITIONS,
    ROLES,
    prepare,
    records,
    refusal,
    stored_slice,
    write_patients,
    write_single,
    write_slice,
)

from data_prep.dicom_split import split_patients

ALONE = {"noise": "poisson", "dose": 0.25, "photons": 1e5}
PATIENTS = ["L0", "L1", "L2"]


def write_low_dose(folder: Path, description: str) -> None:
    for index, z in enumerate(POSITIONS):
        path, stored = folder / f"{index}.dcm", stored_slice(1, "quarter_3mm", index)
        write_slice(path, stored, z, SeriesDescription=description, PatientID="L1")


@pytest.mark.parametrize(("place", "description"), [("quarter_3mm", "Abdomen"), ("study/low", "1.0 Low Dose Images")])
def test_a_low_dose_series_is_never_taken_for_the_normal_dose(tmp_path: Path, place: str, description: str) -> None:
    root = write_single(tmp_path / "in", PATIENTS)
    write_low_dose(root / "L1" / place, description)
    manifest = prepare(root, **ALONE)
    assert [name for name in manifest["input_files"] if name.startswith("L1")] == [
        f"L1/study/1-Abdomen/{index}.dcm" for index in range(4)
    ]
    (root.parent / "records").rename(root.parent / "both")
    (root / "L1/study/1-Abdomen").rename(tmp_path / "elsewhere")
    assert f"patient L1: no normal-dose series, only of low dose; complete {root / 'L1'}" in refusal(root, **ALONE)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"SeriesInstanceUID": "1.2.3"}, "L1/full_3mm holds several series; keep one"),
        ({"PatientID": "X"}, "patient L1: the slices are of different patients, PatientID L1, X; keep one's"),
        (
            {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]},
            r"patient L1: the orientation is (1.0, 0.0, 0.0, 0.0, 1.0, 0.0) in ",
        ),
    ],
)
def test_what_does_not_belong_to_a_series_alone(mayo: Path, attributes: dict, message: str) -> None:
    folder = mayo / "L1/full_3mm"
    uid = pydicom.dcmread(next(folder.iterdir())).SeriesInstanceUID
    more = {"PatientID": "L1", "SeriesInstanceUID": uid} | attributes
    write_slice(folder / "other.dcm", stored_slice(1, "full_3mm", 0), 50.0, **more)
    assert message in refusal(mayo, **ALONE)


def test_folders_without_a_series_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_patients(tmp_path / "in", PATIENTS, tcia=True)
    (root / "notes").mkdir()
    (root / "notes/LICENSE").write_text("text")
    prepare(root, strict=True)
    said = r"have no series (of files that end in .ima or .dcm, or are DICOM without a suffix) to take: "
    assert f"1 folders {said}notes; left out" in caplog.messages
    (root.parent / "records").rename(root.parent / "done")
    write_low_dose(root / "scouts", "Scout")
    assert f"2 folders {said}notes, scouts; complete or remove them" in refusal(root, strict=True)
    assert prepare(root)["patients"]["train"] == ["L0", "L1"]
    assert f"2 folders {said}notes, scouts; left out" in caplog.messages


def test_files_without_a_suffix_are_known_by_their_content(tmp_path: Path) -> None:
    root = write_patients(tmp_path / "in", PATIENTS, tcia=True)
    for name in PATIENTS:
        for number, path in enumerate(sorted((root / name).rglob("*.IMA"))):
            path.rename(path.with_name(f"IM{number}" if name == "L0" else f"1.2.840.{number}"))
    # What archives write beside them.
    write_slice(root / "L0/DICOMDIR", stored_slice(0, "full_3mm", 0))
    (root / "L0/study/VERSION").write_text("1" * 200)
    manifest = prepare(root, strict=True)
    assert len(manifest["input_files"]) == 3 * 2 * len(POSITIONS)
    assert len(records(root, "train")) == 2 * len(POSITIONS)


def test_a_file_without_a_suffix_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_patients(tmp_path / "in", PATIENTS, tcia=True)
    secret = next((root / "L0").rglob("*.IMA")).with_name("VERSION")
    secret.write_text("1" * 200)
    open_path = Path.open

    def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path == secret:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open_path(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    assert prepare(root)["patients"]["train"]
    assert any(f"skipped: {secret}" in message for message in caplog.messages)


def test_one_series_may_lie_in_two_folders(tmp_path: Path) -> None:
    root = write_single(tmp_path / "in", PATIENTS, SeriesInstanceUID="1.2.3")
    (root / "L1/study/2").mkdir()
    (root / "L1/study/1-Abdomen/0.dcm").rename(root / "L1/study/2/0.dcm")
    assert prepare(root, **ALONE)["splits"]["train"]["records"] == 2 * len(POSITIONS)
    (root.parent / "records").rename(root.parent / "done")
    for path in [*(root / "L1/study/2").iterdir()]:
        write_slice(path, stored_slice(1, "full_3mm", 0), POSITIONS[0], SeriesDescription="Abdomen", PatientID="L1")
    first, second = root / "L1/study/1-Abdomen", root / "L1/study/2"
    assert f"patient L1: 2 series 'Abdomen', {first}, {second}; keep one" in refusal(root, **ALONE)


def test_a_pairs_series_may_lie_in_two_folders(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for number, name in enumerate(PATIENTS):
        for role, description in ROLES.items():
            for index, z in enumerate(POSITIONS):
                path = root / name / f"{role}-{index % 2}" / f"{index}.dcm"
                uid = {"SeriesInstanceUID": f"1.2.{number}.{len(role)}"}
                stored = stored_slice(number, role, index)
                write_slice(path, stored, z, SeriesDescription=description, PatientID=name, **uid)
    assert prepare(root)["splits"]["train"]["records"] == 2 * len(POSITIONS)


def test_the_seed_decides_which_patients_validate(tmp_path: Path) -> None:
    """Fails where it is always the same of 20; a seed says the same twice."""
    patients = {f"L{number}": [] for number in range(20)}

    def validation(seed: int) -> tuple[str, ...]:
        return tuple(split_patients(tmp_path, patients, ["L0"], None, seed)["validation"])

    found = [validation(seed) for seed in range(6)]
    assert [len(names) for names in found] == [1] * 6
    assert len(set(found)) > 1
    assert found == [validation(seed) for seed in range(6)]
