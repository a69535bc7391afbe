"""data_prep.prepare, low_dose and tfrecords: what a record holds, and that a data set is whole or refused."""

import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import skimage.transform
import tensorflow as tf
from conftest import PREPARE, smooth_images, write_part

from data_prep import geometry, lodopab, low_dose, observations, prepare, tfrecords
from data_prep.errors import InputError
from wgan_vgg.input_pipeline import DataSet


def records(data_dir, split="train"):
    return list(DataSet.open(data_dir).records(split).as_numpy_iterator())


def reference(index):
    return lodopab.SliceRef("train", Path("x.hdf5"), 0, index, index, "1")


def test_gaussian_noise_has_its_std_and_each_image_its_own_field():
    image = np.full((200, 200), 0.5, np.float32)
    noise = low_dose.GaussianNoise(math.sqrt(0.015), seed=1)
    first, second, again = (noise(reference(index), image, image) for index in (1, 2, 1))
    assert (first - image).var() == pytest.approx(0.015, rel=0.03)
    assert abs((first - image).mean()) < 0.002
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, low_dose.GaussianNoise(math.sqrt(0.015), seed=2)(reference(1), image, image))
    assert first.min() < 0.1, "unclipped"


def test_shared_field_is_the_same_in_every_image():
    noise = low_dose.GaussianNoise(0.1, seed=1, shared_field=True)
    black, grey = np.zeros((8, 8), np.float32), np.full((8, 8), 0.5, np.float32)
    first, second = noise(reference(1), black, black), noise(reference(2), grey, grey)
    np.testing.assert_allclose(first, second - 0.5, atol=1e-6)


def test_min_max_rescale():
    np.testing.assert_allclose(low_dose.min_max_rescale(np.array([-1.0, 0.0, 3.0])), [0, 0.25, 1])


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
    assert manifest["patients"] == {"train": list("012345"), "test": ["10", "11", "12", "13"]}
    assert manifest["patients_in_both"] == []
    assert (manifest["hu_slope"], manifest["hu_intercept"]) == (4072.001, -1001.001)
    assert manifest["data"]["noise_std"] == 0.1
    shard = manifest["splits"]["train"]["shards"][0]
    assert shard["sha256"] == tfrecords.sha256(data_dir / shard["file"])
    assert shard["file"] == "low_dose_ct-train.tfrecord-00000-of-00002"


def test_same_bytes_for_any_number_of_workers(hdf5_dir, data_dir, tmp_path):
    prepare.prepare_lodopab(hdf5_dir, tmp_path / "one", seed=0, workers=1, **PREPARE)
    for file in data_dir.iterdir():
        assert file.read_bytes() == (tmp_path / "one" / file.name).read_bytes(), file.name


def test_tensorflow_datasets_reads_the_folder(data_dir):
    tfds = pytest.importorskip("tensorflow_datasets")
    example = next(iter(tfds.builder_from_directory(str(data_dir)).as_dataset(split="test")))
    assert example["low_dose"].shape == (32, 32, 1)
    assert example["normal_dose"].dtype == tf.float32
    ours = {record["slice_index"]: record["low_dose"] for record in records(data_dir, "test")}
    np.testing.assert_array_equal(example["low_dose"], ours[int(example["slice_index"])])


def test_notebook_variant_rescales_the_noisy_input_alone(hdf5_dir, tmp_path):
    settings = PREPARE | {"rescale_low_dose": True, "shared_noise_field": True}
    prepare.prepare_lodopab(hdf5_dir, tmp_path / "data", seed=0, **settings)
    for record in records(tmp_path / "data"):
        assert record["low_dose"].min() == 0
        assert record["low_dose"].max() == 1
        assert record["normal_dose"].max() < 0.5


def test_leaking_selection_needs_the_notebook(tmp_path, caplog):
    images = np.full((128, 4, 4), 0.1, np.float32)
    for number in range(3):
        write_part(tmp_path / "hdf5", "test", images, number, ids=[i % 9 for i in range(384)])
    settings = PREPARE | {"train_parts": ("test",), "selection": "files", "image_size": 0}
    with pytest.raises(InputError, match="9 of 9 test patients also occur in training; only the notebook"):
        prepare.prepare_lodopab(tmp_path / "hdf5", tmp_path / "data", seed=0, **settings)
    prepare.prepare_lodopab(tmp_path / "hdf5", tmp_path / "data", seed=0, allow_leak=True, **settings)
    assert "9 of 9 test patients also occur in training" in caplog.text
    assert len(DataSet.open(tmp_path / "data").manifest["patients_in_both"]) == 9


