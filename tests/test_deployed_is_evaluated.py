"""The deployed network is the judged one, in HU; and it survives requests that are no images, NaN and infinity."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import PREPARE, REPO
from deployed import HU, odd_images, save_run, write_run
from dicom_files import prepare as prepare_dicom
from dicom_files import write_patients, write_series

from data_prep.prepare import prepare_lodopab
from wgan_vgg import config
from wgan_vgg.checkpoint_reader import load_generator
from wgan_vgg.evaluation import methods, metrics
from wgan_vgg.evaluation.evaluator import batches
from wgan_vgg.exporters.export import export
from wgan_vgg.exporters.formats import tflite_runner
from wgan_vgg.exporters.non_finite import nan_keeping_model
from wgan_vgg.hu import HuMapping
from wgan_vgg.image_files.dicom_io import DicomSlices
from wgan_vgg.image_files.slices import Options
from wgan_vgg.inference.denoiser import Denoiser
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.models import build_generator, generator_of
from wgan_vgg.run_dir import RunDir


def nearly_identity(settings):
    """A generator that gives back its input, smoothed a little where it is smooth: what is clipped away shows."""
    generator = build_generator(settings.generator)
    for layer in generator.layers[1:]:
        kernel = np.zeros(layer.kernel.shape, np.float32)
        kernel[:, :, 0, 0] = 0.05
        kernel[0, 1, 0, 0], kernel[1, 1, 0, 0] = 0.2, 0.4  # not the same along both axes
        layer.set_weights([kernel, np.full(layer.bias.shape, 0.02)])
    return generator


@pytest.fixture(scope="module", params=["gaussian", "poisson", "dicom"])
def judged(request, hdf5_dir, tmp_path_factory):
    """Records of each kind, and a run on them."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "dicom":
        root = write_patients(folder / "in", ["L0", "L1", "L2"])
        prepare_dicom(root)
        data = DataSet.open(folder / "records")
    else:
        more = {} if request.param == "gaussian" else {"noise": "poisson", "noise_std": None, "photons": 100.0}
        prepare_lodopab(hdf5_dir, folder / "records", dataclasses.replace(PREPARE, **more), seed=0)
        data = DataSet.open(folder / "records")
    settings = config.override(config.preset("demo"), {"model": "generator-mse", "generator.layers": 2})
    run = save_run(folder / "run", settings, nearly_identity(settings), dict(data.description))
    return run, data


def test_denoise_hu_has_the_psnr_that_evaluate_says(judged, tmp_path):
    """Fails where the graph clips what conversion did not (gaussian, poisson), or does not clip what it did."""
    run, data = judged
    serve = tf.saved_model.load(str(export(run, tmp_path / "saved_model", "saved_model"))).signatures["denoise_hu"]
    denoiser, method = Denoiser.load(run.path), methods.from_run(run)
    slope, intercept = data.hu.slope, data.hu.intercept
    axes = (0, 2, 1) if data.description["transposed"] else (0, 1, 2)  # from lying as the records do to upright
    deployed = methods.from_denoiser("deployed", denoiser, data)
    found = {"evaluate": [], "evaluate --models": [], "denoise_hu": [], "denoise": []}
    for batch in batches(data, "test"):
        hu = (slope * batch.low_dose.astype(np.float64) + intercept).astype(np.float32).transpose(axes)
        served = serve(low_dose_hu=tf.constant(hu[..., None]))["denoised"].numpy()[..., 0]
        found["evaluate"] += map(metrics.psnr, batch.normal_dose, method.denoise(batch))
        found["evaluate --models"] += map(metrics.psnr, batch.normal_dose, deployed.denoise(batch))
        for name, images in (("denoise_hu", served), ("denoise", denoiser(hu))):
            found[name] += map(metrics.psnr, batch.normal_dose, (images.transpose(axes) - intercept) / slope)
    for name in ("evaluate --models", "denoise_hu", "denoise"):
        np.testing.assert_allclose(found[name], found["evaluate"], atol=0.01, err_msg=name)
    noisy = np.concatenate([batch.low_dose for batch in batches(data, "test")])
    assert (noisy.min() < 0) == (HuMapping.from_run(run).clip is None), "it would not show"


