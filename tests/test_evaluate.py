"""wgan_vgg.evaluation and deploy.export: closed-form metrics, rows of a real run, the SavedModel alone."""

import csv
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import REPO
from test_train import tiny

from wgan_vgg.checkpoint_reader import load_generator
from wgan_vgg.config import EvaluationConfig
from wgan_vgg.evaluation import metrics
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import RunDir

CONFIG = EvaluationConfig()


def test_psnr_of_a_known_error():
    # MSE .01 at range 1: 20 dB.
    assert metrics.psnr(np.zeros((4, 4)), np.full((4, 4), 0.1)) == pytest.approx(20.0)
    assert metrics.psnr(np.ones((4, 4)), np.ones((4, 4))) == float("inf")


def test_psnr_of_the_reports_noise():
    noise = np.random.default_rng(0).normal(0, 0.015, (512, 512))
    assert metrics.psnr(np.zeros((512, 512)), noise) == pytest.approx(36.48, abs=0.05)


def test_ssim_equals_tensorflows():
    rng = np.random.default_rng(0)
    truth, image = rng.uniform(size=(2, 40, 33)).astype(np.float32)
    theirs = float(tf.image.ssim(truth[..., None], image[..., None], max_val=1.0))
    assert metrics.ssim(truth, image) == pytest.approx(theirs, abs=1e-4)


def test_ssim_of_constants():
    # Only the luminance term differs from 1: (2ab + C1) / (a^2 + b^2 + C1).
    value = metrics.ssim(np.full((16, 16), 0.5), np.full((16, 16), 0.25))
    assert value == pytest.approx((0.25 + 1e-4) / (0.3125 + 1e-4), rel=1e-5)


def test_rmse_in_hu():
    assert metrics.rmse_hu(np.zeros((4, 4)), np.full((4, 4), 0.1), 4072.001) == pytest.approx(407.2001)


def test_report_psnr_is_of_the_batchs_mse_not_the_mean_of_psnrs():
    truth = np.zeros((2, 4, 4))
    images = np.stack([np.full((4, 4), 0.1), np.full((4, 4), 0.01)])
    assert metrics.report_batch_psnr(truth, images) == pytest.approx(10 * np.log10(2 / (0.01 + 0.0001)))
    assert np.mean([metrics.psnr(t, i) for t, i in zip(truth, images, strict=True)]) == pytest.approx(30.0)


def test_report_ssim_has_unsquared_constants():
    truth = np.array([[[0.0, 1.0]]])
    # Means .5, variances .25; a constant image of .5 has covariance 0: (.5 + .01)/(.5 + .01) * .03/(.25 + .03).
    assert metrics.report_global_ssim(truth, np.full((1, 1, 2), 0.5)) == pytest.approx(0.03 / 0.28)
    assert metrics.report_global_ssim(truth, truth) == pytest.approx(1.0)


def test_gradient_energy_ranks_detail():
    edges = np.zeros((8, 8))
    edges[:, ::4] = 1
    assert metrics.gradient_energy(np.ones((8, 8))) == 0
    assert metrics.gradient_energy(edges.T) == metrics.gradient_energy(edges) > metrics.gradient_energy(edges / 2)


@pytest.fixture(scope="module")
def run(data_dir, tmp_path_factory):
    """A finished tiny run, evaluated with its images and exported."""
    from experiments import evaluate, export, train

    workdir = tmp_path_factory.mktemp("evaluated")
    images, saved_model = workdir / "images", workdir / "saved_model"
    for script, arguments in (
        (train, tiny("generator-mse", data_dir, workdir)),
        (evaluate, [f"--workdir={workdir}", f"--data_dir={data_dir}", f"--save_images={images}"]),
        (export, [f"--workdir={workdir}", f"--output_dir={saved_model}"]),
    ):
        with pytest.raises(SystemExit) as exit_info:
            script.main(arguments)
        assert exit_info.value.code == 0
    return RunDir(workdir)


def csv_rows(run):
    return list(csv.DictReader(run.eval_csv("test").read_text().splitlines()))


