"""Runs that are killed, terminated or find no room: the same command ends as the run that was never stopped."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from replicas import REPO, cluster
from training_runs import checkpoint_digest, tiny, without_times

from wgan_vgg.checkpoint_reader import checkpoint_prefixes, load_generator, newest_step
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training import checkpoints, trainer
from wgan_vgg.training import rows as training_rows


def start(arguments, environment=None):
    command = [sys.executable, "-m", "experiments.train", *arguments]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=REPO, env=environment, **pipes)


def finish(process, seconds=240):
    """Its exit status and what it wrote to stderr."""
    _, err = process.communicate(timeout=seconds)
    return process.returncode, err


def wait_until(condition, process, seconds=120):
    """Polls; fails where the process ends before."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.002)


def assert_same_run(one, other, step):
    assert without_times(RunDir(one).rows()) == without_times(RunDir(other).rows())
    assert checkpoint_digest(one, step) == checkpoint_digest(other, step)
    assert [p.name for p in checkpoint_prefixes(RunDir(one).best)] == [
        p.name for p in checkpoint_prefixes(RunDir(other).best)
    ]


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_as_if_it_never_was(data_dir, tmp_path):
    flags = ["--epochs=10", "--checkpoint_steps=4", "--ema_decay=0.9", "--schedule=cosine", "--critic_warmup_steps=3"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert finish(start(tiny("wgan-vgg", data_dir, whole, *flags)))[0] == 0
    chance = random.Random(1)
    run = RunDir(broken)
    partial = run.checkpoints / "partial"
    for number, target in enumerate((7, 20, 33, 47)):
        process = start(tiny("wgan-vgg", data_dir, broken, *flags))
        wait_until(lambda target=target: (newest_step(run) or 0) >= target, process)
        if number % 2:
            time.sleep(chance.uniform(0.0, 0.3))  # anywhere in a step, an evaluation or a save
        else:
            wait_until(partial.exists, process)  # a checkpoint is being written
        process.kill()
        assert finish(process)[0] == -signal.SIGKILL
    status, err = finish(start(tiny("wgan-vgg", data_dir, broken, *flags)))
    assert status == 0, err
    assert_same_run(whole, broken, 60)
    assert not partial.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("how", "others_status"), [(signal.SIGTERM, 143), (signal.SIGKILL, 4)])
def test_two_workers_of_which_one_is_stopped(data_dir, tmp_path, how, others_status):
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    def start_both(workdir):
        arguments = tiny("wgan-mse", data_dir, workdir, "--epochs=12", "--strategy=multi_worker")
        return [start(arguments, environment) for environment in cluster(2)]

    for process in start_both(whole):
        status, err = finish(process)
        assert status == 0, err
    first, second = start_both(broken)
    wait_until(lambda: (newest_step(RunDir(broken)) or 0) >= 18, first)
    second.send_signal(how)
    stopped = time.monotonic()
    status, err = finish(first, seconds=60)
    assert time.monotonic() - stopped < 60
    assert (status, err.count("\n")) == (others_status, 1), err
    assert ("which is saved" if others_status == 143 else "another worker has gone") in err
    assert finish(second)[0] == (143 if how == signal.SIGTERM else -signal.SIGKILL)
    for process in start_both(broken):
        assert finish(process)[0] == 0
    assert_same_run(whole, broken, 72)
    assert not list(broken.glob(".worker-*"))


# docs/training.md's loop, for any command.
AGAIN = 'until "$@"; do status=$?; case $status in 4|137|143) ;; *) exit $status ;; esac; done'


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1], ids=["the-chief", "the-other"])
def test_workers_in_a_loop_begin_again_by_themselves(data_dir, tmp_path, killed):
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    def start_both(workdir):
        flags = tiny("wgan-mse", data_dir, workdir, "--epochs=12", "--strategy=multi_worker")
        command = ["bash", "-c", AGAIN, "loop", sys.executable, "-m", "experiments.train", *flags]
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        return [subprocess.Popen(command, cwd=REPO, env=environment, **pipes) for environment in cluster(2)]

    for loop in start_both(whole):
        assert finish(loop)[0] == 0
    loops = start_both(broken)
    wait_until(lambda: (newest_step(RunDir(broken)) or 0) >= 18, loops[0])
    children = Path(f"/proc/{loops[killed].pid}/task/{loops[killed].pid}/children").read_text()
    os.kill(int(children), signal.SIGKILL)
    ends = [finish(loop) for loop in loops]
    assert [status for status, _ in ends] == [0, 0], ends
    assert "another worker has gone" in ends[1 - killed][1], "it ended and began again"
    assert_same_run(whole, broken, 72)