def test_an_export_of_an_earlier_version_clips_as_its_graph_does():
    old = {"slope": 4072.0, "intercept": -1001.0, "rescaled": False, "range": [-1001.0, 3071.0]}
    assert HuMapping.from_metadata({"hu": old}).clip == (0.0, 1.0)
    for clip in (None, (0.0, 1.0)):
        mapping = HuMapping(4072.0, -1001.0, clip=clip)
        assert HuMapping.from_metadata({"hu": json.loads(json.dumps(mapping.describe()))}) == mapping


# Requests that are no images


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    return export(write_run(folder / "run"), folder / "saved_model", "saved_model")


REQUESTS = """
import sys, numpy as np, tensorflow as tf
from tensorflow.core.protobuf import config_pb2
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    model = tf.compat.v1.saved_model.load(session, ["serve"], sys.argv[1])
    for name in ("serving_default", "denoise_hu", "denoise_hu_int16"):
        signature = model.signature_def[name]
        (given,) = signature.inputs.values()
        options = config_pb2.CallableOptions(feed=[given.name], fetch=[signature.outputs["denoised"].name])
        call = session._make_callable_from_options(options)  # as Serving feeds: without Python's own check of shapes
        for shape in ((5, 5), (1, 5, 5), (1, 1, 5, 5, 1), (1, 5, 5, 2), (), (0, 5, 5, 1), (1, 0, 5, 1), (1, 5, 5, 1)):
            images = np.zeros(shape, tf.as_dtype(given.dtype).as_numpy_dtype)
            try:
                print(name, shape, "gives", call(images)[0].shape, flush=True)
            except tf.errors.InvalidArgumentError as error:
                print(name, shape, "InvalidArgument", "expected shape [?,?,?,1]" in str(error), flush=True)
"""


