"""DICOM series for the tests, written with pydicom in the layouts of the challenge and of TCIA."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from data_prep.config import DataConfig
from data_prep.errors import InputError
from data_prep.prepare_dicom import prepare_dicom
from data_prep.series_names import SeriesNames
from wgan_vgg.input_pipeline import DataSet

SIDE = 32
POSITIONS = (-30.0, -27.0, -24.0, -21.0)


def jpeg_lossless(image: np.ndarray, selection: int = 1) -> bytes:
    """A grey image of 16 bits as JPEG Lossless (ITU-T T.81, process 14), predicted by selection value 1 or 4.

    One Huffman table, in which each of the 17 categories has a code of 5 bits.
    """
    rows, columns = image.shape
    values = image.astype(np.int64)
    predicted = np.empty_like(values)
    predicted[1:, 1:] = values[1:, :-1] + (values[:-1, 1:] - values[:-1, :-1] if selection == 4 else 0)
    predicted[0, 1:], predicted[1:, 0], predicted[0, 0] = values[0, :-1], values[:-1, 0], 1 << 15
    bits = []
    for difference in ((values - predicted + 32768) % 65536 - 32768).ravel().tolist():
        category = abs(difference).bit_length()
        bits.append(f"{category:05b}")
        if 0 < category < 16:
            bits.append(f"{difference if difference > 0 else difference + (1 << category) - 1:0{category}b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")

    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content

    frame = bytes([16, *rows.to_bytes(2, "big"), *columns.to_bytes(2, "big"), 1, 1, 0x11, 0])
    table = bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    begin = b"\xff\xd8" + segment(0xC3, frame) + segment(0xC4, table) + segment(0xDA, bytes([1, 1, 0, selection, 0, 0]))
    return begin + scan + b"\xff\xd9"


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


def write_series(folder: Path, count: int = 4, side: int = 24, suffix: str = ".dcm", **attributes: Any) -> Path:
    """Slices of unsigned noise, named by number."""
    for number in range(count):
        stored = np.random.default_rng(number).integers(0, 4000, (side, side)).astype(np.uint16)
        write_slice(folder / f"{number}{suffix}", stored, float(number), **attributes)
    return folder


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


def write_single(root: Path, patients: list[str], descriptions: tuple[str, ...] = ("Abdomen",), **more: Any) -> Path:
    """Patients of one normal-dose series each, by description."""
    for number, name in enumerate(patients):
        for description in descriptions:
            for index, z in enumerate(POSITIONS):
                path = root / name / "study" / f"1-{description}" / f"{index}.dcm"
                extra = {"SeriesDescription": description, "PatientID": name} | more
                write_slice(path, stored_slice(number, "full_3mm", index), z, **extra)
    return root


def at_position(root: Path, patient: str, role: str, z: float) -> Path:
    """The file of a Mayo-style series at a position."""
    return next(p for p in (root / patient / role).iterdir() if pydicom.dcmread(p).ImagePositionPatient[2] == z)


def prepare(root: Path, **arguments: Any) -> dict[str, Any]:
    """prepare_dicom to a new folder beside the input, without a validation split where none is asked for.

    Arguments with the name of a setting go into the DataConfig.
    """
    values = {"noise": "none", "noise_variance": None, "patch_size": 0, "shards": 1}
    values |= {field.name: arguments.pop(field.name) for field in fields(DataConfig) if field.name in arguments}
    settings = {"seed": 0, "test_patients": ["L2"], "validation_patients": ()} | arguments
    names = {field.name: settings.pop(field.name) for field in fields(SeriesNames) if field.name in settings}
    return prepare_dicom(root, root.parent / "records", DataConfig(**values), names=SeriesNames(**names), **settings)


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
