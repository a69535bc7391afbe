"""Which slices train, validate and test: patient-disjoint selection, the notebook's by files, the leakage check."""

import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from data_prep.errors import InputError
from data_prep.lodopab import SLICES_PER_FILE, SliceRef

logger = logging.getLogger(__name__)

Splits = dict[str, list[SliceRef]]
_ONE_IN = 10  # training patients is held out for validation


def by_patients(candidates: Splits, counts: Mapping[str, int], seed: int) -> Splits:
    """Patient-disjoint splits of exactly `counts` slices (0: all that there are).

    Whole patients are taken in seeded order, test first and training last, the last one cut so that the count is
    exact; no patient of a split is left for the next. Where no patient is known (no CSV files), the given candidates
    are the split and are taken in their order, with a warning.

    Args:
      candidates: the slices that each split may take: "train", "test" and, if wanted, "validation". A validation
        split with all of training's candidates and a count of 0 takes one patient in ten of them.
      counts: slices by split.
      seed: decides the patients' order.

    Raises:
      InputError: an empty split, or unknown patients and candidates that overlap.
    """
    if any(ref.patient_id is None for refs in candidates.values() for ref in refs):
        refs = [ref for refs in candidates.values() for ref in refs]
        if len(set(refs)) < len(refs):
            raise InputError(
                "the parts of two splits overlap and the patients are unknown: put the patient_ids_rand_*.csv "
                "files beside the HDF5 files, or take different parts"
            )
        logger.warning("patients unknown (no patient_ids_rand_*.csv): the official parts are the split")
        return _checked({name: _cut(refs, counts[name], f"num_{name}") for name, refs in candidates.items()})
    chosen: Splits = {}
    taken: set[str] = set()
    for name in ("test", "validation", "train"):
        if name not in candidates:
            continue
        left = _in_patient_order([ref for ref in candidates[name] if ref.patient_id not in taken], seed)
        if name == "validation" and not counts[name] and set(candidates[name]) >= set(candidates["train"]):
            in_order = list(dict.fromkeys(ref.patient_id for ref in left))
            held_out = set(in_order[: max(1, len(in_order) // _ONE_IN)])
            left = [ref for ref in left if ref.patient_id in held_out]
        chosen[name] = _cut(left, counts[name], f"num_{name}")
        taken |= patients(chosen[name])
    return _checked({name: chosen[name] for name in candidates})


def by_files(candidates: Splits, counts: Mapping[str, int]) -> Splits:
    """The notebook's selection: whole files, test from the last ones, training from all before them.

    Validation takes what is in neither.

    On LoDoPaB's validation and test parts with 6272 and 640 slices this takes validation files 000-026 and
    test files 000-021 to train, test files 022-026 to test. A file mixes patients, so patients leak.

    Raises:
      InputError: an empty split.
    """
    train, test, num_test = candidates["train"], candidates["test"], counts["test"]
    full = {ref.path for ref in (*train, *test) if ref.row == SLICES_PER_FILE - 1}
    whole_files = [path for path in dict.fromkeys(ref.path for ref in test) if path in full]
    wanted = -(-num_test // SLICES_PER_FILE) if num_test else max(1, len(whole_files) // 5)
    test_files = set(whole_files[-wanted:])
    chosen = {
        "train": [ref for ref in train if ref.path in full - test_files],
        "test": [ref for ref in test if ref.path in test_files],
    }
    if not chosen["train"] and full:
        raise InputError(
            f"data.num_test={num_test}: the train split is empty, since all full files that it may take "
            f"({len(full & test_files)}) are tested on; give a smaller one"
        )
    if "validation" in candidates:
        others = {ref.path for refs in chosen.values() for ref in refs}
        chosen["validation"] = [ref for ref in candidates["validation"] if ref.path not in others]
    return _checked({name: _cut(chosen[name], counts[name], f"num_{name}") for name in candidates})


def patients(refs: Iterable[SliceRef]) -> set[str]:
    """The known patients of some slices."""
    return {ref.patient_id for ref in refs if ref.patient_id is not None}


def leaking_patients(splits: Splits) -> list[str] | None:
    """Patients who occur in more than one split; None where the patients are unknown."""
    if any(ref.patient_id is None for refs in splits.values() for ref in refs):
        return None
    pairs = itertools.combinations([patients(refs) for refs in splits.values()], 2)
    return sorted(set().union(*(one & other for one, other in pairs)))


def _in_patient_order(refs: Sequence[SliceRef], seed: int) -> list[SliceRef]:
    """The slices of known patients, who are shuffled by the seed."""
    by_patient: dict[str, list[SliceRef]] = {}
    for ref in refs:
        by_patient.setdefault(str(ref.patient_id), []).append(ref)
    order = np.random.default_rng(np.random.SeedSequence(seed)).permutation(sorted(by_patient))
    return [ref for patient in order for ref in by_patient[patient]]


def _cut(refs: Sequence[SliceRef], count: int, argument: str) -> list[SliceRef]:
    if count > len(refs):
        logger.warning("%s=%d: only %d slices are there, taking them all", argument, count, len(refs))
    return list(refs[: count or None])


def _checked(splits: Splits) -> Splits:
    for name, refs in splits.items():
        if not refs:
            raise InputError(
                f"the {name} split is empty: no slice is left for it; give more files or other parts, or "
                "--set=data.patient_ids_per_part=true where each part counts its patients anew"
            )
    # In file order, so that each file is opened once.
    return {name: sorted(refs, key=lambda ref: (ref.part, ref.index)) for name, refs in splits.items()}
