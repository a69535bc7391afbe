"""wgan_vgg.exporters.export: every format computes what the run's generator does, on images with odd sides."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from deployed import HU, odd_images, write_run

from data_prep.errors import InputError
from wgan_vgg.checkpoint_reader import load_generator
from wgan_vgg.exporters.export import export, exported_step
from wgan_vgg.exporters.formats import tflite_runner


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def saved_model(run):
    return export(run, run.path / "saved_model", "saved_model")


@pytest.fixture(scope="module")
def arranged(run):
    return export(run, run.path / "arranged", "saved_model", optimize="cpu")


def expected(run, images=None):
    return load_generator(run)(odd_images() if images is None else images).numpy()


@pytest.mark.parametrize("height", [37, 150])
def test_saved_model_takes_the_training_range_hu_and_int16(run, saved_model, height):
    signatures = tf.saved_model.load(str(saved_model)).signatures
    values = odd_images(height=height)
    denoised = expected(run, values)
    assert denoised.std() > 0.01
    given = signatures["serving_default"](low_dose=tf.constant(values))["denoised"]
    np.testing.assert_allclose(given, denoised, atol=1e-5)
    hu = 4096 * values - 1024
    given = signatures["denoise_hu"](low_dose_hu=tf.constant(hu))["denoised"]
    np.testing.assert_allclose(given, 4096 * denoised - 1024, atol=4096 * 1e-5)
    whole = np.round(hu).astype(np.int16)
    given = signatures["denoise_hu_int16"](low_dose_hu=tf.constant(whole))["denoised"]
    assert given.dtype == tf.int16
    wanted = 4096 * expected(run, (whole.astype(np.float32) + 1024) / 4096) - 1024
    np.testing.assert_allclose(given, wanted, atol=0.5 + 4096 * 1e-5)  # truncation would be up to 1 off


@pytest.mark.parametrize("height", [127, 128, 129, 200])  # the halves begin at 128
def test_high_images_are_denoised_in_halves_without_a_seam(run, arranged, height):
    images = odd_images(height=height)
    given = tf.saved_model.load(str(arranged)).signatures["serving_default"](low_dose=tf.constant(images))
    np.testing.assert_allclose(given["denoised"], expected(run, images), atol=1e-5)


def test_optimized_for_cpus_a_saved_model_gives_the_same(saved_model, arranged):
    hu = tf.constant(4096 * odd_images(height=150) - 1024)
    plain, fast = (tf.saved_model.load(str(folder)).signatures for folder in (saved_model, arranged))
    given = fast["denoise_hu"](low_dose_hu=hu)["denoised"].numpy()
    wanted = plain["denoise_hu"](low_dose_hu=hu)["denoised"].numpy()
    np.testing.assert_allclose(given, wanted, atol=4096 * 1e-5)
    metadata = [
        json.loads((folder / "assets.extra" / "metadata.json").read_text()) for folder in (saved_model, arranged)
    ]
    assert metadata[1] == metadata[0] | {"optimize": "cpu"}, "denoise takes both for one model"


def operations(folder):
    """The kinds of operations in a SavedModel's signatures, of which saving and restoring variables are none."""
    found = set()
    for signature in tf.saved_model.load(str(folder)).signatures.values():
        graph = signature.graph.as_graph_def()
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        found |= {node.op for node in nodes}
    return found


def test_only_one_optimized_for_cpus_has_shifts_and_halves(saved_model, arranged):
    arrangement = {"StridedSlice", "ConcatV2", "AddN", "Pad"}
    assert arrangement <= operations(arranged)
    assert not arrangement & operations(saved_model)
    assert "Conv2D" in operations(saved_model)


def test_bfloat16_saved_model_says_what_it_costs(run, saved_model, data_dir, tmp_path):
    folder = export(run, tmp_path / "saved_model", "saved_model", precision="bfloat16", calibration=data_dir)
    given = tf.saved_model.load(str(folder)).signatures["serving_default"](low_dose=tf.constant(odd_images()))
    assert given["denoised"].dtype == tf.float32
    difference = np.abs(given["denoised"] - expected(run)).max()
    assert 1e-5 < difference < 0.02 * expected(run).max()
    metadata = json.loads((folder / "assets.extra" / "metadata.json").read_text())
    assert metadata["precision"] == "bfloat16"
    assert 0 < abs(metadata["cost"]["psnr_cost_db"]) < 0.5
    whole = json.loads((saved_model / "assets.extra" / "metadata.json").read_text())
    assert metadata["fingerprint"] != whole["fingerprint"], "denoise must not take the one's output for the other's"


def test_hu_beyond_the_training_range_are_clipped_and_int16_saturates(run, saved_model):
    signatures = tf.saved_model.load(str(saved_model)).signatures
    wild = np.where(odd_images() < 0.5, -3000.0, 30000.0).astype(np.float32)
    clipped = np.where(odd_images() < 0.5, 0.0, 1.0).astype(np.float32)
    given = signatures["denoise_hu"](low_dose_hu=tf.constant(wild))["denoised"]
    np.testing.assert_allclose(given, 4096 * expected(run, clipped) - 1024, atol=4096 * 1e-5)
    given = signatures["denoise_hu_int16"](low_dose_hu=tf.constant(wild.astype(np.int16)))["denoised"]
    assert given.numpy().min() >= -1024
    assert given.numpy().max() <= 32767


