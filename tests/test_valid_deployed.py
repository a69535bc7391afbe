"""Generators of "valid" convolutions exported, imported and deployed: whole images come back."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from deployed import odd_images, save_run
from safetensors.numpy import load_file, save_file
from test_valid_convolutions import AUTHOR, convolved, repeated

import wgan_vgg
from data_prep.errors import InputError
from wgan_vgg import config, models
from wgan_vgg.checkpoint_reader import load_generator
from wgan_vgg.exporters.export import export
from wgan_vgg.exporters.formats import tflite_runner
from wgan_vgg.exporters.import_weights import import_generator
from wgan_vgg.inference.denoiser import Denoiser
from wgan_vgg.run_dir import RunDir


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the author's generator as it starts, in a range of its own."""
    settings = config.override(AUTHOR, {"model": "generator-mse"})
    return save_run(tmp_path_factory.mktemp("run"), settings, models.build_generator(settings.generator, seed=3), {})


def test_every_format_gives_back_whole_images(run, data_dir, tmp_path):
    generator, images = load_generator(run), odd_images()
    wanted = convolved(generator, repeated(images, 8))
    assert wanted.std() > 0.01
    signature = tf.saved_model.load(
        str(export(run, tmp_path / "saved_model", "saved_model", optimize="cpu"))
    ).signatures
    for height in (3, 37, 150):  # 150: denoised in halves
        high = odd_images(height=height)
        given = signature["serving_default"](low_dose=tf.constant(high))["denoised"]
        np.testing.assert_allclose(given, convolved(generator, repeated(high, 8)), atol=1e-5)
    model = keras.saving.load_model(export(run, tmp_path / "keras", "keras") / "generator.keras")
    np.testing.assert_allclose(model(images), wanted, atol=1e-5)
    for precision, least_db in (("float32", 100), ("int8", 15)):  # int8's ranges are calibrated on darker images
        folder = export(run, tmp_path / precision, "tflite", precision=precision, calibration=data_dir)
        given = tflite_runner((folder / "generator.tflite").read_bytes())(low_dose=images)["denoised"]
        assert np.sqrt(np.mean((given - wanted) ** 2)) < wanted.max() * 10 ** (-least_db / 20)


def test_onnx_gives_back_whole_images(run, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(export(run, tmp_path / "onnx", "onnx") / "generator.onnx"))
    for images in (odd_images(), odd_images(1, 5, 2)):
        (given,) = session.run(["denoised"], {"low_dose": images})
        np.testing.assert_allclose(given, convolved(load_generator(run), repeated(images, 8)), atol=1e-5)


def test_a_state_dict_has_no_biases_and_comes_back_whole(run, data_dir, tmp_path):
    path = export(run, tmp_path / "torch", "torch") / "generator.safetensors"
    state = load_file(path)
    assert sorted(state) == sorted(f"{2 * number}.weight" for number in range(8))
    import_generator(path, tmp_path / "back")
    save_file(state, tmp_path / "anew.safetensors")  # without what export says beside the tensors
    stored = import_generator(tmp_path / "anew.safetensors", tmp_path / "anew", layout="wgan-vgg", data_dir=data_dir)
    assert (stored["config"]["generator"]["padding"], stored["config"]["generator"]["use_bias"]) == ("valid", False)
    wanted = load_generator(run)(odd_images()).numpy()
    for model in (path, tmp_path / "back", tmp_path / "anew"):
        np.testing.assert_allclose(wgan_vgg.load(model).network(odd_images()), wanted, atol=1e-5)
    assert Denoiser.load(tmp_path / "back").metadata["fingerprint"] == Denoiser.load(run.path).metadata["fingerprint"]
    half = dict(state) | {"2.bias": np.zeros(32, np.float32)}
    save_file(half, tmp_path / "half.safetensors")
    with pytest.raises(InputError, match=r"expected one generator, .* all with biases or none"):
        import_generator(tmp_path / "half.safetensors", tmp_path / "out", layout="original")


def test_kernels_without_biases_of_other_programs_are_same_convolutions(run, tmp_path):
    path = export(run, tmp_path / "torch", "torch") / "generator.safetensors"
    named = {f"generator.net.{name}": tensor for name, tensor in load_file(path).items()}
    save_file(named, tmp_path / "ssinyu.safetensors")
    stored = import_generator(tmp_path / "ssinyu.safetensors", tmp_path / "run")
    assert (stored["config"]["generator"]["padding"], stored["config"]["generator"]["use_bias"]) == ("same", False)
    images = odd_images()
    given = load_generator(RunDir(tmp_path / "run"))(images)
    for kernel in load_generator(run).get_weights():
        images = tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "SAME"))
    np.testing.assert_allclose(given, images, atol=1e-5)


def test_a_tf1_checkpoint_of_kernels_and_what_adam_keeps_of_them(tmp_path):
    """As train_wgan.py saves them."""
    parts = models.build_generator(AUTHOR.generator, seed=3).get_weights()
    values = {}
    for number, kernel in enumerate(parts, start=1):
        name = f"cnn_model/conv{number}/kernel"
        values |= {name: kernel, f"{name}/Adam": 0 * kernel, f"{name}/Adam_1": 0 * kernel}
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "wgan_vgg54_99.ckpt"),
        tensor_names=[*values],
        shape_and_slices=[""] * len(values),
        tensors=[*map(tf.constant, values.values())],
    )
    import_generator(tmp_path / "wgan_vgg54_99.ckpt", tmp_path / "run", layout="original")
    for ours, theirs in zip(load_generator(RunDir(tmp_path / "run")).get_weights(), parts, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_torch_computes_the_same(run, tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'wgan-vgg[weights]')")
    parts = [torch.nn.Conv2d(1 if n == 0 else 32, 1 if n == 7 else 32, 3, bias=False) for n in range(8)]
    network = torch.nn.Sequential(*(part for layer in parts for part in (layer, torch.nn.ReLU())))
    state = load_file(export(run, tmp_path / "torch", "torch") / "generator.safetensors")
    network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in state.items()})
    with torch.no_grad():
        given = network(torch.nn.ReplicationPad2d(8)(torch.from_numpy(odd_images().transpose(0, 3, 1, 2)))).numpy()
    np.testing.assert_allclose(given.transpose(0, 2, 3, 1), load_generator(run)(odd_images()), atol=1e-5)


def test_denoise_takes_slices_tiles_and_a_single_pixel(run):
    denoiser = wgan_vgg.load(run.path)
    hu = 4096 * odd_images(3, 60, 45)[..., 0] - 1024
    whole = 4096 * convolved(load_generator(run), repeated((hu[..., None] + 1024) / 4096, 8))[..., 0] - 1024
    assert denoiser.extent.reach == 8
    np.testing.assert_allclose(denoiser(hu), whole, atol=0.05)
    np.testing.assert_allclose(denoiser(hu, tile=16), whole, atol=0.05)
    assert denoiser(hu[:, :1, :1]).shape == (3, 1, 1)
