"""Whole trainings through the script's own main: what a run leaves, the guard, collapse, refusals."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import REPO
from training_runs import checkpoint_digest, tiny, without_times

from wgan_vgg import config
from wgan_vgg.checkpoint_reader import checkpoint_prefixes, load_generator
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.models import build_generator
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training import batches, initialization, trainer
from wgan_vgg.training.state import create_state
from wgan_vgg.training.train_loop import train


def test_a_run_leaves_what_the_design_says(script, data_dir, tmp_path):
    status, out, err = script("train", *tiny("wgan-mse", data_dir, tmp_path))
    assert (status, out.startswith("step 12: validation psnr")) == (0, True), err
    run = RunDir(tmp_path)
    rows = run.rows()
    assert [(row["epoch"], row["step"]) for row in rows] == [(0, 0), (1, 6), (2, 12)]
    for split in ("train", "validation"):
        assert {"mse", "real_score", "fake_score", "gradient_penalty", "psnr", "ssim"} <= set(rows[-1][split])
    stored = json.loads(run.config.read_text())
    assert stored["config"]["data"]["image_size"] == 32, "the records decide the data section"
    assert stored["data"]["patients"] == {"train": 6, "validation": 2, "test": 4}
    assert "test" not in rows[-1], "nobody but evaluate looks at it"
    assert json.loads(run.environment.read_text())[0]["packages"]["tensorflow"] == tf.__version__
    assert len(checkpoint_prefixes(run.checkpoints)) == 2
    assert any(run.tensorboard.iterdir())


def test_repeating_a_finished_run_does_nothing_and_a_longer_one_resumes(script, data_dir, tmp_path):
    assert script("train", *tiny("wgan-mse", data_dir, tmp_path / "parts"))[0] == 0
    before = RunDir(tmp_path / "parts").rows()
    assert script("train", *tiny("wgan-mse", data_dir, tmp_path / "parts"))[0] == 0
    assert RunDir(tmp_path / "parts").rows() == before
    assert script("train", *tiny("wgan-mse", data_dir, tmp_path / "parts", "--epochs=3"))[0] == 0
    assert script("train", *tiny("wgan-mse", data_dir, tmp_path / "whole", "--epochs=3"))[0] == 0
    parts, whole = RunDir(tmp_path / "parts"), RunDir(tmp_path / "whole")
    assert without_times(parts.rows()) == without_times(whole.rows())
    for ours, theirs in zip(load_generator(parts).get_weights(), load_generator(whole).get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_workdir_of_another_config_is_refused_by_key(script, data_dir, tmp_path):
    assert script("train", *tiny("generator-mse", data_dir, tmp_path))[0] == 0
    before = (tmp_path / "config.json").read_text()
    status, _, err = script("train", *tiny("generator-mse", data_dir, tmp_path, "--generator_lr=5e-4", "--seed=3"))
    assert status == 2
    assert err.count("\n") == 1
    assert "optimizer.generator_lr: " in err
    assert "seed: 0 -> 3" in err
    status, _, err = script("train", *tiny("generator-mse", data_dir, tmp_path, "--epochs=1"))
    assert (status, "training length: 2 epochs -> 1 epochs" in err) == (2, True)
    assert (tmp_path / "config.json").read_text() == before
    earlier = json.loads(before)
    del earlier["config"]["training"]["xla"]
    (tmp_path / "config.json").write_text(json.dumps(earlier))
    assert script("train", *tiny("generator-mse", data_dir, tmp_path))[0] == 0, "an earlier version's run goes on"


def dead_seed(low_dose):
    """A seed whose first He-normal start is black."""
    for seed in range(100):
        settings = config.override(config.preset("report"), {"seed": seed})
        generator = build_generator(settings.generator, settings.seed)
        if float(tf.reduce_mean(generator(low_dose))) < 0.1 * float(tf.reduce_mean(low_dose)):
            return settings
    raise AssertionError("no dead start in 100 seeds")


def test_the_init_guard_brings_a_black_generator_to_life():
    low_dose = tf.fill([2, 16, 16, 1], 0.1) + 0.015 * tf.random.stateless_normal([2, 16, 16, 1], [0, 0])
    settings = config.override(dead_seed(low_dose), {"model": "generator-mse"})
    state = create_state(settings, (16, 16), 100)
    least = 0.1 * float(tf.reduce_mean(low_dose))
    assert float(tf.reduce_mean(state.generator(low_dose))) < least
    means = initialization.initialize_generator(state, settings, low_dose)
    assert 1 < len(means) <= 20
    assert all(mean < least for mean in means[:-1])
    assert float(tf.reduce_mean(state.generator(low_dose))) >= least


def test_training_starts_with_the_guard(data_dir, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(trainer, "initialize_generator", lambda *arguments: seen.append(arguments) or [0.5])
    monkeypatch.setattr(trainer.Trainer, "run_epochs", lambda *_: None)
    settings = config.override(config.preset("demo"), {"model": "generator-mse", "training.batch_size": 4})
    train(settings, DataSet.open(data_dir), tmp_path)
    first_batch, _ = next(iter(batches.training_batches(settings, DataSet.open(data_dir), 0)))[0]
    np.testing.assert_array_equal(seen[0][2], first_batch)
    assert RunDir(tmp_path).rows()[0]["initialisation_means"] == [0.5]


def test_nan_stops_the_run_before_anything_is_saved(script, data_dir, tmp_path):
    assert script("train", *tiny("generator-mse", data_dir, tmp_path, "--epochs=1"))[0] == 0
    before = [path.name for path in checkpoint_prefixes(tmp_path / "checkpoints")]
    rows = (tmp_path / "metrics.jsonl").read_text()
    original = trainer.build_train_step

    def broken(*arguments):
        step = original(*arguments)
        return lambda *batches: step(*batches) | {"mse": tf.constant(float("nan"))}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "build_train_step", broken)
        status, _, err = script("train", *tiny("generator-mse", data_dir, tmp_path, "--epochs=2"))
    assert status == 3
    assert "step 7: mse (training) is nan; the last good checkpoint is step 6" in err
    assert [path.name for path in checkpoint_prefixes(tmp_path / "checkpoints")] == before
    assert (tmp_path / "metrics.jsonl").read_text() == rows


def test_a_dead_generator_is_named_and_ends_the_run(script, data_dir, tmp_path):
    # A rate at which Adam's first steps throw every weight far off: the last ReLU never fires again.
    arguments = tiny("generator-mse", data_dir, tmp_path, "--generator_lr=10", "--epochs=50")
    status, out, _ = script("train", *arguments)
    assert status == 3
    assert "collapsed" in out
    rows = RunDir(tmp_path).rows()
    assert rows[-1]["collapsed"]
    assert rows[-1]["epoch"] < 50
    assert script("train", *arguments)[0] == 3, "a dead run stays dead"


def test_batches_depend_only_on_seed_and_position(data_dir):
    data = DataSet.open(data_dir)

    def sums(start, count, seed=5):
        return [float(tf.reduce_sum(low)) for low, _ in data.batches("train", 4, seed, start).take(count)]

    whole = sums(0, 18)
    assert sums(7, 11) == whole[7:]
    assert sums(0, 6, seed=6) != whole[:6]
    assert whole[:6] != whole[6:12], "each pass has its own order"
    assert sum(whole[:6]) == pytest.approx(sum(whole[6:12]), rel=1e-4), "each pass takes every image once"


def test_critic_batches_are_a_stream_of_their_own(data_dir):
    data = DataSet.open(data_dir)
    settings = config.override(config.preset("report"), {"training.batch_size": 4, "training.critic_steps": 2})

    def flat(start, count):
        return [
            float(tf.reduce_sum(low))
            for images, group in batches.training_batches(settings, data, start).take(count)
            for low, _ in (images, *group)
        ]

    whole = flat(0, 6)
    assert len(set(whole)) == 18, "three different batches a step"
    assert flat(2, 4) == whole[6:]
    one_batch = config.override(settings, {"training.fresh_critic_batches": False})
    assert next(iter(batches.training_batches(one_batch, data, 0)))[1] == ()


@pytest.mark.slow
def test_four_processes_with_the_full_critic_end_bit_equal(data_dir, tmp_path):
    """The wrong version, one tape over real, fake and interpolated, differs in 2 to 6 of 6 starts."""
    flags = ["--preset=demo", "--model=wgan-mse", "--batch_size=4", "--steps=3", "--set=training.eval_images=4"]
    digests = set()
    for number in range(4):
        workdir = tmp_path / str(number)
        command = [sys.executable, "-m", "experiments.train", *flags, f"--data_dir={data_dir}", f"--workdir={workdir}"]
        subprocess.run(command, check=True, cwd=REPO, capture_output=True, timeout=300)
        digests.add(checkpoint_digest(workdir, 3))
    assert len(digests) == 1


@pytest.mark.slow
def test_two_processes_end_bit_equal(data_dir, tmp_path):
    runs = [tmp_path / "first", tmp_path / "second"]
    for workdir in runs:
        command = [sys.executable, "-m", "experiments.train", *tiny("wgan-vgg", data_dir, workdir, "--epochs=1")]
        subprocess.run(command, check=True, cwd=REPO, capture_output=True, timeout=300)
    first, second = (without_times(RunDir(workdir).rows()) for workdir in runs)
    assert first == second
    assert checkpoint_digest(runs[0], 6) == checkpoint_digest(runs[1], 6)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--preset=reprot"], "take one of report"),
        (["--model=wgan-gp"], "take one of generator-mse"),
        (["--set=optimizer.generator=1"], "did you mean optimizer.generator_lr"),
        (["--set=optimizer.generator_lr"], "expected section.field=value"),
        (["--set=data.noise_std=0.1"], "the records decide it"),
        (["--epochs=1", "--set=training.epochs=2"], "given twice"),
        (["--xla", "--seed=1"], "training.xla: --seed=1 is another flag, no value; write --name=value"),
        (["--set=model=wgan"], "--set=model=wgan: give it as a flag, --model=wgan"),
        (["--epochz=1"], "Unknown command line flag 'epochz'"),
        (["--data_dir=/nowhere"], "no such folder"),
        (["--data_dir="], "--data_dir is required"),
        (["--workdir=/proc/run"], "cannot be written"),
        (["--batch_size=25"], "only 24 training images"),
        (["stray"], "stray: not a flag"),
        (["--vgg_weights=/nowhere.h5", "--model=wgan-vgg"], "no such file"),
    ],
)
def test_mistakes_end_in_one_line_and_status_2(script, data_dir, tmp_path, flags, message):
    arguments = tiny("generator-mse", data_dir, tmp_path / "run")
    names = {flag.split("=")[0] for flag in flags} - {"--set"}
    arguments = [argument for argument in arguments if argument.split("=")[0] not in names or "epochs" in argument]
    status, out, err = script("train", *arguments, *flags)
    assert status == 2
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert not (tmp_path / "run" / "config.json").exists(), "the workdir is still free"
