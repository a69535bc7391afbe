"""data_prep.prepare and tfrecords: what a record holds, and that a data set is whole or refused."""

import dataclasses
import json
import shutil

import h5py
import numpy as np
import pytest
import skimage.transform
import tensorflow as tf
from conftest import PREPARE, TWO_PARTS, records, smooth_images, write_part

from data_prep import geometry, observations, prepare, tfrecords
from data_prep.digests import digest
from data_prep.errors import InputError
from wgan_vgg.input_pipeline import DataSet


def test_records_hold_the_resized_slice_and_then_the_noise(hdf5_dir, data_dir):
    with h5py.File(hdf5_dir / "ground_truth_train_000.hdf5") as file:
        source = file["data"][:]
    found = records(data_dir)
    assert len(found) == 24
    errors = []
    for record in found:
        truth = skimage.transform.resize(source[record["slice_index"]], (32, 32), order=1, anti_aliasing=True)
        np.testing.assert_allclose(record["normal_dose"][..., 0], truth, atol=1e-6)
        errors.append(record["low_dose"] - record["normal_dose"])
        assert record["patient_id"] == str(record["slice_index"] % 6).encode()
        assert record["source"] == f"ground_truth_train_000.hdf5[{record['slice_index']}]".encode()
    # Noise after resizing keeps its std; noise before it would have been averaged down.
    assert np.std(errors) == pytest.approx(0.1, rel=0.03)


def test_manifest_tells_all(data_dir):
    manifest = json.loads((data_dir / "manifest.json").read_text())
    assert manifest["splits"]["train"]["records"] == 24
    tested = ["10", "11", "12", "13"]
    assert manifest["patients"] == {"train": list("012345"), "validation": ["20", "21"], "test": tested}
    assert manifest["patients_in_both"] == []
    assert (manifest["hu_slope"], manifest["hu_intercept"]) == (4072.001, -1001.001)
    assert manifest["data"]["noise_std"] == 0.1
    shard = manifest["splits"]["train"]["shards"][0]
    assert shard["sha256"] == digest(data_dir / shard["file"])
    assert shard["file"] == "low_dose_ct-train.tfrecord-00000-of-00002"


def test_same_bytes_for_any_number_of_workers(hdf5_dir, data_dir, tmp_path):
    prepare.prepare_lodopab(hdf5_dir, tmp_path / "one", PREPARE, seed=0, workers=1)
    for file in data_dir.iterdir():
        assert file.read_bytes() == (tmp_path / "one" / file.name).read_bytes(), file.name


def test_tensorflow_datasets_reads_the_folder(data_dir):
    tfds = pytest.importorskip("tensorflow_datasets")
    example = next(iter(tfds.builder_from_directory(str(data_dir)).as_dataset(split="test")))
    assert example["low_dose"].shape == (32, 32, 1)
    assert example["normal_dose"].dtype == tf.float32
    ours = {record["slice_index"]: record["low_dose"] for record in records(data_dir, "test")}
    np.testing.assert_array_equal(example["low_dose"], ours[int(example["slice_index"])])


def test_the_seed_decides_which_patients_are_taken(tmp_path):
    for part, first in (("train", 0), ("test", 20)):
        write_part(tmp_path / "in", part, smooth_images(20, 16, first) + 0.01, ids=[first + i for i in range(20)])
    config = dataclasses.replace(TWO_PARTS, num_train=5, num_test=5)
    for seed in (0, 1):
        prepare.prepare_lodopab(tmp_path / "in", tmp_path / str(seed), config, seed=seed)
    found = [DataSet.open(tmp_path / str(seed)).manifest["patients"] for seed in (0, 1)]
    assert found[0]["test"] != found[1]["test"]


def test_notebook_variant_rescales_the_noisy_input_alone(hdf5_dir, tmp_path):
    config = dataclasses.replace(PREPARE, rescale_low_dose=True, shared_noise_field=True)
    prepare.prepare_lodopab(hdf5_dir, tmp_path / "data", config, seed=0)
    for record in records(tmp_path / "data"):
        assert record["low_dose"].min() == 0
        assert record["low_dose"].max() == 1
        assert record["normal_dose"].max() < 0.5


