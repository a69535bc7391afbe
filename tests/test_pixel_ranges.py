"""Patches read by range from shards that memory does not hold: the same ones, and nothing else of their records."""

import gc
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from conftest import records
from training_batches import batches, flat

from data_prep import tfrecords
from data_prep.errors import InputError
from data_prep.pixel_ranges import pixel_positions
from wgan_vgg.config import InputConfig
from wgan_vgg.crops import crop_corners
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.patch_stream import shuffled_batches
from wgan_vgg.shares import WHOLE, Share
from wgan_vgg.split_images import ImagesInMemory, ImagesOnDisk, SplitImages
from wgan_vgg.training.distribute import distributed


@pytest.mark.parametrize("values", [{}, {"patch_size": 20, "flips": True, "patches_per_image": 2}, {"crop": "centre"}])
def test_what_is_read_from_the_disk_is_what_memory_would_have_given(data_dir, values, caplog):
    for dose in (0, 1):
        found = batches(data_dir, 6, memory_gb=0, dose=dose, **values)
        assert found == batches(data_dir, 6, dose=dose, **values)
    assert found[:3] != found[3:]
    assert batches(data_dir, 4, start=2, memory_gb=0, **values) == found[2:]
    if not values:
        every = {record["normal_dose"].tobytes() for record in records(data_dir)}
        for one_pass in (found[:3], found[3:]):
            assert sorted(flat(one_pass)) == sorted(every)
    assert not caplog.records, "TensorFlow warns of functions that it cannot convert"


def test_a_batch_is_drawn_from_the_whole_pass():
    """Fails where the next patch is one of the next few: neighbours, of one patient, would fill a batch."""

    class Numbers(SplitImages):
        def _rows(self, index, top, height):  # noqa: ARG002
            return [np.full((height, 1), index, np.float32)] * 2

    found = shuffled_batches(Numbers(), (1, 1), np.arange(2000), 100, InputConfig(), seed=0, start=0, share=WHOLE)
    drawn = [low_dose.numpy().ravel() for low_dose, _ in found.take(20)]
    assert sorted(np.concatenate(drawn)) == list(range(2000))
    for batch in drawn:
        assert batch.min() < 200
        assert batch.max() >= 1800


def test_crops_are_where_tensorflow_would_crop(data_dir):
    """A run of an earlier version, which used its function, sees the same patches."""
    images = tf.reshape(tf.range(2 * 30 * 40, dtype=tf.int64), [2, 30, 40, 1])
    seeds = tf.constant([[3, 7], [4, 9]], tf.int64)
    for (top, left), image, seed in zip(
        crop_corners(InputConfig(patch_size=16), (30, 40), seeds), images, seeds, strict=True
    ):
        expected = tf.image.stateless_random_crop(tf.concat([image, image], -1), [16, 16, 2], seed)
        np.testing.assert_array_equal(image[top : top + 16, left : left + 16], expected[..., :1])


def test_only_the_rows_of_a_patch_are_read(data_dir, monkeypatch):
    taken = []
    plain = os.pread
    monkeypatch.setattr(os, "pread", lambda file, count, start: taken.append(count) or plain(file, count, start))
    data = DataSet.open(data_dir)
    stream = data.batches("train", 8, seed=0, crops=InputConfig(patch_size=4, memory_gb=0))
    assert len(taken) == 24, "the heads of the records"
    assert max(taken) < 100
    taken.clear()
    next(iter(stream))
    assert set(taken) == {4 * 32 * 4}, "4 rows of 32 pixels of 4 bytes"


def test_a_share_is_that_part_of_each_whole_batch(data_dir):
    data = DataSet.open(data_dir)
    crops = InputConfig(patch_size=20, flips=True)
    whole = [normal for _, normal in data.batches("train", 8, 3, crops=crops).take(4)]
    for memory_gb in (4, 0):
        crops = InputConfig(patch_size=20, flips=True, memory_gb=memory_gb)
        part = [normal for _, normal in data.batches("train", 8, 3, crops=crops, share=Share(1, 2, 4)).take(4)]
        for ours, theirs in zip(part, whole, strict=True):
            np.testing.assert_array_equal(ours, theirs[2:6])


