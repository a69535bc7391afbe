"""Several steps in one call: nothing but Python's part changes."""

import pytest
from training_runs import checkpoint_digest, tiny, without_times

from wgan_vgg.run_dir import RunDir
from wgan_vgg.training import multi_step


def test_a_call_of_several_steps_does_what_single_ones_do(script, data_dir, tmp_path, monkeypatch):
    """Fails where a call goes beyond an epoch or a checkpoint, loses a step's terms or takes a batch twice."""
    lengths = []
    build = multi_step.build_train_steps

    def counting(train_step):
        train_steps = build(train_step)
        return lambda batches, count, stop_flag: lengths.append(count) or train_steps(batches, count, stop_flag)

    monkeypatch.setattr("wgan_vgg.training.trainer.build_train_steps", counting)
    for name, more in (("one", []), ("four", ["--steps_per_call=4"])):
        arguments = tiny("wgan-mse", data_dir, tmp_path / name, "--checkpoint_steps=5", "--ema_decay=0.9", *more)
        assert script("train", *arguments)[0] == 0
    assert lengths == [1] * 12 + [4, 1, 1, 4, 2]
    one, four = (RunDir(tmp_path / name) for name in ("one", "four"))
    assert without_times(one.rows()) == without_times(four.rows())
    assert checkpoint_digest(one.path, 12) == checkpoint_digest(four.path, 12)


def test_a_nan_within_a_call_is_named_by_its_step(script, data_dir, tmp_path):
    rate = "--set=optimizer.generator_lr=1e38"
    arguments = tiny("generator-mse", data_dir, tmp_path, "--epochs=1", "--steps_per_call=6", rate)
    status, _, err = script("train", *arguments)
    assert status == 3
    assert "error: step 2: " in err
    assert "last good checkpoint is step 0" in err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--steps_per_call=0"], "must be from 1 to 10"),
        (["--steps_per_call=11"], "must be from 1 to 10"),
        (["--steps_per_call=2", "--virtual_devices=2"], "on one device only"),
    ],
)
def test_refusals(script, data_dir, tmp_path, flags, message):
    status, _, err = script("train", *tiny("generator-mse", data_dir, tmp_path / "run", *flags))
    assert (status, err.count("\n")) == (2, 1)
    assert message in err
    assert not (tmp_path / "run").exists()
