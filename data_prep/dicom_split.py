"""Which patients of a folder of DICOM series train, validate and test."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep.dicom_pairs import SlicePair
from data_prep.errors import InputError

logger = logging.getLogger(__name__)

_ONE_IN = 10  # training patients validates


def split_patients(
    input_dir: Path,
    patients: Mapping[str, Sequence[SlicePair]],
    test_patients: Sequence[str],
    validation_patients: Sequence[str] | None,
    seed: int,
) -> dict[str, list[str]]:
    """Which patients of `input_dir`, by folder, train, validate and test; see prepare_dicom.

    Raises:
      InputError: an id that no patient has, a patient named for two splits, an empty split, or folders of one PatientID
        in two splits.
    """
    ids = {
        folder: {header.patient_id for pair in pairs for header in pair.headers} - {""}
        for folder, pairs in patients.items()
    }
    listed = f"{input_dir} has " + ", ".join(list(patients)[:10]) + (" ..." if len(patients) > 10 else "")
    for name, wanted in (("test_patients", test_patients), ("validation_patients", validation_patients or ())):
        unknown = set(wanted) - set(patients) - set().union(*ids.values())
        if unknown:
            raise InputError(f"{name}={sorted(unknown)[0]}: no such patient; {listed}")
    one_for_all = set.intersection(*ids.values()) if ids else set()
    if one_for_all:
        logger.warning("PatientID is %s in every folder, so patients are distinguished by folder", min(one_for_all))
    test = [folder for folder in patients if {folder, *ids[folder]} & set(test_patients)]
    for folder in test:
        if {folder, *ids[folder]} & set(validation_patients or ()):
            raise InputError(f"validation_patients: {folder} is one of test_patients, too; name it in one of them")
    train = [folder for folder in patients if folder not in test]
    if validation_patients is None:
        validation = _held_out(train, {} if one_for_all else ids, seed)
    else:
        validation = [folder for folder in train if {folder, *ids[folder]} & set(validation_patients)]
    train = [folder for folder in train if folder not in validation]
    for name, folders, way_out in (("train", train, "fewer"), ("test", test, "some")):
        if not folders:
            raise InputError(
                f"test_patients={','.join(test_patients)}: the {name} split is empty; name {way_out}, {listed}"
            )
    split = {"train": train} | ({"validation": validation} if validation else {}) | {"test": test}
    for (name, first), (other, second) in itertools.combinations(split.items(), 2):
        for one, two in itertools.product(first, second):
            if not one_for_all and (shared := ids[one] & ids[two]):
                raise InputError(
                    f"{other}_patients: {two} and {one} of the {name} split are of one PatientID, {min(shared)}; "
                    "put both into one"
                )
    return split


def _held_out(folders: Sequence[str], ids: Mapping[str, set[str]], seed: int) -> list[str]:
    """One patient in ten, at least one; none where there is but one. Folders of one PatientID go together."""
    patients: dict[frozenset[str] | str, list[str]] = {}
    for folder in folders:
        patients.setdefault(frozenset(ids.get(folder, ())) or folder, []).append(folder)
    if len(patients) < 2:
        logger.warning("one patient is left for training, so there is no validation split")
        return []
    order = np.random.default_rng(np.random.SeedSequence(seed)).permutation(len(patients))
    groups = [list(patients.values())[number] for number in order[: max(1, len(patients) // _ONE_IN)]]
    return [folder for folder in folders if any(folder in group for group in groups)]
