"""experiments.import_weights: ldct-benchmark's RED-CNN and CNN-10, against what their code computes."""

import numpy as np
import pytest
import tensorflow as tf
from deployed import odd_images
from safetensors.numpy import save_file

from data_prep.errors import InputError
from wgan_vgg.checkpoint_reader import load_generator
from wgan_vgg.exporters.export import export
from wgan_vgg.exporters.import_weights import import_generator
from wgan_vgg.run_dir import RunDir


def ldct_benchmarks(name, filters, rng):
    """A state dict of its RED-CNN or CNN-10 (methods/*/network.py), small."""
    if name == "cnn-10":
        shapes = {"layers.0": (filters, 1, 9, 9), "layers.2": (filters // 2, filters, 3, 3)}
        shapes["layers.4"] = (1, filters // 2, 5, 5)
    else:
        shapes = {f"conv{n}": (filters, 1 if n == 1 else filters, 5, 5) for n in range(1, 6)}
        # Of transposed ones PyTorch has the channels that are read first.
        shapes |= {f"tconv{n}": (filters, 1 if n == 5 else filters, 5, 5) for n in range(1, 6)}
    state = {f"{layer}.weight": rng.normal(0, 0.1, shape).astype(np.float32) for layer, shape in shapes.items()}
    written = {layer: shape[1] if layer.startswith("t") else shape[0] for layer, shape in shapes.items()}
    return state | {f"{layer}.bias": rng.normal(0, 0.1, n).astype(np.float32) for layer, n in written.items()}


def ldct_by_hand(name, state, x):
    """What its forward makes of images, by TensorFlow's own operations."""

    def conv(layer, x, padding):
        kernel = state[f"{layer}.weight"].transpose(2, 3, 1, 0)
        return tf.nn.conv2d(x, kernel, 1, padding) + state[f"{layer}.bias"]

    def full(layer, x):
        """Every value is spread over 5x5 pixels, which adds four to the size: a transposed convolution."""
        kernel = state[f"{layer}.weight"][:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
        return tf.nn.conv2d(tf.pad(x, [[0, 0], [4, 4], [4, 4], [0, 0]]), kernel, 1, "VALID") + state[f"{layer}.bias"]

    relu = tf.nn.relu
    if name == "cnn-10":
        return conv("layers.4", relu(conv("layers.2", relu(conv("layers.0", x, "SAME")), "SAME")), "SAME").numpy()
    second = relu(conv("conv2", relu(conv("conv1", x, "VALID")), "VALID"))
    fourth = relu(conv("conv4", relu(conv("conv3", second, "VALID")), "VALID"))
    out = relu(full("tconv1", relu(conv("conv5", fourth, "VALID"))) + fourth)
    out = relu(full("tconv3", relu(full("tconv2", out))) + second)
    return (full("tconv5", relu(full("tconv4", out))) + x).numpy()


@pytest.mark.parametrize("name", ["red-cnn", "cnn-10"])
def test_ldct_benchmarks_other_networks_compute_what_theirs_do(name, tmp_path):
    """Fails for a kernel turned round, a shortcut at another place, a ReLU at the end."""
    state = ldct_benchmarks(name, 6, np.random.default_rng(0))
    # As its save_checkpoint nests them; the names beside them that tell whose file it is stand in PyTorch's files only.
    save_file({f"model_state_dict.{key}": value for key, value in state.items()}, tmp_path / "w.safetensors")
    stored = import_generator(tmp_path / "w.safetensors", tmp_path / "run", layout="ldct-benchmark")
    chosen = stored["config"]["generator"]
    assert (chosen["name"], chosen["filters"], chosen["output_relu"]) == (name, 6, False if name == "red-cnn" else None)
    images = odd_images()
    wanted = (ldct_by_hand(name, state, (4096 * images - 481.454) / 502.185) * 502.185 + 481.454) / 4096
    np.testing.assert_allclose(load_generator(RunDir(tmp_path / "run"))(images), wanted, atol=1e-4)
    folder = export(RunDir(tmp_path / "run"), tmp_path / "torch", "torch")
    import_generator(folder / "generator.safetensors", tmp_path / "back")
    for ours, theirs in zip(
        *(load_generator(RunDir(tmp_path / one)).get_weights() for one in ("run", "back")), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    save_file(state, tmp_path / "bare.safetensors")  # as SSinyu/RED-CNN saves it, with a ReLU at the end
    with pytest.raises(InputError, match="say whose it is with --layout"):
        import_generator(tmp_path / "bare.safetensors", tmp_path / "bare")
    stored = import_generator(tmp_path / "bare.safetensors", tmp_path / "bare", layout="ssinyu")
    assert stored["config"]["generator"]["output_relu"] == (True if name == "red-cnn" else None)
    del state[next(reversed(state))]
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(InputError, match="expected one generator"):
        import_generator(tmp_path / "less.safetensors", tmp_path / "less", layout="ldct-benchmark")
