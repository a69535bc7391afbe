"""experiments.reproduce where a model collapses or diverges, or the process is killed: the rest is not lost."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import REPO
from test_reproduce import chain
from training_runs import files_with_times, without_times

from wgan_vgg.evaluation import repeats
from wgan_vgg.run_dir import RunDir


def test_a_collapsed_model_is_named_the_others_go_on_and_the_status_is_3(script, hdf5_dir, tmp_path):
    # Kills every model alike; the guard has passed before.
    flags = ("--models=generator-mse,wgan-mse", "--generator_lr=10", "--epochs=30")
    status, out, _ = script("reproduce", *chain(hdf5_dir, tmp_path, *flags))
    assert status == 3
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["models"]["generator-mse"]["collapsed"]
    assert "wgan-mse" in results["models"]
    assert "**collapsed**" in next(line for line in out.splitlines() if line.startswith("| generator-mse"))


def test_a_model_that_diverges_costs_no_other_its_report(script, hdf5_dir, tmp_path):
    flags = chain(hdf5_dir, tmp_path, "--models=wgan,generator-mse", "--critic_lr=1e30")
    status, out, err = script("reproduce", *[flag for flag in flags if flag != "--init_from=generator-mse"])
    assert (status, out) == (3, ""), err
    last = err.splitlines()[-1]
    assert last.startswith("error: wgan (seed 0): step 1: ")
    assert "last good checkpoint" in last
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results["models"]) == ["wgan", "generator-mse"]
    markdown = (tmp_path / "results.md").read_text()
    assert "| generator-mse " in markdown
    assert (
        "wgan: its training has not ended, by a stop or because it diverged; its last row is of step 0 of 12"
        in markdown
    )
    assert "generator-mse: its training has not ended" not in markdown
    before = files_with_times(tmp_path / "generator-mse")
    assert script("reproduce", *flags)[0] == 3
    assert files_with_times(tmp_path / "generator-mse") == before
    # What an earlier version's evaluation says is not put beside this one's.
    evaluated = RunDir(tmp_path / "generator-mse").eval_json("test")
    evaluated.write_text(json.dumps(json.loads(evaluated.read_text()) | {"version": 1}))
    assert script("reproduce", *flags)[0] == 3
    assert json.loads(evaluated.read_text())["version"] == repeats.VERSION


def kill_once(command, condition):
    """Starts a command and kills it (-9) as soon as the condition holds, which must be before it ends."""
    process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_killed_at_any_moment_the_same_command_completes(hdf5_dir, tmp_path):
    def command(workdir):
        flags = chain(hdf5_dir, workdir, "--models=wgan-mse")
        return [sys.executable, "-m", "experiments.reproduce", *flags]

    run = RunDir(tmp_path / "killed" / "wgan-mse")

    def records_have_begun():
        try:
            return any((tmp_path / "killed").glob(".data.partial-*/*.tfrecord-*"))
        except FileNotFoundError:  # the folder got its name while it was looked into
            return True

    moments = (
        records_have_begun,
        lambda: (run.checkpoints / "partial").exists(),
        lambda: len(run.rows()) == 2,
        lambda: (tmp_path / "killed" / "references" / "baselines.json").exists(),
        lambda: run.eval_json("test").exists(),
        lambda: (tmp_path / "killed" / "figures" / "figure1.png").exists(),
    )
    for moment in moments:
        kill_once(command(tmp_path / "killed"), moment)
    for workdir in ("killed", "whole"):
        subprocess.run(command(tmp_path / workdir), cwd=REPO, check=True, capture_output=True, timeout=300)
    whole = RunDir(tmp_path / "whole" / "wgan-mse")
    assert without_times(run.rows()) == without_times(whole.rows())
    files = {path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file()}
    missing = [path for path in files if not (tmp_path / "killed" / path).is_file() and "tfevents" not in path.name]
    assert missing == []
    assert not list((tmp_path / "killed").rglob(".*partial*"))