def test_nothing_is_left_where_a_slice_is_bad(tmp_path):
    images = smooth_images(8, 16, 0) + 0.01
    images[5, 0, 0] = np.inf
    write_part(tmp_path / "hdf5", "train", images, ids=range(8))
    write_part(tmp_path / "hdf5", "test", images[:2], ids=[8, 9])
    with pytest.raises(InputError, match="slice 5 has 1 NaN or infinite pixels"):
        prepare.prepare_lodopab(tmp_path / "hdf5", tmp_path / "out" / "data", seed=0, **PREPARE)
    assert list((tmp_path / "out").iterdir()) == []


def test_taken_output_folder_is_kept(hdf5_dir, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        prepare.prepare_lodopab(hdf5_dir, tmp_path, seed=0, **PREPARE)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_remains_of_a_killed_conversion_are_swept(hdf5_dir, tmp_path):
    (tmp_path / ".data.partial-dead").mkdir()
    (tmp_path / ".data.partial-dead" / "shard").write_text("half")
    prepare.prepare_lodopab(hdf5_dir, tmp_path / "data", seed=0, **PREPARE)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda d: (d / "manifest.json").unlink(), "no manifest.json"),
        (lambda d: (d / "manifest.json").write_text("{"), "not a manifest"),
        (lambda d: (d / "low_dose_ct-train.tfrecord-00001-of-00002").unlink(), "00001-of-00002: the shard is missing"),
        (lambda d: (d / "low_dose_ct-train.tfrecord-00007-of-00002").write_text(""), "does not know"),
        (lambda d: (d / "low_dose_ct-test.tfrecord-00000-of-00002").write_bytes(b""), "0 bytes, the manifest says"),
    ],
)
def test_a_data_set_that_is_not_whole_is_refused(data_dir, tmp_path, break_it, message):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(data_dir, copy)
    break_it(copy)
    with pytest.raises(InputError, match=message):
        DataSet.open(copy)