def test_records_of_another_layout_are_refused_before_any_pixel(tmp_path):
    record = tfrecords.Record(np.zeros((8, 8), np.float32), np.zeros((8, 8), np.float32), "p", 0, "s")
    path = tmp_path / "shard"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record.serialize())
        writer.write(record.serialize())
    for shape in ((8, 7), (16, 16)):
        with pytest.raises(InputError, match="record 0 is not as experiments"):
            pixel_positions(path, shape)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="record 1 is not as"):
        pixel_positions(path, (8, 8))


@pytest.mark.parametrize("side", [1, 45, 362, 513])
def test_pixels_are_found_whatever_the_lengths_of_text(tmp_path, side):
    """The number that holds a record's length has 2, 3 or 4 bytes; a long patient id may add one."""
    path = tmp_path / "shard"
    generator = np.random.default_rng(0)
    pairs = [generator.normal(size=(2, side, side)).astype(np.float32) for _ in range(3)]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for index, (low, normal) in enumerate(pairs):
            photons = None if index else 4096.0
            writer.write(tfrecords.Record(low, normal, "p" * 300 * index, index, "s" * index, photons).serialize())
    content = path.read_bytes()
    positions = pixel_positions(path, (side, side))
    for pair, starts in zip(pairs, positions, strict=True):
        for image, start in zip(pair, starts, strict=True):
            assert content[start : start + image.nbytes] == image.tobytes()


def test_a_shard_that_goes_while_it_is_read_is_named(data_dir, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(data_dir, copy)
    data = DataSet.open(copy)
    stream = data.batches("train", 8, seed=0, crops=InputConfig(patch_size=4, memory_gb=0))
    shard = copy / "low_dose_ct-train.tfrecord-00001-of-00002"
    content = shard.read_bytes()
    for damage, message in (
        (lambda: shard.write_bytes(content[:1000]), "00001-of-00002: became shorter while it was read"),
        (shard.unlink, "00001-of-00002: cannot be read .No such file"),
    ):
        damage()
        with pytest.raises(InputError, match=message), data.translate_shard_errors():
            next(iter(stream))


def test_images_that_are_not_square(tmp_path):
    """Fails where rows are taken for columns."""
    images = np.random.default_rng(0).normal(size=(5, 2, 20, 34)).astype(np.float32)
    count = min(3, len(images))
    paths = [tmp_path / str(shard) for shard in range(count)]
    for shard, path in enumerate(paths):
        with tf.io.TFRecordWriter(str(path)) as writer:
            for low_dose, normal_dose in images[shard::count]:
                writer.write(tfrecords.Record(low_dose, normal_dose, None, 0, "noise").serialize())
    stored = ImagesOnDisk(paths, (20, 34))
    corners = np.array([[0, 0], [13, 3], [4, 22], [12, 24], [1, 23]])
    for found in (stored, ImagesInMemory(stored)):
        pair = found.patches(tf.constant([4, 0, 2, 1, 3]), tf.constant(corners), (7, 9))
        for dose, part in enumerate(pair):
            for patch, index, (top, left) in zip(part, (4, 0, 2, 1, 3), corners, strict=True):
                np.testing.assert_array_equal(patch[..., 0], images[index, dose, top : top + 7, left : left + 9])


@pytest.mark.parametrize("through", ["plain", "distributed"])
@pytest.mark.parametrize("memory_gb", [4, 0])
def test_images_live_as_long_as_their_batches_and_no_longer(data_dir, memory_gb, through):
    """TensorFlow keeps each function of NumPy's, and all that it holds, until the process ends."""
    crops = InputConfig(patch_size=4, memory_gb=memory_gb)

    def batches(share=WHOLE):
        return DataSet.open(data_dir).batches("train", 8, seed=0, crops=crops, share=share)

    gc.collect()  # what other tests have left
    before = _living()
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    stream = iter(batches().map(lambda *pair: pair)) if through == "plain" else distributed(batches, strategy)
    gc.collect()
    for _ in range(7):
        next(stream)
    assert _living() > before
    del stream
    gc.collect()
    assert _living() == before


def _living() -> int:
    return sum(isinstance(thing, SplitImages) for thing in gc.get_objects())


def test_tensorflows_tuning_does_not_run(data_dir):
    """Its thread sleeps between two rounds; the end of an iterator waited for it, 113 s after a training of 90 s."""
    assert DataSet.open(data_dir).batches("train", 8, seed=0).options().autotune.enabled is False