def test_rows_and_means_agree_and_the_noisy_input_is_a_row(run, data_dir):
    rows = csv_rows(run)
    summary = json.loads(run.eval_json("test").read_text())
    assert list(summary["methods"]) == ["noisy input", *CONFIG.baselines, "generator-mse"]
    assert len(rows) == 12 * 8
    assert (summary["images"], summary["patients"]) == (12, 4)
    for method in summary["methods"]:
        values = [float(row["psnr"]) for row in rows if row["method"] == method]
        assert len(values) == 12
        assert summary["methods"][method]["psnr"] == pytest.approx(np.mean(values))
    records = list(DataSet.open(data_dir).records("test").as_numpy_iterator())
    noisy = [metrics.psnr(r["normal_dose"][..., 0], r["low_dose"][..., 0]) for r in records]
    assert summary["methods"]["noisy input"]["psnr"] == pytest.approx(np.mean(noisy))
    pairs = [(noisy[i], noisy[i + 1]) for i in range(0, 12, 2)]
    by_batch = [-10 * np.log10((10 ** (-a / 10) + 10 ** (-b / 10)) / 2) for a, b in pairs]
    assert summary["methods"]["noisy input"]["report_psnr"] == pytest.approx(np.mean(by_batch))


def test_saved_images_are_the_arrays_that_were_judged(run):
    row = next(row for row in csv_rows(run) if row["method"] == "generator-mse")
    name = f"{row['patient_id']}_{row['slice_index']}.npy"
    low, normal, denoised = (
        np.load(run.path / "images" / kind / name) for kind in ("low_dose", "normal_dose", "denoised")
    )
    assert metrics.psnr(normal, denoised) == pytest.approx(float(row["psnr"]))
    np.testing.assert_allclose(load_generator(run)(low[None, ..., None])[0, ..., 0], denoised, atol=1e-5)


def test_the_sample_has_the_highest_gradient_energy(run, data_dir):
    records = DataSet.open(data_dir).records("test").as_numpy_iterator()
    energies = {int(r["slice_index"]): metrics.gradient_energy(r["normal_dose"][..., 0]) for r in records}
    summary = json.loads(run.eval_json("test").read_text())
    assert summary["sample"]["slice_index"] == max(energies, key=energies.get)


def test_rescaled_input_has_no_hu(hdf5_dir, tmp_path, script):
    from conftest import PREPARE

    from data_prep.prepare import prepare_lodopab

    prepare_lodopab(hdf5_dir, tmp_path / "data", dataclasses.replace(PREPARE, rescale_low_dose=True), seed=0)
    assert script("train", *tiny("generator-mse", tmp_path / "data", tmp_path / "run", "--epochs=1"))[0] == 0
    status, out, _ = script("evaluate", f"--workdir={tmp_path / 'run'}", f"--data_dir={tmp_path / 'data'}")
    assert status == 0
    assert "–" in next(line for line in out.splitlines() if "noisy input" in line)
    summary = json.loads(RunDir(tmp_path / "run").eval_json("test").read_text())
    assert summary["methods"]["noisy input"]["rmse_hu"] is None
    assert summary["methods"]["generator-mse"]["rmse_hu"] > 0


ALONE = """
import sys, numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
signature = model.signatures["serving_default"]
for shape in ((1, 17, 33, 1), (3, 64, 40, 1)):
    image = np.linspace(0, 1, np.prod(shape), dtype=np.float32).reshape(shape)
    np.save(f"{sys.argv[2]}/{shape[0]}.npy", signature(low_dose=tf.constant(image))["denoised"].numpy())
assert not [name for name in sys.modules if name.startswith(("wgan_vgg", "data_prep", "experiments"))]
"""


def test_saved_model_runs_in_a_process_that_has_only_tensorflow(run, tmp_path):
    command = [sys.executable, "-I", "-c", ALONE, str(run.path / "saved_model"), str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, timeout=120)
    generator = load_generator(run)
    for shape in ((1, 17, 33, 1), (3, 64, 40, 1)):
        image = np.linspace(0, 1, np.prod(shape), dtype=np.float32).reshape(shape)
        np.testing.assert_allclose(np.load(tmp_path / f"{shape[0]}.npy"), generator(image), atol=1e-5)


def test_export_never_overwrites_unasked(run, script):
    target = run.path / "saved_model"
    before = (target / "saved_model.pb").read_bytes()
    arguments = (f"--workdir={run.path}", f"--output_dir={target}")
    status, _, err = script("export", *arguments)
    assert (status, "exists already; add --overwrite" in err) == (2, True)
    assert (target / "saved_model.pb").read_bytes() == before
    assert script("export", *arguments, "--overwrite")[0] == 0
    assert sorted(path.name for path in run.path.glob(".*")) == []


