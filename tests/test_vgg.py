"""wgan_vgg.models.vgg: preprocessing, layer, weights from files of the true format, refusals."""

import dataclasses
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from foreign_files import EXECUTED, Bomb, write_pickled_npy
from safetensors.numpy import save_file

from data_prep.errors import InputError
from wgan_vgg import config
from wgan_vgg.config import VggConfig, sections
from wgan_vgg.models import vgg
from wgan_vgg.tensor_files import read_tensors

RANDOM = VggConfig(weights="random")
EARLY = dataclasses.replace(RANDOM, layer="block1_conv2")


def write_notop_h5(path: Path, network: keras.Model) -> Path:
    """Writes a network's weights as the official vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5 has them."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
        for layer in network.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}_{kind}_1:0" for kind in ("W", "b")][: len(layer.weights)]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = weight.numpy()
    return path


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return keras.applications.VGG19(include_top=False, weights=None, input_shape=(None, None, 3))


def test_features_equal_keras_own_preprocessing():
    image = np.random.default_rng(0).uniform(size=(2, 16, 16, 1)).astype(np.float32)
    model = vgg.build_vgg(EARLY)
    inner = model.get_layer("vgg19")
    rgb = keras.applications.vgg19.preprocess_input(255.0 * np.repeat(image, 3, axis=-1))
    np.testing.assert_allclose(model(image), inner(rgb), rtol=1e-4, atol=1e-3)


def test_other_order_of_the_means_changes_the_features():
    image = tf.fill([1, 16, 16, 1], 0.5)
    other = dataclasses.replace(EARLY, mean_order="rgb")
    assert np.abs(vgg.build_vgg(EARLY)(image) - vgg.build_vgg(other)(image)).max() > 1.0


def test_the_identity_of_weights_changes_with_what_their_description_leaves_out(tmp_path):
    files = [VggConfig(weights=str(tmp_path / name / "vgg19.h5")) for name in ("one", "other")]
    for number, one in enumerate(files):
        Path(one.weights).parent.mkdir()
        Path(one.weights).write_bytes(bytes([number]))
    assert vgg.describe_weights(files[0]) == vgg.describe_weights(files[1])
    every = [*files, RANDOM, VggConfig(weights="imagenet")]
    every += [dataclasses.replace(one, mean_order="rgb") for one in every]
    assert len({vgg.weights_identity(one) for one in every}) == 8


def test_default_layer_is_the_16th_convolution_after_its_relu():
    image = tf.random.stateless_uniform([1, 64, 64, 1], [0, 1])
    features = vgg.build_vgg(RANDOM)(image).numpy()
    before = vgg.build_vgg(dataclasses.replace(RANDOM, before_relu=True))(image).numpy()
    assert features.shape == (1, 4, 4, 512)
    assert before.min() < 0
    np.testing.assert_allclose(features, np.maximum(before, 0), rtol=1e-5)


def test_frozen_and_the_same_everywhere():
    first, second = vgg.build_vgg(EARLY), vgg.build_vgg(EARLY)
    assert not first.trainable_variables
    np.testing.assert_array_equal(first.get_weights()[0], second.get_weights()[0])


def test_loads_a_keras_notop_file(tmp_path, network):
    path = write_notop_h5(tmp_path / "vgg.h5", network)
    model = vgg.build_vgg(dataclasses.replace(EARLY, weights=str(path)))
    np.testing.assert_array_equal(model.get_weights()[0], network.get_weights()[0])
    assert vgg.describe_weights(VggConfig(weights=str(path))) == "VGG19 weights from vgg.h5"


def test_wrong_imagenet_file_is_named_and_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = tmp_path / "models" / "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
    path.parent.mkdir()
    path.write_bytes(b"mine")
    with pytest.raises(InputError, match=f"md5 .* expected {vgg.IMAGENET_MD5}"):
        vgg.build_vgg(VggConfig())
    assert path.read_bytes() == b"mine"


def test_without_a_network_imagenet_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(vgg, "IMAGENET_URL", "http://127.0.0.1:9/" + vgg.IMAGENET_URL.rsplit("/", 1)[1])
    with pytest.raises(InputError, match=r"the download failed .* --vgg_weights=PATH"):
        vgg.build_vgg(VggConfig())


@pytest.mark.parametrize("content", [b"not HDF5", b""])
def test_wrong_file(tmp_path, content):
    path = tmp_path / "vgg.h5"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"not VGG19's Keras no-top.* md5 .* {vgg.IMAGENET_MD5}"):
        vgg.build_vgg(dataclasses.replace(RANDOM, weights=str(path)))


def test_missing_file():
    with pytest.raises(InputError, match="no such file"):
        vgg.build_vgg(VggConfig(weights="/nowhere/vgg.h5"))


def test_unknown_layer():
    with pytest.raises(InputError, match=r"block9_conv1.*block5_conv4"):
        config.override(config.preset("demo"), {"vgg.layer": "block9_conv1"})


def test_layer_names_and_smallest_sides_are_those_of_the_built_network(network):
    assert tuple(layer.name for layer in network.layers[1:]) == sections.VGG_LAYERS
    for name, least in (("block1_conv2", 1), ("block5_conv4", 16), ("block5_pool", 32)):
        assert vgg.smallest_side(dataclasses.replace(RANDOM, layer=name)) == least


def parts(network: keras.Model) -> list[tuple[str, list[np.ndarray]]]:
    """The convolutions, as tensorflow-vgg names them."""
    found = [(layer.name, layer.get_weights()) for layer in network.layers if layer.weights]
    return [(name.replace("block", "conv").replace("_conv", "_"), weights) for name, weights in found]


def torchvision_state(network: keras.Model) -> dict[str, np.ndarray]:
    state = {}
    indices = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    for index, (_, (kernel, bias)) in zip(indices, parts(network), strict=True):
        state[f"features.{index}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        state[f"features.{index}.bias"] = bias
    return state | {"classifier.0.weight": np.zeros((8, 4), np.float32), "classifier.0.bias": np.zeros(8, np.float32)}


def first_features(network: keras.Model, channels: np.ndarray) -> np.ndarray:
    """block1_conv1 of three channels as the network wants them, after its ReLU."""
    kernel, bias = network.get_layer("block1_conv1").get_weights()
    return tf.nn.relu(tf.nn.conv2d(channels, kernel, 1, "SAME") + bias).numpy()


FIRST = dataclasses.replace(RANDOM, layer="block1_conv1")
IMAGE = np.random.default_rng(0).uniform(size=(1, 19, 17, 1)).astype(np.float32)


def test_tensorflow_vggs_npy_is_the_same_network_as_kerass(tmp_path, network):
    content = dict(parts(network)[::-1])  # a dict of Python 2 has no order
    content["fc6"] = [np.zeros((9, 8), np.float32), np.zeros(8, np.float32)]
    npy = write_pickled_npy(tmp_path / "vgg19.npy", content)
    h5 = write_notop_h5(tmp_path / "vgg.h5", network)
    first, second = (vgg.build_vgg(dataclasses.replace(EARLY, weights=str(path)))(IMAGE) for path in (npy, h5))
    np.testing.assert_array_equal(first, second)


def test_a_pickle_of_python_2_is_read(tmp_path, network):
    # What Python 2 wrote is bytes in a `str`, which arrives as text.
    content = b"".join(
        [b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\ntcnumpy\ndtype\n"]
        + [b"(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\x00\\x00\\x80?\\x00\\x00\\x00\\xc0'\ntb."]
    )
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(content)
    assert [array.tolist() for array in read_tensors(path)[0].values()] == [[1.0, -2.0]]


def test_a_pickled_kernel_in_the_order_of_fortran_is_no_other_kernel(tmp_path):
    kernel = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    path = write_pickled_npy(tmp_path / "a.npy", {"conv": [np.asfortranarray(kernel)]})
    np.testing.assert_array_equal(read_tensors(path)[0]["conv.0"], kernel)


def test_torchvisions_weights_come_with_torchvisions_preprocessing(tmp_path, network):
    save_file(torchvision_state(network), tmp_path / "vgg.safetensors")
    model = vgg.build_vgg(dataclasses.replace(FIRST, weights=str(tmp_path / "vgg.safetensors")))
    channels = (np.repeat(IMAGE, 3, axis=-1) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(model(IMAGE), first_features(network, channels.astype(np.float32)), atol=1e-4)
    # The notebook gave them Caffe's means in the order red, green, blue.
    notebook = vgg.build_vgg(dataclasses.replace(FIRST, weights=str(tmp_path / "vgg.safetensors"), mean_order="rgb"))
    channels = 255 * np.repeat(IMAGE, 3, axis=-1) - [123.68, 116.779, 103.939]
    np.testing.assert_allclose(
        notebook(IMAGE), first_features(network, channels.astype(np.float32)), rtol=1e-3, atol=1e-2
    )


def test_the_md5_of_a_file_that_is_not_the_official_one_is_named(tmp_path, network, caplog):
    path = write_notop_h5(tmp_path / "vgg.h5", network)
    vgg.build_vgg(dataclasses.replace(EARLY, weights=str(path)))
    assert f"not the official file's {vgg.IMAGENET_MD5}" in caplog.text
    assert str(path) in caplog.text


def drop_last(network):
    return dict(list(torchvision_state(network).items())[:-4])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path, network: save_file(drop_last(network), path), "found 15 kernels"),
        (lambda path, _network: save_file({"a": np.zeros(3, np.float32)}, path), "found 0 kernels"),
        (lambda path, _network: write_pickled_npy(path, {"conv1_1": Bomb()}), "it asks for"),
        (lambda path, _network: path.write_text("nothing"), "neither safetensors nor"),
        (
            lambda path, network: save_file(
                {name: np.full_like(value, np.nan) for name, value in torchvision_state(network).items()}, path
            ),
            "NaN or infinite",
        ),
    ],
)
def test_other_files_are_refused_and_nothing_executed(tmp_path, network, write, message):
    write(tmp_path / "file", network)
    with pytest.raises(InputError, match=message):
        vgg.build_vgg(dataclasses.replace(RANDOM, weights=str(tmp_path / "file")))
    assert not EXECUTED.exists()
