"""Reading records: what is refused, in which order images come, and what is taken of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import records
from training_batches import batches, flat

from benchmark.feed import write_random_records
from data_prep.errors import InputError
from data_prep.manifest import low_dose_clip, transposed
from wgan_vgg import input_pipeline
from wgan_vgg.config import Config, InputConfig, override
from wgan_vgg.crops import flip_pairs
from wgan_vgg.input_pipeline import DataSet


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
    copy = tmp_path / "copy"
    shutil.copytree(data_dir, copy)
    break_it(copy)
    with pytest.raises(InputError, match=message):
        DataSet.open(copy)


def test_missing_data_dir(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        DataSet.open(tmp_path / "missing")


def test_an_altered_shard_of_the_right_size_is_named(data_dir, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(data_dir, copy)
    shard = copy / "low_dose_ct-train.tfrecord-00001-of-00002"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(InputError, match="00001-of-00002: its content was altered"):
        DataSet.open(copy)
    # A data set too large to be hashed at each start: the record's own checksum stops the reading.
    monkeypatch.setattr(input_pipeline, "_HASHED_AT_OPENING", 0)
    data = DataSet.open(copy)
    with pytest.raises(InputError, match="00001-of-00002: its content was altered"), data.translate_shard_errors():
        list(data.records("train").as_numpy_iterator())
    # Patches are read past that checksum: their split is hashed before the first one, and no other split.
    with pytest.raises(InputError, match="00001-of-00002: its content was altered"):
        data.batches("train", 8, seed=0, crops=InputConfig(patch_size=8, memory_gb=0))
    data.batches("test", 8, seed=0, crops=InputConfig(patch_size=8, memory_gb=0))


def test_records_come_in_the_order_of_conversion(data_dir):
    assert [record["slice_index"] for record in records(data_dir)] == list(range(24))


def crops(data_dir, seed=3, **values):
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


def test_the_seed_decides_how_each_image_is_flipped(data_dir):
    """Not only the order of the images: fails where every seed flips the same image in the same way."""
    ways = {}
    for index, record in enumerate(records(data_dir)):
        image = record["normal_dose"]
        for way, flipped in enumerate((image, image[:, ::-1], image[::-1], image[::-1, ::-1])):
            ways[flipped.tobytes()] = (index, way)
    found = []
    for seed in (3, 4):
        first_pass = crops(data_dir, seed, flips=True)[:3]
        found.append(dict(ways[image.tobytes()] for _, normal in first_pass for image in normal))
    assert len(found[0]) == 24
    assert found[0] != found[1]


def test_centre_crops_are_the_middle(data_dir):
    middles = {record["normal_dose"][6:26, 6:26].tobytes() for record in records(data_dir)}
    for _, normal in crops(data_dir, patch_size=20, crop="centre"):
        assert all(image.tobytes() in middles for image in normal)


def test_patches_larger_than_the_images_are_refused(data_dir):
    with pytest.raises(InputError, match="the images are 32x32; take 32 or less"):
        crops(data_dir, patch_size=33)


def test_a_resumed_reading_sees_the_crops_and_flips_of_an_unbroken_one(data_dir):
    values = {"patch_size": 20, "flips": True}
    whole = batches(data_dir, 9, **values)
    for start in (1, 3, 5):  # within a pass, at its end, within the next
        assert batches(data_dir, 9 - start, start, **values) == whole[start:]
    first, second = flat(whole[:3]), flat(whole[3:6])
    assert not set(first) & set(second), "each pass has its own crops"


def test_a_small_split_is_read_from_the_disk_once(data_dir, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(data_dir, copy)
    iterator = iter(DataSet.open(copy).batches("train", 8, seed=0))
    for shard in copy.glob("*train*"):
        shard.write_bytes(b"x" * 1000)
    for _ in range(6):
        next(iterator)


def test_an_incomplete_last_batch_is_left_out(data_dir):
    found = batches(data_dir, 4, batch_size=10)
    assert [len(batch) for batch in found] == [10, 10, 10, 10]
    for one_pass in (found[:2], found[2:]):
        assert len(set(flat(one_pass))) == 20
    with pytest.raises(InputError, match="batch_size=25: the train split has only 24 images"):
        batches(data_dir, 1, batch_size=25)


def test_an_empty_split_is_named_with_its_folder(data_dir):
    with pytest.raises(InputError, match=rf"data_dir {data_dir}: no split 'held out'; it has train, validation, test"):
        DataSet.open(data_dir).batches("held out", 1, seed=0)


def test_records_without_a_validation_split_open_and_are_tuned_on_training(data_dir, tmp_path):
    """As earlier versions wrote them: their manifests know nothing of it."""
    folder = shutil.copytree(data_dir, tmp_path / "old")
    manifest = json.loads((folder / "manifest.json").read_text())
    for shard in manifest["splits"].pop("validation")["shards"]:
        (folder / shard["file"]).unlink()
    for name in ("num_validation", "validation_parts", "patient_ids_per_part"):
        del manifest["data"][name]
    del manifest["files"], manifest["sha256"], manifest["low_dose_clip"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    old = DataSet.open(folder)
    assert (old.splits, old.tuning_split, old.config.validation_parts) == (("train", "test"), "train", ())
    fitted = Config().fitting(old.splits)
    assert (fitted.training.monitored_splits, fitted.training.best_metric) == (("train",), "train/psnr")
    assert DataSet.open(data_dir).tuning_split == "validation"


def test_what_older_manifests_do_not_say_follows_from_their_source():
    """Fails where records of DICOM, whose low dose was clipped, are taken for records that were not."""
    for source, clip, lying in (("dicom", (0.0, 1.0), False), ("lodopab", None, True), ("phantoms", None, False)):
        old = {"source": source}
        assert (low_dose_clip(old), transposed(old)) == (clip, lying), source
        assert low_dose_clip(old | {"low_dose_clip": None}) is None
        assert low_dose_clip(old | {"low_dose_clip": [0, 2]}) == (0.0, 2.0)


def test_a_best_metric_of_a_split_that_is_there_but_not_watched_is_refused():
    # It was replaced by training's without a word.
    watched = {"training.monitored_splits": "train,validation"}
    given = override(Config(), watched | {"training.best_metric": "test/psnr"})
    with pytest.raises(InputError, match=r"test is not monitored; give .*monitored_splits=train,validation,test"):
        given.fitting(("train", "validation", "test"))
    assert given.fitting(("train", "validation")).training.best_metric == "train/psnr", "no such split"


def test_patches_per_image_are_other_patches_of_each_image(data_dir):
    """A pass of 3 patches per image takes each image three times, cropped anew each time; from memory and from disk."""
    found = {}
    for place in ("memory", "disk"):
        crops = InputConfig(patch_size=8, patches_per_image=3, memory_gb=4 if place == "memory" else 0)
        batches = DataSet.open(data_dir).batches("train", 12, seed=0, crops=crops).take(24 * 3 // 12)
        found[place] = sorted(patch.tobytes() for _, batch in batches for patch in batch.numpy())
    assert found["memory"] == found["disk"]
    assert len(set(found["memory"])) > 60, "72 patches, some of them nothing but air"
    settings = Config(input=crops)
    assert settings.steps_per_epoch(24) == 24 * 3 // settings.training.batch_size


def test_a_few_images_are_the_same_from_memory_and_from_the_disk_and_do_not_hold_the_split(data_dir):
    data = DataSet.open(data_dir)
    from_disk = data.first("train", 5)
    assert not data._held
    next(iter(data.batches("train", 8, seed=0)))
    assert list(data._held) == ["train"]
    for one, other in zip(from_disk, data.first("train", 5), strict=True):
        np.testing.assert_array_equal(one, other)
    wanted = [record["normal_dose"] for record in records(data_dir)]
    np.testing.assert_array_equal(from_disk[1], [wanted[number * 24 // 5] for number in range(5)])


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_a_held_split_is_in_memory_once_while_it_is_read_too(tmp_path):
    """What TensorFlow's graphs hold is copied into them, and written out where they are rewritten."""
    write_random_records(tmp_path / "records", side=64, size=4000, shards=2)
    data = DataSet.open(tmp_path / "records")
    next(iter(data.batches("test", 1, seed=0)))  # whatever a first use takes
    _peak_bytes()  # that of all tests before
    before = _peak_bytes()
    next(iter(data.batches("train", 16, seed=0)))
    assert _peak_bytes() - before < 4000 * 2 * 64 * 64 * 4 * 1.5


def _peak_bytes() -> int:
    """The most memory that this process had since the last call."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return int(line.split()[1]) * 1024


def test_both_flips_are_drawn_by_themselves():
    images = tf.tile(tf.reshape(tf.range(4.0), (1, 2, 2, 1)), (64, 1, 1, 1))
    seeds = tf.stack([tf.fill([64], tf.constant(5, tf.int64)), tf.range(64, dtype=tf.int64)], axis=1)
    low, normal = flip_pairs((images, images + 10), seeds)
    np.testing.assert_array_equal(normal, low + 10)
    assert len({one.tobytes() for one in low.numpy()}) == 4
