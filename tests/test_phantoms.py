"""Synthetic patients: LoDoPaB's layout to the letter, reproducible bytes, and images that are what they claim."""

import itertools

import h5py
import numpy as np
import pytest

from data_prep import lodopab, phantoms
from data_prep.errors import InputError
from data_prep.phantoms import flat_regions, make_patient, render_slice, write_phantoms

SIZE = lodopab.IMAGE_SIZE


@pytest.fixture
def marked_slices(monkeypatch):
    """Every pixel of patient n has the HU 10 * n instead of anatomy: quick, and tells whose slice a row is."""
    monkeypatch.setattr(phantoms, "make_patient", lambda _seed, patient: patient)
    monkeypatch.setattr(phantoms, "render_slice", lambda patient, _z: np.full((SIZE, SIZE), 10.0 * patient))


@pytest.fixture(scope="module")
def small_set(tmp_path_factory):
    """Two patients of two slices each, by one worker."""
    folder = tmp_path_factory.mktemp("phantoms") / "data"
    write_phantoms(folder, patients={"train": 2}, slices_per_patient=(2, 2), seed=5)
    return folder


def stored_slices(folder, part="train"):
    """(patient id, image) of every true slice, as the project's reader finds them."""
    refs = lodopab.list_slices(folder, part, lodopab.find_parts(folder)[part])
    with lodopab.SliceReader() as reader:
        return [(ref.patient_id, reader.read(ref)) for ref in refs]


def test_layout_is_that_of_the_real_data_set(tmp_path, marked_slices):
    folder = tmp_path / "data"
    write_phantoms(folder, patients={"train": 7, "validation": 0, "test": 2}, slices_per_patient=(20, 24), seed=3)

    assert sorted(path.name for path in folder.iterdir()) == [
        "ground_truth_test_000.hdf5",
        "ground_truth_train_000.hdf5",
        "ground_truth_train_001.hdf5",
        "patient_ids_rand_test.csv",
        "patient_ids_rand_train.csv",
    ]
    ids = (folder / "patient_ids_rand_train.csv").read_text().splitlines()
    assert 140 <= len(ids) <= 168
    with h5py.File(folder / "ground_truth_train_001.hdf5") as file:
        assert list(file) == ["data"]
        assert (file["data"].shape, file["data"].dtype) == ((128, SIZE, SIZE), np.float32)
        assert file["data"][len(ids) - 129].any(), "the last true slice is padding"
        assert not file["data"][len(ids) - 128 :].any(), "padding is not zero"
    assert (folder / "ground_truth_train_001.hdf5").stat().st_size < (len(ids) - 128 + 1) * SIZE * SIZE * 4
    assert [ref.patient_id for ref in lodopab.list_slices(folder, "train", lodopab.find_parts(folder)["train"])] == ids


def test_ids_count_through_the_parts_and_each_slice_has_its_own(tmp_path, marked_slices):
    # The mapping's order must not matter: LoDoPaB numbers train, validation, test.
    folder = tmp_path / "data"
    write_phantoms(folder, patients={"test": 2, "train": 3, "validation": 1}, slices_per_patient=(3, 6), seed=0)
    slices = {part: stored_slices(folder, part) for part in lodopab.PARTS}
    people = {part: {patient for patient, _ in found} for part, found in slices.items()}
    assert people == {"train": {"0", "1", "2"}, "validation": {"3"}, "test": {"4", "5"}}
    for patient, image in itertools.chain(*slices.values()):
        hu = lodopab.HU_SLOPE * image[0, 0] + lodopab.HU_INTERCEPT
        assert hu == pytest.approx(10 * int(patient), abs=0.1), "a row lies under another patient's id"


def test_a_file_mixes_patients(tmp_path, marked_slices):
    write_phantoms(tmp_path / "data", patients={"train": 4}, slices_per_patient=(10, 10), seed=0)
    ids = (tmp_path / "data/patient_ids_rand_train.csv").read_text().split()
    assert all(ids.count(patient) == 10 for patient in "0123")
    changes = sum(first != second for first, second in itertools.pairwise(ids))
    assert changes > 15, "slices lie patient by patient"  # 30 expected of a random order


def test_slice_counts_keep_their_bounds_and_vary(tmp_path, marked_slices):
    write_phantoms(tmp_path / "data", patients={"train": 12}, slices_per_patient=(2, 4), seed=1)
    ids = (tmp_path / "data/patient_ids_rand_train.csv").read_text().split()
    assert {ids.count(patient) for patient in set(ids)} == {2, 3, 4}


def test_progress_counts_every_slice(tmp_path, marked_slices):
    calls = []
    write_phantoms(
        tmp_path / "data",
        patients={"train": 2, "test": 1},
        slices_per_patient=(3, 3),
        seed=0,
        progress=lambda *call: calls.append(call),
    )
    assert calls == [("make phantoms", done, 9) for done in range(1, 10)]


@pytest.mark.parametrize(("seed", "same"), [(5, True), (6, False)])
def test_bytes_follow_from_the_seed_alone(tmp_path, small_set, seed, same):
    again = tmp_path / "data"
    write_phantoms(again, patients={"train": 2}, slices_per_patient=(2, 2), seed=seed)
    pairs = zip(stored_slices(small_set), stored_slices(again), strict=True)
    equal = [first[0] == second[0] and first[1].tobytes() == second[1].tobytes() for first, second in pairs]
    assert all(equal) if same else not any(equal)