def test_a_server_survives_any_shape(served):
    """Before, two and three axes ended the process ("Check failed"), and five were taken."""
    done = subprocess.run(
        [sys.executable, "-c", REQUESTS, served], cwd=REPO, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("serving_default", "denoise_hu", "denoise_hu_int16"):
        said = [line.removeprefix(f"{name} ") for line in done.stdout.splitlines() if line.startswith(f"{name} ")]
        assert said == [
            *(f"{shape} InvalidArgument True" for shape in ((5, 5), (1, 5, 5), (1, 1, 5, 5, 1), (1, 5, 5, 2), ())),
            *(f"{shape} gives {shape}" for shape in ((0, 5, 5, 1), (1, 0, 5, 1), (1, 5, 5, 1))),
        ]


# NaN and infinity


def where_it_reaches(shape, places, distance):
    mask = np.zeros(shape, bool)
    for image, row, column in places:
        mask[image, max(0, row - distance) : row + distance + 1, max(0, column - distance) : column + distance + 1] = (
            True
        )
    return mask


SPOILED = ((0, 20, 30), (0, 0, 52), (1, 36, 0))  # in the middle, in a corner, and in another image


def spoiled_images(bad):
    images = odd_images(3)
    for image, row, column in SPOILED:
        images[image, row, column] = bad
    return images


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_nan_where_it_reaches_and_nowhere_else(served, bad):
    images = spoiled_images(bad)
    model = tf.saved_model.load(str(served))
    run = RunDir(served.parent / "run")
    generator, extent = load_generator(run), generator_of(run.load_config().generator).extent
    expected = where_it_reaches(images.shape, SPOILED, extent.reach)
    given = model.signatures["serving_default"](low_dose=tf.constant(images))["denoised"].numpy()
    np.testing.assert_array_equal(np.isnan(given), expected)
    clean = model.signatures["serving_default"](low_dose=tf.constant(odd_images(3)))["denoised"].numpy()
    np.testing.assert_allclose(given[~expected], clean[~expected], atol=1e-5)
    in_hu = model.signatures["denoise_hu"](low_dose_hu=tf.constant(4096 * images - 1024))["denoised"].numpy()
    np.testing.assert_array_equal(np.isnan(in_hu), expected)
    converted = nan_keeping_model(generator, extent.reach)(images).numpy()
    np.testing.assert_array_equal(np.isnan(converted), expected)


def test_in_a_rescaled_model_the_whole_slice_is_nan(tmp_path):
    run = write_run(tmp_path / "run", **{"data.rescale_low_dose": True})
    model = tf.saved_model.load(str(export(run, tmp_path / "saved_model", "saved_model")))
    given = model.signatures["denoise_hu"](low_dose_hu=tf.constant(spoiled_images(np.nan)))["denoised"].numpy()
    assert np.isnan(given[:2]).all()
    assert np.isfinite(given[2]).all()


def test_tflite_and_onnx_alike(served, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    run = RunDir(served.parent / "run")
    images = spoiled_images(np.nan)
    expected = where_it_reaches(images.shape, SPOILED, generator_of(run.load_config().generator).extent.reach)
    session = runtime.InferenceSession(str(export(run, tmp_path / "onnx", "onnx") / "generator.onnx"))
    np.testing.assert_array_equal(np.isnan(session.run(["denoised"], {"low_dose": images})[0]), expected)
    for precision in ("float32", "float16", "int8"):
        write_series(tmp_path / "series", 4)
        calibration = None if precision == "float32" else tmp_path / "series"
        folder = export(run, tmp_path / precision, "tflite", precision=precision, calibration=calibration)
        runner = tflite_runner((folder / "generator.tflite").read_bytes())
        for number, image in enumerate(images):  # one by one, as int8 was calibrated
            given = runner(low_dose=image[np.newaxis])["denoised"]
            np.testing.assert_array_equal(np.isnan(given), expected[number : number + 1], err_msg=precision)


# What less precision costs


@pytest.mark.parametrize("clip", [None, [0.0, 1.0]])
def test_the_cost_is_in_hu_and_measured_on_the_users_own_images(script, tmp_path, caplog, clip):
    run = write_run(tmp_path / "run", HU | {"low_dose_clip": clip})
    write_series(tmp_path / "series", 5)
    flags = (f"--workdir={run.path}", "--format=tflite", "--precision=int8", f"--calibration={tmp_path / 'series'}")
    status, out, err = script("export", *flags, f"--output_dir={tmp_path / 'int8'}")
    assert status == 0, err
    cost = json.loads((tmp_path / "int8" / "metadata.json").read_text())["cost"]
    assert (cost["images"], cost["of"], "psnr" in cost) == (2, "5 slices of series", False)
    assert 0 < cost["hu_mean"] < cost["hu_p99_9"] <= cost["hu_max"]
    assert f"{cost['hu_mean']:.2f} HU on average" in out
    assert ("export float32" in caplog.text) == (cost["hu_mean"] > 5)
    denoiser = Denoiser.load(run.path)
    series = [DicomSlices(path, Options()).read(0) for path in sorted((tmp_path / "series").iterdir())[1::2]]
    exact = denoiser(np.stack(series))
    runner = tflite_runner((tmp_path / "int8" / "generator.tflite").read_bytes())
    values = denoiser.mapping.to_values(np.stack(series)[..., None])
    given = np.concatenate([runner(low_dose=image[None])["denoised"] for image in values])[..., 0]
    difference = np.abs(denoiser.mapping.to_hu(given) - exact)
    assert cost["hu_mean"] == pytest.approx(difference.mean(), rel=0.02)
    assert cost["hu_p99_9"] == pytest.approx(np.percentile(difference, 99.9), rel=0.02)
    assert cost["hu_max"] == pytest.approx(difference.max(), rel=0.02)