def test_shipped_and_exported_models_are_rows_of_one_table(run, data_dir, script, tmp_path):
    models = f"generator-mse-lodopab,mine={run.path / 'saved_model'}"
    flags = [f"--models={models}", f"--output_dir={tmp_path}", f"--data_dir={data_dir}", "--baselines=tv"]
    status, out, err = script("evaluate", *flags, "--vgg_weights=none")
    assert (status, "| mine" in out) == (0, True), err
    summary = json.loads(RunDir(tmp_path).eval_json("test").read_text())
    assert list(summary["methods"]) == ["noisy input", "tv", "generator-mse-lodopab", "mine"]
    same = f"--models={run.path / 'saved_model'},{run.path / 'saved_model'}"
    status, _, err = script("evaluate", same, *flags[1:], "--vgg_weights=none")
    assert (status, "two are called saved_model; give NAME=MODEL" in err) == (2, True)
    trained = json.loads(run.eval_json("test").read_text())["methods"]["generator-mse"]["psnr"]
    assert summary["methods"]["mine"]["psnr"] == pytest.approx(trained, abs=0.01)


def test_a_model_is_judged_at_the_strengths_that_denoise_takes(run, data_dir, script, tmp_path):
    models = f"--models=mine={run.path / 'saved_model'},generator-mse-lodopab"
    flags = [f"--output_dir={tmp_path / 'out'}", f"--data_dir={data_dir}", "--baselines=", "--vgg_weights=none"]
    flags.append("--strengths=1,0.25")
    status, _, err = script("evaluate", f"--models=wgan={run.path / 'saved_model'}", *flags)
    assert (status, "name=wgan: one of this project's own methods" in err) == (2, True)
    status, _, err = script("evaluate", models, *flags)
    assert status == 0, err
    methods = json.loads(RunDir(tmp_path / "out").eval_json("test").read_text())["methods"]
    shipped = ["generator-mse-lodopab", "generator-mse-lodopab at 0.25"]
    assert list(methods) == ["noisy input", "mine", "mine at 0.25", *shipped]
    # Mean errors mix as images do.
    noisy, whole, mixed, *_ = (found["bias_hu"] for found in methods.values())
    assert abs(whole - noisy) > 1
    assert mixed == pytest.approx(0.25 * whole + 0.75 * noisy, abs=0.05)


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("evaluate", ["--strengths=0.5"], "--strengths: goes with --models"),
        ("evaluate", ["--strengths=1,0"], "--strengths=1,0: give numbers above 0, up to 1, each once"),
        ("evaluate", ["--strengths=half"], "--strengths=half: give numbers above 0, up to 1, each once"),
        ("evaluate", ["--split=val"], "no split 'val'; it has train, validation, test"),
        ("evaluate", ["--workdir=/nowhere"], "no run; train one"),
        ("evaluate", ["--data_dir=/nowhere"], "no such folder"),
        ("export", ["--workdir=/nowhere", "--output_dir=/tmp/never"], "no run; train one"),
        ("export", ["--output_dir=/tmp/never", "--format=onyx"], "take one of saved_model"),
    ],
)
def test_mistakes_are_one_line(run, data_dir, script, name, flags, message):
    defaults = {"--workdir": str(run.path)} | ({"--data_dir": str(data_dir)} if name == "evaluate" else {})
    defaults |= dict(flag.split("=") for flag in flags)
    status, out, err = script(name, *(f"{key}={value}" for key, value in defaults.items()))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_many_models_in_one_table_give_no_notice_of_retracing(network, identity, data_dir, tmp_path):
    """TensorFlow takes the functions of five models, one each, for one that is traced anew."""
    models = ",".join(f"m{number}={(network, identity)[number % 2]}" for number in range(6))
    flags = (f"--models={models}", f"--data_dir={data_dir}", f"--output_dir={tmp_path / 'out'}", "--baselines=")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "experiments.evaluate",
            *flags,
            "--vgg_weights=none",
            "--set=evaluation.repeated_images=0",
        ],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "m5" in done.stdout
    assert "retracing" not in done.stderr