def test_stored_values_are_lodopabs(small_set):
    for _, image in stored_slices(small_set):
        assert image.min() >= 0
        assert image.max() <= 1
        assert 0.06 < image.mean() < 0.17, "stored as HU, or normalised otherwise"
        assert np.median(image[:10]) == pytest.approx(0.00025, abs=2e-4), "air is not at -1000 HU"


def test_failed_run_leaves_nothing_that_looks_like_data(tmp_path, marked_slices):
    def fail(stage, done, total):
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_phantoms(tmp_path / "data", patients={"train": 1}, seed=0, progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_existing_data_is_kept(tmp_path, marked_slices):
    existing = tmp_path / "data/ground_truth_train_000.hdf5"
    existing.parent.mkdir()
    existing.write_bytes(b"precious")
    with pytest.raises(InputError, match=r"output_dir .*data: .*choose another"):
        write_phantoms(existing.parent, patients={"train": 1}, seed=0)
    assert existing.read_bytes() == b"precious"
    assert [path.name for path in tmp_path.rglob("*")] == ["data", existing.name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patients": {"training": 2}}, r"patients=.*unknown part 'training'; take train, validation, test"),
        ({"patients": {}}, r"patients=\{\}: .*one above 0"),
        ({"patients": {"train": 0}}, r"patients=.*one above 0"),
        ({"patients": {"train": 3, "test": -1}}, r"patients=.*0 or more"),
        ({"slices_per_patient": (0, 4)}, r"slices_per_patient=\(0, 4\)"),
        ({"slices_per_patient": (5, 4)}, r"slices_per_patient=\(5, 4\)"),
        ({"seed": -1}, r"seed=-1"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        write_phantoms(tmp_path / "data", **{"patients": {"train": 1}, "seed": 0, **arguments})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("patient", [0, 1, 2])
@pytest.mark.parametrize("z", [0.1, 0.4, 0.6, 0.9])
def test_flat_regions_have_the_hu_they_claim(patient, z):
    person = make_patient(0, patient)
    image, regions = render_slice(person, z), flat_regions(person, z)
    assert (image.shape, image.dtype) == ((SIZE, SIZE), np.float32)
    assert {"air", "fat", "muscle"} <= {region.name for region in regions}
    for region in regions:
        inside = image[region.mask]
        # Texture is correlated over about two pixels, hence the four times smaller count.
        assert inside.mean() == pytest.approx(region.hu, abs=1 + 3 * inside.std() / np.sqrt(inside.size / 4))
        assert np.abs(inside - region.hu).max() < 6 * 8, f"{region.name}: an edge or a vessel lies inside"
        assert 2 < inside.std() < 10
    assert sum(region.mask for region in regions).max() == 1, "regions overlap"


def test_organs_lie_where_radiologists_expect_them():
    person = make_patient(0, 0)
    centres = {
        region.name: [axis.mean() / SIZE for axis in np.nonzero(region.mask)] for region in flat_regions(person, 0.6)
    }
    assert centres["liver"][1] < 0.45, "the liver is on the image's left"
    assert centres["spleen"][1] > 0.6
    bone_rows, bone_columns = np.nonzero(render_slice(person, 0.6)[:, SIZE // 3 : -SIZE // 3] > 350)
    assert bone_rows.mean() > 0.6 * SIZE, "the spine is at the image's bottom"
    assert bone_columns.mean() == pytest.approx(SIZE / 6, abs=15)


@pytest.mark.parametrize("z", [0.0, 0.25, 0.5, 1.0])
def test_body_fills_the_image_with_hu_of_a_body(z):
    for patient in range(3):
        image = render_slice(make_patient(1, patient), z)
        assert -1100 < image.min() < -950
        assert 400 < image.max() < 1300
        body = np.nonzero(image > -500)[1]
        assert 0.7 < np.ptp(body) / SIZE < 0.98
        assert 0.06 < lodopab.values_from_hu(image).mean() < 0.17


def test_lungs_end_where_the_abdomen_begins():
    person = make_patient(2, 0)
    lung = [np.mean((image > -950) & (image < -700)) for image in (render_slice(person, z) for z in (0.1, 0.9))]
    assert lung[0] > 0.1
    assert lung[1] < 0.05


def test_neighbouring_slices_look_alike():
    person = make_patient(0, 3)

    def difference(z, other):
        return np.abs(render_slice(person, z, 128) - render_slice(person, other, 128)).mean()

    for z in (0.05, 0.3, 0.55):
        assert difference(z, z + 0.02) < 0.75 * difference(z, z + 0.3)


def test_patients_and_slices_differ():
    images = [render_slice(make_patient(seed, patient), 0.5, 128) for seed, patient in ((0, 0), (0, 1), (1, 0))]
    for first, second in itertools.combinations(images, 2):
        assert np.abs(first - second).mean() > 30
    assert np.array_equal(render_slice(make_patient(0, 0), 0.5, 128), images[0])


@pytest.mark.parametrize(("seed", "patient", "z"), [(0, 0, 0.600002), (0, 1, 0.6), (1, 0, 0.6)])
def test_texture_is_new_in_every_slice(seed, patient, z):
    air = [render_slice(make_patient(*person), z)[:20].ravel() for *person, z in ((0, 0, 0.6), (seed, patient, z))]
    assert abs(np.corrcoef(air)[0, 1]) < 0.1


def test_size_changes_the_sampling_only():
    large, small = (render_slice(make_patient(0, 2), 0.7, size) for size in (256, 64))
    means = large.reshape(64, 4, 64, 4).mean(axis=(1, 3))
    assert small.shape == (64, 64)
    assert np.median(np.abs(small - means)) < 15