def test_missing_data_dir(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        DataSet.open(tmp_path / "missing")


def test_an_altered_shard_of_the_right_size_is_named(data_dir, tmp_path, monkeypatch):
    import shutil

    from wgan_vgg import input_pipeline

    copy = tmp_path / "copy"
    shutil.copytree(data_dir, copy)
    shard = copy / "low_dose_ct-train.tfrecord-00001-of-00002"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(InputError, match="00001-of-00002: its content was altered"):
        DataSet.open(copy)
    # A data set too large to be hashed at each start: the record's own checksum stops the reading.
    monkeypatch.setattr(input_pipeline, "_CACHE_BYTES", 0)
    data = DataSet.open(copy)
    with pytest.raises(InputError, match="00001-of-00002: its content was altered"), data.naming_bad_shards():
        list(data.records("train").as_numpy_iterator())


def test_records_come_in_the_order_of_conversion(data_dir):
    assert [record["slice_index"] for record in records(data_dir)] == list(range(24))


def crops(data_dir, seed=3, **values):
    from wgan_vgg.config import InputConfig

    data = DataSet.open(data_dir)
    batches = data.batches("train", 8, seed, crops=InputConfig(**values)).take(6)
    return [tuple(part.numpy() for part in batch) for batch in batches]


def test_crops_and_flips_are_the_same_in_both_images_and_decided_by_the_seed(data_dir):
    whole = {record["normal_dose"].tobytes() for record in records(data_dir)}
    first, again = (crops(data_dir, patch_size=20, flips=True) for _ in range(2))
    other = crops(data_dir, seed=4, patch_size=20, flips=True)
    for (low, normal), (low_again, normal_again) in zip(first, again, strict=True):
        assert low.shape == normal.shape == (8, 20, 20, 1)
        np.testing.assert_array_equal(low, low_again)
        np.testing.assert_array_equal(normal, normal_again)
        assert (low - normal).std() == pytest.approx(0.1, rel=0.1), "cropped apart, they would differ by anatomy"
    assert not np.array_equal(first[0][0], other[0][0])
    flipped = [normal for _, normal in crops(data_dir, flips=True)]
    assert any(image.tobytes() not in whole for batch in flipped for image in batch)


def test_centre_crops_are_the_middle(data_dir):
    middles = {record["normal_dose"][6:26, 6:26].tobytes() for record in records(data_dir)}
    for _, normal in crops(data_dir, patch_size=20, crop="centre"):
        assert all(image.tobytes() in middles for image in normal)


def test_patches_larger_than_the_images_are_refused(data_dir):
    with pytest.raises(InputError, match="the images are 32x32; take 32 or less"):
        crops(data_dir, patch_size=33)


def test_verify_by_script(script, data_dir, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(data_dir, copy)
    status, out, _ = script("prepare", f"--verify={copy}")
    assert (status, out.splitlines()[0]) == (0, "train: 24 images, patients: 6, 2 shards")
    shard = copy / "low_dose_ct-test.tfrecord-00000-of-00002"
    shard.write_bytes(b"x" * shard.stat().st_size)
    status, out, err = script("prepare", f"--verify={copy}")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "its content was altered" in err


def test_poisson_noise_and_stored_observations_are_the_same_physics(hdf5_dir, tmp_path):
    import shutil

    hdf5 = tmp_path / "hdf5"
    shutil.copytree(hdf5_dir, hdf5)
    observations.write_observations(hdf5, photons=4096.0, seed=0, geometry=geometry.Geometry().coarser(8))
    found = {}
    for noise in ("poisson", "observations"):
        settings = PREPARE | {"noise": noise, "noise_std": None}
        prepare.prepare_lodopab(hdf5, tmp_path / noise, seed=0, **settings)
        found[noise] = records(tmp_path / noise)
    for simulated, stored in zip(found["poisson"], found["observations"], strict=True):
        np.testing.assert_allclose(simulated["low_dose"], stored["low_dose"], atol=1e-5)
        error = simulated["low_dose"] - simulated["normal_dose"]
        assert 0.005 < error.std() < 0.1, "noisy, and the same slice"
    other = PREPARE | {"noise": "observations", "noise_std": None, "projection_coarseness": 4}
    with pytest.raises(InputError, match=r"observation_train_000\.hdf5"):
        prepare.prepare_lodopab(hdf5, tmp_path / "other", seed=0, **other)
    (hdf5 / "observation_test_000.hdf5").unlink()
    with pytest.raises(InputError, match=r"observation_test_000\.hdf5: missing"):
        prepare.prepare_lodopab(hdf5, tmp_path / "missing", seed=0, **(other | {"projection_coarseness": 8}))


def test_hu_values_are_refused(tmp_path):
    for part in ("train", "test"):
        write_part(tmp_path / "hdf5", part, np.full((3, 16, 16), -1000.0, np.float32))
    with pytest.raises(InputError, match=r"values from -1000 to -1000, expected \[0, 1\]; map HU"):
        prepare.prepare_lodopab(tmp_path / "hdf5", tmp_path / "data", seed=0, **PREPARE)


def test_parts_by_flag(script, tmp_path):
    for number, part in enumerate(lodopab.PARTS):
        write_part(
            tmp_path / "hdf5", part, smooth_images(3, 16, number) + 0.01, ids=[10 * number + i for i in range(3)]
        )
    command = [f"--input_dir={tmp_path / 'hdf5'}", f"--output_dir={tmp_path / 'out'}", "--num_train=0", "--num_test=0"]
    status, out, err = script("prepare", *command, "--train_parts=train,test", "--test_parts=validation")
    assert (status, out.splitlines()[:2]) == (
        0,
        ["train: 6 images, patients: 6, 6 shards", "test: 3 images, patients: 3, 3 shards"],
    ), err
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["patients"] == {"train": ["0", "1", "2", "20", "21", "22"], "test": ["10", "11", "12"]}
    command[1] += "2"
    for flag, message in (
        ("--train_parts=train,train", "data.train_parts=train,train: a part is named twice"),
        ("--test_parts=tests", "data.test_parts=tests: the split is empty"),
        ("--projection_coarseness=0", "data.projection_coarseness=0: must be at least 1"),
        ("--reconstruction_filter=cosine", "data.reconstruction_filter='cosine': unknown; take one of ram-lak, hann"),
    ):
        status, out, err = script("prepare", *command, flag)
        assert (status, out, err.count("\n"), message in err) == (2, "", 1, True), err