def test_workers_whose_runs_differ_are_told(data_dir, tmp_path):
    processes = [
        start(tiny("generator-mse", data_dir, tmp_path, f"--seed={seed}"), environment)
        for seed, environment in enumerate(cluster(2))
    ]
    for process in processes:
        status, err = finish(process)
        assert (status, err.count("\n")) == (2, 1), err
        assert "workers: their runs differ" in err
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize(
    ("number", "at", "status"),
    [(signal.SIGTERM, 8, 143), (signal.SIGINT, 2, 130), (signal.SIGTERM, 4, 143), (signal.SIGTERM, 10, 0)],
)
def test_a_signal_saves_wherever_it_comes(script, data_dir, tmp_path, monkeypatch, number, at, status):
    """In an epoch of 6 steps of 12: in its middle; such that its last step, or the run's, is the one it stops at."""
    flags = ("--ema_decay=0.9", "--schedule=step", "--set=optimizer.decay_steps=5", "--warmup_steps=2")
    assert script("train", *tiny("wgan-mse", data_dir, tmp_path / "whole", *flags))[0] == 0
    note = trainer.Trainer._note

    def note_and_signal(self, step, terms):
        if step == at:
            os.kill(os.getpid(), number)
        return note(self, step, terms)

    arguments = tiny("wgan-mse", data_dir, tmp_path / "parts", *flags)
    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_note", note_and_signal)
        result, _, err = script("train", *arguments)
    saved = newest_step(RunDir(tmp_path / "parts"))
    assert result == status, err
    if status:
        assert err == f"error: stopped at step {saved}, which is saved; rerun to resume\n"
    assert at < saved <= at + 3
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "the handlers are given back"
    assert script("train", *arguments)[0] == 0
    assert_same_run(tmp_path / "whole", tmp_path / "parts", 12)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_max_steps_ends_saved_and_a_higher_one_goes_on(script, data_dir, tmp_path, precision):
    """In float16 with the scale of the losses, and the updates since it last changed; read from disk, then held."""
    flags = [f"--precision={precision}"]
    arguments = tiny("wgan-mse", data_dir, tmp_path / "parts", *flags)
    assert script("train", *arguments, "--max_steps=4", "--memory_gb=0")[0] == 0
    assert newest_step(RunDir(tmp_path / "parts")) == 4
    assert script("train", *arguments, "--max_steps=9")[0] == 0
    assert [row["step"] for row in RunDir(tmp_path / "parts").rows()] == [0, 6]
    assert script("train", *arguments)[0] == 0
    assert script("train", *tiny("wgan-mse", data_dir, tmp_path / "whole", *flags))[0] == 0
    assert_same_run(tmp_path / "whole", tmp_path / "parts", 12)


def test_a_full_disk_leaves_the_checkpoint_before(script, data_dir, tmp_path, monkeypatch):
    assert script("train", *tiny("wgan-mse", data_dir, tmp_path / "whole"))[0] == 0
    arguments = tiny("wgan-mse", data_dir, tmp_path / "parts")
    write = tf.train.Checkpoint.write

    def full(self, path):
        if path.endswith("12"):
            write(self, path)  # some of it is there when the disk is full
            raise tf.errors.ResourceExhaustedError(None, None, f"{path}; No space left on device [Op:SaveV2]")
        return write(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(tf.train.Checkpoint, "write", full)
        status, _, err = script("train", *arguments)
    assert (status, err.count("error: ")) == (2, 1)
    assert "step-000000012: cannot be written (No space left on device)" in err
    assert newest_step(RunDir(tmp_path / "parts")) == 6
    assert not (tmp_path / "parts" / "checkpoints" / "partial").exists()
    assert script("train", *arguments)[0] == 0
    assert_same_run(tmp_path / "whole", tmp_path / "parts", 12)


def test_a_second_run_on_one_workdir_is_refused(script, data_dir, tmp_path):
    with RunDir(tmp_path).locked():
        status, _, err = script("train", *tiny("generator-mse", data_dir, tmp_path))
    assert (status, err.count("\n")) == (2, 1)
    assert "another process trains there" in err
    assert not (tmp_path / "config.json").exists()


def test_the_best_checkpoint_is_linked_after_a_kill_between_save_and_link(script, data_dir, tmp_path, monkeypatch):
    def killed_at_the_end(run, step):
        if newest_step(run) == 6:
            raise KeyboardInterrupt
        return checkpoints.keep_best(run, step)

    arguments = tiny("generator-mse", data_dir, tmp_path, "--epochs=1", "--generator_lr=1e-3")
    run = RunDir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "keep_best", killed_at_the_end)
        assert script("train", *arguments)[0] == 130
    assert [p.name for p in checkpoint_prefixes(run.best)] == ["step-000000000"]
    assert script("train", *arguments)[0] == 0
    assert training_rows.best_row(run.rows(), "train/psnr")["step"] == 6
    assert [p.name for p in checkpoint_prefixes(run.best)] == ["step-000000006"]


def test_a_damaged_best_checkpoint_is_made_anew(script, data_dir, tmp_path, caplog):
    """The last one of a run that had ended; its links in best/ are damaged with it."""
    arguments = tiny("generator-mse", data_dir, tmp_path, "--generator_lr=1e-3", "--checkpoint_steps=4")
    assert script("train", *arguments)[0] == 0
    rows = RunDir(tmp_path).rows()
    assert training_rows.best_row(rows, "train/psnr")["step"] == 12
    expected = load_generator(RunDir(tmp_path), "best").get_weights()
    data = tmp_path / "checkpoints" / "step-000000012.data-00000-of-00001"
    with data.open("r+b") as file:
        file.truncate(1000)
    assert script("train", *arguments)[0] == 0
    assert "falling back" in caplog.text
    assert without_times(RunDir(tmp_path).rows()) == without_times(rows)
    for weights in ("raw", "best"):
        for ours, theirs in zip(load_generator(RunDir(tmp_path), weights).get_weights(), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    launches = json.loads(RunDir(tmp_path).environment.read_text())
    assert [launch["seed"] for launch in launches] == [0, 0], "each launch is on record"