def test_leaking_selection_needs_the_notebook(tmp_path, caplog):
    images = np.full((128, 4, 4), 0.1, np.float32)
    for number in range(3):
        write_part(tmp_path / "hdf5", "test", images, number, ids=[i % 9 for i in range(384)])
    config = dataclasses.replace(TWO_PARTS, train_parts=("test",), selection="files", image_size=0)
    with pytest.raises(InputError, match="9 patients occur in more than one split; only the notebook"):
        prepare.prepare_lodopab(tmp_path / "hdf5", tmp_path / "data", config, seed=0)
    prepare.prepare_lodopab(tmp_path / "hdf5", tmp_path / "data", config, seed=0, allow_leak=True)
    assert "9 patients occur in more than one split" in caplog.text
    assert len(DataSet.open(tmp_path / "data").manifest["patients_in_both"]) == 9


def test_nothing_is_left_where_a_slice_is_bad(tmp_path):
    images = smooth_images(8, 16, 0) + 0.01
    images[5, 0, 0] = np.inf
    write_part(tmp_path / "hdf5", "train", images, ids=range(8))
    write_part(tmp_path / "hdf5", "test", images[:2], ids=[8, 9])
    with pytest.raises(InputError, match="slice 5 has 1 NaN or infinite pixels"):
        prepare.prepare_lodopab(tmp_path / "hdf5", tmp_path / "out" / "data", TWO_PARTS, seed=0)
    assert list((tmp_path / "out").iterdir()) == []