def test_metadata_travel_with_the_model(run, saved_model):
    metadata = json.loads((saved_model / "assets.extra" / "metadata.json").read_text())
    assert exported_step(saved_model) == metadata["step"] == 7
    assert metadata["hu"] == {
        "slope": 4096,
        "intercept": -1024,
        "rescaled": False,
        "clip": [0, 1],
        "transposed": False,
        "range": [-1024, 3072],
    }
    assert {"model", "preset", "vgg_weights", "training_data", "version", "metrics", "fingerprint"} <= set(metadata)
    assert metadata["training_data"]["source"] == "test"
    assert metadata["warnings"] == ["not for diagnostic use"]


def test_fingerprints_tell_models_apart(run, saved_model, tmp_path):
    def fingerprint(folder):
        return json.loads((folder / "assets.extra" / "metadata.json").read_text())["fingerprint"]

    same = write_run(tmp_path / "same")
    other_hu = write_run(tmp_path / "other", {"hu_intercept": -1000.0})
    changed = write_run(tmp_path / "changed", **{"generator.output_relu": False})
    found = [fingerprint(export(r, r.path / "export", "saved_model")) for r in (same, other_hu, changed)]
    assert found[0] == fingerprint(saved_model)
    assert len({*found}) == 3


def test_saved_model_cli_shows_clear_names(saved_model):
    cli = Path(sys.executable).with_name("saved_model_cli")
    command = [cli, "show", "--dir", saved_model, "--tag_set", "serve", "--signature_def", "denoise_hu_int16"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    assert "inputs['low_dose_hu'] tensor_info" in shown
    assert "outputs['denoised'] tensor_info" in shown
    assert shown.count("shape: (-1, -1, -1, 1)") == 2
    assert shown.count("DT_INT16") == 2


def test_keras(run, tmp_path):
    model = keras.saving.load_model(export(run, tmp_path / "keras", "keras") / "generator.keras")
    np.testing.assert_allclose(model(odd_images()), expected(run), atol=1e-5)


def test_onnx(run, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    path = export(run, tmp_path / "onnx", "onnx") / "generator.onnx"
    session = runtime.InferenceSession(str(path))
    (given,) = session.run(["denoised"], {"low_dose": odd_images()})
    np.testing.assert_allclose(given, expected(run), atol=1e-5)
    assert session.get_inputs()[0].shape == session.get_outputs()[0].shape == ["batch", "height", "width", 1]
    other = odd_images(1, 18, 7)
    np.testing.assert_allclose(session.run(None, {"low_dose": other})[0], expected(run, other), atol=1e-5)
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["wgan_vgg"])
    assert metadata["hu"]["slope"] == HU["hu_slope"]


@pytest.mark.parametrize(("precision", "least_db"), [("float32", 100), ("float16", 45), ("int8", 20)])
def test_tflite(run, data_dir, tmp_path, precision, least_db):
    folder = export(run, tmp_path / "tflite", "tflite", precision=precision, calibration=data_dir)
    content, denoised = (folder / "generator.tflite").read_bytes(), expected(run)
    given = tflite_runner(content)(low_dose=odd_images())["denoised"]
    error = np.sqrt(np.mean((given - denoised) ** 2)) / np.abs(denoised).max()
    assert -20 * np.log10(error) > least_db
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["precision"] == precision
    if precision == "float32":
        assert "cost" not in metadata
    else:
        cost = metadata["cost"]
        assert cost["psnr_cost_db"] == pytest.approx(cost["psnr_float32"] - cost["psnr"])
        assert 0 < abs(cost["psnr_cost_db"]) < 3
        assert len(content) < 130_000  # a float32 one has 227,000 bytes


def test_torch_state_dict_has_pytorchs_layout(run, tmp_path):
    numpy_tensors = pytest.importorskip("safetensors.numpy")
    state = numpy_tensors.load_file(export(run, tmp_path / "torch", "torch") / "generator.safetensors")
    assert list(state)[:2] == ["0.bias", "0.weight"]
    shapes = [state[f"{2 * number}.weight"].shape for number in range(8)]
    assert shapes == [(32, 1, 3, 3), *[(32, 32, 3, 3)] * 6, (1, 32, 3, 3)]
    kernel = load_generator(run).get_layer("conv2").get_weights()[0]
    assert state["2.weight"][5, 9, 0, 2] == kernel[0, 2, 9, 5]


def test_torch_computes_the_same(run, tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'wgan-vgg[weights]')")
    from safetensors.torch import load_file

    convolutions = [torch.nn.Conv2d(1 if n == 0 else 32, 1 if n == 7 else 32, 3, padding=1) for n in range(8)]
    network = torch.nn.Sequential(*(part for layer in convolutions for part in (layer, torch.nn.ReLU())))
    network.load_state_dict(load_file(export(run, tmp_path / "torch", "torch") / "generator.safetensors"))
    with torch.no_grad():
        given = network(torch.from_numpy(odd_images().transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(given.transpose(0, 2, 3, 1), expected(run), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "onyx"}, "take one of saved_model, keras, onnx, tflite, torch"),
        ({"format": "onnx", "precision": "int8"}, "format=onnx takes float32"),
        ({"format": "tflite", "precision": "int4"}, "takes float32, float16, int8"),
        ({"format": "tflite", "precision": "int8"}, "with --calibration"),
        ({"format": "saved_model", "precision": "bfloat16"}, "with --calibration"),
        ({"format": "saved_model", "optimize": "gpu"}, "optimize=gpu: format=saved_model takes none, cpu"),
        ({"format": "onnx", "optimize": "cpu"}, "optimize=cpu: format=onnx takes none"),
        ({"format": "keras", "weights": "average"}, "was trained without"),
    ],
)
def test_refusals_leave_nothing(run, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        export(run, tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []
