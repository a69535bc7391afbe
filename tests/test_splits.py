"""data_prep.splits: patients apart from each other, exact counts, the notebook's selection by files."""

import pytest

from data_prep import lodopab, splits
from data_prep.errors import InputError


def references(patients, part="train", rows_a_file=128):
    return [
        lodopab.SliceRef(part, f"{part}_{i // rows_a_file}", i // rows_a_file, i % rows_a_file, i, patient)
        for i, patient in enumerate(patients)
    ]


def by_patients(train, test, num_train=0, num_test=0, seed=0, **validation):
    candidates = {"train": train, "test": test} | validation
    return splits.by_patients(candidates, {"train": num_train, "validation": 0, "test": num_test}, seed)


def test_patients_are_disjoint_and_counts_exact():
    candidates = references([str(i % 10) for i in range(100)])
    chosen = by_patients(candidates, candidates, num_train=55, num_test=17, seed=3)
    assert (len(chosen["train"]), len(chosen["test"])) == (55, 17)
    assert splits.leaking_patients(chosen) == []
    assert len(splits.patients(chosen["test"])) == 2, "one whole patient of 10 slices and a cut one"


def test_validation_of_trainings_own_part_holds_one_patient_in_ten_out():
    candidates = references([str(i % 30) for i in range(120)])
    chosen = by_patients(candidates, references(["t"] * 5, "test"), validation=candidates)
    assert {name: len(refs) for name, refs in chosen.items()} == {"train": 108, "test": 5, "validation": 12}
    assert len(splits.patients(chosen["validation"])) == 3
    assert splits.leaking_patients(chosen) == []
    few = by_patients(candidates[:2], references(["t"], "test"), validation=candidates[:2])
    assert len(few["validation"]) == 1, "at least one"


def test_a_patient_in_validation_and_test_leaks():
    parts = {name: references([patient], name) for name, patient in (("train", "1"), ("validation", "2"))}
    assert splits.leaking_patients(parts | {"test": references(["2"], "test")}) == ["2"]
    assert splits.leaking_patients(parts | {"test": references(["3"], "test")}) == []


def test_the_seed_orders_the_patients():
    candidates = references([str(i % 10) for i in range(100)])
    tests = [splits.patients(by_patients(candidates, candidates, num_test=10, seed=seed)["test"]) for seed in range(6)]
    assert len(set(map(frozenset, tests))) > 1


def test_unknown_patients_warn_once_and_keep_the_parts(caplog):
    chosen = by_patients(references([None] * 5), references([None] * 3, "test"), num_train=4)
    assert [len(refs) for refs in chosen.values()] == [4, 3]
    assert splits.leaking_patients(chosen) is None
    assert [record.message for record in caplog.records if "patients unknown" in record.message] != []
    with pytest.raises(InputError, match="overlap and the patients are unknown"):
        by_patients(references([None] * 5), references([None] * 5))


def test_the_notebooks_selection_by_files_leaks():
    # As in LoDoPaB: 28 files a part, the last one padded; 49 files train and 5 test.
    validation = references([f"v{i % 60}" for i in range(27 * 128 + 66)], "validation")
    test = references([f"t{i % 60}" for i in range(27 * 128 + 97)], "test")
    candidates = {"train": [*validation, *test], "test": test}
    chosen = splits.by_files(candidates, {"train": 6272, "test": 640})
    assert (len(chosen["train"]), len(chosen["test"])) == (6272, 640)
    assert {ref.file_number for ref in chosen["test"]} == {22, 23, 24, 25, 26}
    train_files = {(ref.part, ref.file_number) for ref in chosen["train"]}
    assert train_files == {("validation", n) for n in range(27)} | {("test", n) for n in range(22)}
    assert len(splits.leaking_patients(chosen)) == 60


def test_no_file_is_left_to_train_on():
    test = references([f"t{i % 60}" for i in range(2 * 128)], "test")
    with pytest.raises(InputError, match=r"data.num_test=640: the train split is empty, .*\(2\).* give a smaller one"):
        splits.by_files({"train": test, "test": test}, {"train": 0, "test": 640})


def test_empty_split():
    with pytest.raises(InputError, match="train split is empty"):
        by_patients(references(["1"] * 3), references(["1"] * 3, "test"))


def test_a_file_begun_for_the_test_split_is_no_training_file():
    """Fails where 129 test images are taken of the last file alone, which has 128."""
    test = references([f"t{i % 60}" for i in range(3 * 128)], "test")
    chosen = splits.by_files({"train": test, "test": test}, {"train": 0, "test": 129})
    assert len(chosen["test"]) == 129
    assert {ref.file_number for ref in chosen["train"]} == {0}
