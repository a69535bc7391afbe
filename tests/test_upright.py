"""Pictures of slices that lie transposed are upright: samples, the report page, TensorBoard."""

import base64
import dataclasses
import json
import shutil
import zlib

import numpy as np
import pytest
import tensorflow as tf
from conftest import PREPARE, write_part
from training_runs import tiny

from data_prep import lodopab
from data_prep.prepare import prepare_lodopab
from wgan_vgg.evaluation.samples import load_samples
from wgan_vgg.reporting.page_data import page_data
from wgan_vgg.reporting.results import collect
from wgan_vgg.run_dir import RunDir


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A trained and evaluated run on records whose first axis is dark to bright, their second one dark."""
    from experiments.evaluate import main as evaluate_main
    from experiments.train import main as train_main

    folder = tmp_path_factory.mktemp("judged")
    images = np.tile(np.linspace(0, 1, 32, dtype=np.float32)[:, None], (8, 1, 32))
    for number, part in enumerate(lodopab.PARTS):
        write_part(folder / "in", part, images, ids=[2 * number + i % 2 for i in range(8)])
    prepare_lodopab(folder / "in", folder / "records", dataclasses.replace(PREPARE, noise_std=0.01), seed=0)
    quick = ["--baselines=gaussian", "--vgg_weights=none", "--set=evaluation.tuning_images=2"]
    for main, arguments in (
        (train_main, tiny("generator-mse", folder / "records", folder / "run", "--max_steps=2")),
        (evaluate_main, [f"--workdir={folder / 'run'}", f"--data_dir={folder / 'records'}", *quick]),
    ):
        with pytest.raises(SystemExit) as exit_info:
            main([str(argument) for argument in arguments])
        assert exit_info.value.code == 0
    return RunDir(folder / "run")


def grows_to_the_right(image):
    """Whether an image is the upright one of `judged`."""
    return np.ptp(image.mean(axis=0)) > 5 * np.ptp(image.mean(axis=1))


@pytest.mark.parametrize(
    ("said", "upright"), [({"transposed": True}, True), ({}, True), ({"transposed": False}, False)]
)
def test_samples_are_upright(judged, tmp_path, said, upright):
    """An evaluation of an earlier version says nothing but the source."""
    run = RunDir(shutil.copytree(judged.path, tmp_path / "run"))
    summary = json.loads(run.eval_json("test").read_text())
    del summary["data"]["transposed"]
    summary["data"] |= said
    run.eval_json("test").write_text(json.dumps(summary))
    samples = load_samples(run, "test")
    for name in ("low_dose", "normal_dose", "baseline"):  # two steps of training leave nothing to see
        assert [grows_to_the_right(image) for image in samples[name]] == [upright] * len(samples[name])


def test_the_page_shows_slices_upright(judged):
    runs = {"generator-mse": [judged]}
    results = collect(runs, "test")
    viewer = page_data({"generator-mse": load_samples(judged, "test")}, results, [])["viewer"]
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(viewer["pixels"])), "<i2")
    images = pixels.reshape(len(viewer["slices"]), len(viewer["methods"]), 32, 32).astype(float)
    for name in ("noisy input", "normal dose"):
        assert all(map(grows_to_the_right, images[:, viewer["methods"].index(name)]))


def test_tensorboard_shows_slices_upright(judged):
    events = [
        tf.compat.v1.Event.FromString(event)
        for file in judged.tensorboard.glob("events.*")
        for event in tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    ]
    values = [value for event in events for value in event.summary.value]
    pictures = [tf.make_ndarray(value.tensor)[2] for value in values if value.tag.startswith("noisy")]
    assert pictures
    for picture in pictures:
        strip = tf.io.decode_png(picture).numpy()[..., 0].astype(float)
        assert strip.shape == (32, 96)
        assert grows_to_the_right(strip[:, :32])
        assert grows_to_the_right(strip[:, 64:])
