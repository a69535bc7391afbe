"""Weights as other programs write them, and files that pretend to be such."""

import itertools
import os
import pickle
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

EXECUTED = Path(tempfile.gettempdir()) / f"a-pickle-was-executed-{os.getpid()}"


class Bomb:
    """What a hostile pickle makes of itself: a call that leaves a trace."""

    def __reduce__(self):
        return (Path.touch, (EXECUTED,))


class Pointers:
    """numpy.ndarray of objects over bytes: whoever makes it and looks at it follows pointers of the file's choice."""

    def __reduce__(self):
        return (np.ndarray, ((1,), np.dtype("O"), b"A" * 8))


def nested_in_itself() -> dict[str, object]:
    """A dict with itself in it, and lists that would be 2**60 long one in the other."""
    items: list[object] = [np.zeros(1)]
    for _ in range(60):
        items = [items, items]
    content: dict[str, object] = {"items": items}
    content["self"] = content
    return content


def convolutions(layers: int = 8, filters: int = 32, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernels (3, 3, in, out) and biases of a generator."""
    rng = np.random.default_rng(seed)
    channels = [1, *[filters] * (layers - 1), 1]
    return [
        (
            (rng.normal(size=(3, 3, a, b)) * (2 / 9 / a) ** 0.5).astype(np.float32),
            rng.uniform(0, 0.1, b).astype(np.float32),
        )
        for a, b in itertools.pairwise(channels)
    ]


def state_dict(parts, prefix: str, step: int) -> dict[str, np.ndarray]:
    """PyTorch's names and layout: PREFIX.0.weight, PREFIX.STEP.weight ..."""
    state = {}
    for number, (kernel, bias) in enumerate(parts):
        state[f"{prefix}{step * number}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        state[f"{prefix}{step * number}.bias"] = bias
    return state


def torch_network(parts, output_relu: bool = True):
    """The torch.nn.Sequential of these convolutions."""
    import torch

    layers = []
    for kernel, bias in parts:
        layer = torch.nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
        layer.weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        layer.bias.data = torch.from_numpy(bias)
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[: None if output_relu else -1])


def run_torch(network, images: np.ndarray) -> np.ndarray:
    """NHWC in and out."""
    import torch

    with torch.no_grad():
        return network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy().transpose(0, 2, 3, 1)


def write_tf1_checkpoint(prefix: Path, parts) -> Path:
    """The TF1 repository's variables, with Adam's slots and a critic beside them, in its checkpoint format."""
    names, values = [], []
    for number, (kernel, bias) in enumerate(parts, start=1):
        scope = f"generator/g_conv_{number}/Conv"
        for name, value in ((f"{scope}/weights", kernel), (f"{scope}/biases", bias)):
            names += [name, f"{name}/Adam", f"{name}/Adam_1"]
            values += [value, 0 * value, 0 * value]
    for number, (a, b) in enumerate(((1, 64), (64, 64), (64, 128)), start=1):
        names += [f"discriminator/d_conv_{number}/Conv/weights", f"discriminator/d_conv_{number}/Conv/biases"]
        values += [np.ones((3, 3, a, b), np.float32), np.ones(b, np.float32)]
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=[*map(tf.constant, values)]
    )
    return prefix


def write_pickled_npy(path: Path, content: object) -> Path:
    """As numpy.save writes a dict; the pickle may be of anything."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(content, file)
    return path
