"""The raw, the averaged and the best weights of one run: loaded, judged and exported beside each other."""

import json

import numpy as np
import pytest
import tensorflow as tf
from training_runs import tiny

from data_prep.errors import InputError
from wgan_vgg.checkpoint_reader import load_generator, saved_step
from wgan_vgg.evaluation import metrics
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training.rows import best_row


@pytest.fixture(scope="module")
def averaged_run(data_dir, tmp_path_factory):
    from wgan_vgg import config
    from wgan_vgg.training.train_loop import train

    workdir = tmp_path_factory.mktemp("averaged")
    values = {"model": "generator-mse", "training.batch_size": 4, "training.ema_decay": 0.9, "generator.layers": 3}
    values |= {"training.steps": 12, "optimizer.generator_lr": 2e-3, "training.eval_images": 4}
    train(config.override(config.preset("demo"), values), DataSet.open(data_dir), workdir)
    return RunDir(workdir)


def test_they_are_three_generators(averaged_run, data_dir):
    low_dose, _ = DataSet.open(data_dir).first("test", 2)
    outputs = {name: load_generator(averaged_run, name)(low_dose).numpy() for name in ("raw", "average", "best")}
    assert not np.array_equal(outputs["raw"], outputs["average"])
    best = best_row(averaged_run.rows(), "train/psnr")["step"]
    assert saved_step(averaged_run, "best") == best
    assert np.array_equal(outputs["raw"], outputs["best"]) == (best == 12)
    with pytest.raises(InputError, match="take one of raw, average, best"):
        load_generator(averaged_run, "ema")


def test_evaluate_judges_them_side_by_side(script, averaged_run, data_dir):
    flags = (f"--workdir={averaged_run.path}", f"--data_dir={data_dir}", "--best", "--baselines=", "--vgg_weights=none")
    status, out, err = script("evaluate", *flags)
    assert status == 0, err
    evaluated = json.loads(averaged_run.eval_json("test").read_text())["methods"]
    low_dose, normal_dose = DataSet.open(data_dir).first("test", 12)
    for name, weights in (
        ("generator-mse", "raw"),
        ("generator-mse-average", "average"),
        ("generator-mse-best", "best"),
    ):
        assert name in out
        outputs = load_generator(averaged_run, weights)(low_dose).numpy()[..., 0]
        psnrs = [metrics.psnr(t, o) for t, o in zip(normal_dose.numpy()[..., 0], outputs, strict=True)]
        assert evaluated[name]["psnr"] == pytest.approx(np.mean(psnrs), abs=1e-3)


def test_export_takes_them_by_name(script, averaged_run, data_dir, tmp_path):
    low_dose, _ = DataSet.open(data_dir).first("test", 2)
    for weights in ("raw", "average", "best"):
        flags = (f"--workdir={averaged_run.path}", f"--output_dir={tmp_path / weights}", f"--weights={weights}")
        assert script("export", *flags)[0] == 0
        exported = tf.saved_model.load(str(tmp_path / weights)).signatures["serving_default"](low_dose=low_dose)
        np.testing.assert_allclose(exported["denoised"], load_generator(averaged_run, weights)(low_dose), atol=1e-6)


def test_a_run_without_an_average_says_so(script, data_dir, tmp_path):
    assert script("train", *tiny("generator-mse", data_dir, tmp_path / "run", "--max_steps=1"))[0] == 0
    flags = (f"--workdir={tmp_path / 'run'}", f"--output_dir={tmp_path / 'model'}", "--weights=average")
    status, _, err = script("export", *flags)
    assert (status, err.count("\n")) == (2, 1)
    assert "was trained without; train with --ema_decay" in err