def test_taken_output_folder_is_kept(hdf5_dir, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        prepare.prepare_lodopab(hdf5_dir, tmp_path, PREPARE, seed=0)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_remains_of_a_killed_conversion_are_swept(hdf5_dir, tmp_path):
    (tmp_path / ".data.partial-dead").mkdir()
    (tmp_path / ".data.partial-dead" / "shard").write_text("half")
    prepare.prepare_lodopab(hdf5_dir, tmp_path / "data", PREPARE, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_poisson_noise_and_stored_observations_are_the_same_physics(hdf5_dir, tmp_path):
    hdf5 = tmp_path / "hdf5"
    shutil.copytree(hdf5_dir, hdf5)
    observations.write_observations(hdf5, photons=4096.0, seed=0, geometry=geometry.Geometry().coarser(8))
    found = {}
    for noise in ("poisson", "observations"):
        config = dataclasses.replace(PREPARE, noise=noise, noise_std=None)
        prepare.prepare_lodopab(hdf5, tmp_path / noise, config, seed=0)
        found[noise] = records(tmp_path / noise)
        assert DataSet.open(tmp_path / noise).manifest["photon_factor"] == 1000 * 513 / (125 * 65)
    for simulated, stored in zip(found["poisson"], found["observations"], strict=True):
        np.testing.assert_allclose(simulated["low_dose"], stored["low_dose"], atol=1e-5)
        error = simulated["low_dose"] - simulated["normal_dose"]
        assert 0.005 < error.std() < 0.1, "noisy, and the same slice"
    other = dataclasses.replace(config, projection_coarseness=4)
    with pytest.raises(InputError, match=r"observation_train_000\.hdf5"):
        prepare.prepare_lodopab(hdf5, tmp_path / "other", other, seed=0)
    (hdf5 / "observation_test_000.hdf5").unlink()
    with pytest.raises(InputError, match=r"observation_test_000\.hdf5: missing"):
        prepare.prepare_lodopab(hdf5, tmp_path / "missing", config, seed=0)


@pytest.mark.parametrize("value", [-1000.0, 1.5])
def test_values_outside_the_range_are_refused(tmp_path, value):
    """HU, or attenuation that nobody divided: below it or above it."""
    for part in ("train", "test"):
        write_part(tmp_path / "hdf5", part, np.full((3, 16, 16), value, np.float32))
    with pytest.raises(InputError, match=rf"values from {value:g} to {value:g}, expected \[0, 1\]; map HU"):
        prepare.prepare_lodopab(tmp_path / "hdf5", tmp_path / "data", TWO_PARTS, seed=0)


def two_parts(folder, train_shape, test_shape):
    write_part(folder, "train", np.full(train_shape, 0.1, np.float32))
    write_part(folder, "test", np.full(test_shape, 0.1, np.float32))
    return folder


@pytest.mark.parametrize(
    ("shapes", "settings", "message"),
    [
        (((3, 16, 16), (2, 12, 12)), {"image_size": 0}, r"has slices of 1[26]x1[26], .* and records are of one shape"),
        (
            ((3, 16, 20), (2, 16, 20)),
            {"image_size": 8},
            r"0\.hdf5: slices of 16x20, but image_size=8 needs square",
        ),
        (((3, 16, 16), (2, 16, 20)), {"image_size": 8}, r"test_000\.hdf5: slices of 16x20"),
        (
            ((3, 16, 20), (2, 16, 20)),
            {"image_size": 0, "noise": "poisson", "noise_std": None},
            "slices of 16x20, but noise=poisson needs square ones",
        ),
    ],
)
def test_slices_that_do_not_fit_are_refused_before_the_first_record(tmp_path, monkeypatch, shapes, settings, message):
    hdf5 = two_parts(tmp_path / "hdf5", *shapes)
    monkeypatch.setattr(tfrecords, "write_dataset", lambda *_, **__: pytest.fail("a record was begun"))
    with pytest.raises(InputError, match=message) as caught:
        prepare.prepare_lodopab(hdf5, tmp_path / "data", dataclasses.replace(TWO_PARTS, **settings), seed=0)
    assert "\n" not in str(caught.value)


def test_oblong_slices_may_keep_their_size(tmp_path):
    hdf5 = two_parts(tmp_path / "hdf5", (3, 16, 20), (2, 16, 20))
    prepare.prepare_lodopab(hdf5, tmp_path / "data", dataclasses.replace(TWO_PARTS, image_size=0), seed=0)
    assert DataSet.open(tmp_path / "data").image_shape == (16, 20)
    record = records(tmp_path / "data", "test")[0]
    assert (record["height"], record["width"]) == (16, 20)
    features = json.loads((tmp_path / "data" / "features.json").read_text())["featuresDict"]["features"]
    assert features["low_dose"]["tensor"]["shape"] == {"dimensions": ["16", "20", "1"]}


def test_an_empty_split_is_named_with_its_folder(tmp_path):
    images = smooth_images(4, 16, 0) + 0.01
    for part in ("train", "test"):
        write_part(tmp_path / "hdf5", part, images, ids=[7] * 4)
    with pytest.raises(InputError, match=rf"input_dir {tmp_path / 'hdf5'}: the train split is empty"):
        prepare.prepare_lodopab(tmp_path / "hdf5", tmp_path / "data", TWO_PARTS, seed=0)


def test_every_bit_of_the_files_beside_the_shards_has_a_checksum(data_dir, tmp_path):
    """Of 300 bits, flipped one at a time: a digit of hu_slope would shift every HU, and nobody would see it."""
    folder = shutil.copytree(data_dir, tmp_path / "data")
    names = ("manifest.json", "dataset_info.json", "features.json")
    rng = np.random.default_rng(0)
    found = dict.fromkeys(names, 0)
    for number in range(300):
        path = folder / names[number % 3]
        content = path.read_bytes()
        place, bit = rng.integers(len(content)), rng.integers(8)
        spoiled = bytearray(content)
        spoiled[place] ^= 1 << bit
        path.write_bytes(spoiled)
        try:
            DataSet.open(folder)
        except InputError as error:
            assert path.name in str(error) or "shard" in str(error)
            found[path.name] += 1
        else:
            same = path.name == "manifest.json" and json.loads(spoiled) == json.loads(content)
            assert same, f"bit {bit} of byte {place} of {path.name}: not found"
        path.write_bytes(content)
    assert DataSet.open(folder).size("train") == 24
    assert found["dataset_info.json"] == found["features.json"] == 100
    assert found["manifest.json"] > 70, "the others are white space"


def test_a_manifest_of_an_earlier_version_has_no_checksums_and_opens(data_dir, tmp_path):
    folder = shutil.copytree(data_dir, tmp_path / "data")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"manifest\.json: its content was altered"):
        DataSet.open(folder)
    del manifest["sha256"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert DataSet.open(folder).size("test") == 12
