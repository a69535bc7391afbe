"""Two replicas on half batches are one on the whole, for two devices and for two processes; refusals."""

import functools
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from replicas import REPO, SETTINGS, cluster, run_sgd
from training_runs import tiny

from data_prep.errors import InputError
from wgan_vgg import config
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training import distribute, train_step
from wgan_vgg.training.batches import training_batches
from wgan_vgg.training.distribute import Devices
from wgan_vgg.training.state import create_state

TWO = Devices("mirrored", virtual_devices=2)


@pytest.fixture(scope="module")
def on_one_device(data_dir):
    result = run_sgd(tf.distribute.OneDeviceStrategy("/cpu:0"), data_dir)
    assert all(np.isfinite(value) for terms in result["terms"] for value in terms.values())
    return result


def compare(one, two):
    for first, second in zip(one["terms"], two["terms"], strict=True):
        for name in first.keys() - {"generator_gradients", "critic_gradients"}:  # these are of each replica's share
            assert second[name] == pytest.approx(first[name], rel=1e-5, abs=1e-7), name
    for kind in ("gradients", "variables"):
        for first, second in zip(one[kind], two[kind], strict=True):
            np.testing.assert_allclose(second, first, rtol=1e-5, atol=1e-5 * np.abs(first).max(), err_msg=kind)


def test_two_replicas_are_one_on_the_whole_batch(data_dir, on_one_device):
    """Fails where a loss is divided by the replica's batch, or the penalty's weights start anew in each replica."""
    compare(on_one_device, run_sgd(distribute.make_strategy(TWO), data_dir))


def test_models_trained_one_after_the_other_on_two_devices(data_dir):
    """As `reproduce` does; fails where each has its own strategy, whose sums meet the other's of another shape."""
    for filters in (4, 5):
        strategy = distribute.make_strategy(TWO)
        settings = config.override(SETTINGS, {"model": "generator-mse", "generator.filters": filters})
        with strategy.scope():
            state = create_state(settings, (32, 32), 24)
        step = train_step.build_train_step(state, settings, strategy)
        batches = distribute.distributed(
            functools.partial(training_batches, settings, DataSet.open(data_dir), 0), strategy
        )
        assert np.isfinite(float(step(*next(batches), tf.constant(0.0))["generator_loss"]))


def test_two_worker_processes_are_one_on_the_whole_batch(data_dir, tmp_path, on_one_device):
    files = [tmp_path / f"{index}.pkl" for index in range(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, "tests/replicas.py", str(data_dir), str(file)],
            cwd=REPO,
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        for environment, file in zip(cluster(2), files, strict=True)
    ]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    for file in files:
        compare(on_one_device, pickle.loads(file.read_bytes()))


def test_each_replica_gets_its_own_slice_of_the_same_batch(data_dir):
    data = DataSet.open(data_dir)
    strategy = distribute.make_strategy(TWO)
    batches = distribute.distributed(functools.partial(training_batches, SETTINGS, data, 3), strategy)
    for expected, _ in zip(training_batches(SETTINGS, data, 3), range(2), strict=False):
        found = next(batches)
        for ours, theirs in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
            np.testing.assert_array_equal(np.concatenate(strategy.experimental_local_results(ours)), theirs)


@pytest.mark.parametrize(
    ("devices", "tf_config", "message"),
    [
        (Devices("mirored"), None, "take one of auto, one_device, mirrored, multi_worker, tpu"),
        (Devices("multi_worker"), None, "TF_CONFIG is not set"),
        (Devices(), "{", "TF_CONFIG: not understood"),
        (Devices(), '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "not in its cluster"),
        (Devices("tpu"), None, "no TPU answers"),
        (Devices("mirrored", virtual_devices=3), None, "TensorFlow runs already"),
        (Devices(virtual_devices=-1), None, "must be at least 0"),
    ],
)
def test_devices_that_cannot_be(devices, tf_config, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if tf_config:
        monkeypatch.setenv("TF_CONFIG", tf_config)
    tf.config.list_logical_devices()  # TensorFlow has begun
    with pytest.raises(InputError, match=message):
        distribute.make_strategy(devices)


def test_auto_takes_what_there_is(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert distribute.make_strategy(Devices()).num_replicas_in_sync == 1
    assert isinstance(distribute.make_strategy(Devices(virtual_devices=2)), tf.distribute.MirroredStrategy)
    one = distribute.make_strategy(Devices("mirrored"))
    assert isinstance(one, tf.distribute.MirroredStrategy)
    assert one.num_replicas_in_sync == 1


def test_a_batch_that_does_not_divide_names_the_near_sizes():
    distribute.check_batch_size(8, 4)
    with pytest.raises(InputError, match=r"training.batch_size=10: does not divide over 4 replicas; take 8 or 12"):
        distribute.check_batch_size(10, 4)


@pytest.mark.slow
def test_virtual_devices_by_flag_end_as_one_device_does(script, data_dir, tmp_path):
    """Roughly: under Adam rounding grows to whole rates. The tests above are exact."""
    arguments = tiny("wgan-mse", data_dir, tmp_path / "two", "--virtual_devices=2", "--strategy=mirrored")
    command = [sys.executable, "-m", "experiments.train", *arguments]
    subprocess.run(command, check=True, cwd=REPO, capture_output=True, timeout=240)
    assert script("train", *tiny("wgan-mse", data_dir, tmp_path / "one"))[0] == 0
    one, two = (RunDir(tmp_path / name) for name in ("one", "two"))
    assert json.loads(two.environment.read_text())[0]["replicas"] == 2
    for first, second in zip(one.rows(), two.rows(), strict=True):
        assert second["validation"]["psnr"] == pytest.approx(first["validation"]["psnr"], abs=0.05)


def test_a_batch_that_does_not_divide_over_the_devices_is_refused_by_the_script(data_dir, tmp_path):
    arguments = tiny("generator-mse", data_dir, tmp_path / "run", "--virtual_devices=3")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.train", *arguments], cwd=REPO, capture_output=True, text=True, timeout=240
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "training.batch_size=4: does not divide over 3 replicas; take 3 or 6" in done.stderr
    assert not (tmp_path / "run").exists()
