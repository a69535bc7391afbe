"""Generators among the tensors of other programs' files: which network they are, and their weights."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wgan_vgg.config import GeneratorConfig
from wgan_vgg.errors import InputError
from wgan_vgg.exporters.state_dict import set_state_dict
from wgan_vgg.models import build_generator, generator_of

_NEEDED = (
    "3x3 convolutions of 1-32-...-32-1 channels, eight in the paper, all with biases or none; or RED-CNN's or CNN-10's "
    "layers by name"
)
# PyTorch layers of ldct-benchmark's networks (methods/*/network.py) and, the same, of SSinyu/RED-CNN's; and the side of
# the first one's kernels.
_NAMED = {
    "red-cnn": (5, tuple(f"{kind}{number}" for kind in ("conv", "tconv") for number in range(1, 6))),
    "cnn-10": (9, ("layers.0", "layers.2", "layers.4")),
}
Convolutions = list[tuple[np.ndarray, ...]]  # kernel and, where there is one, bias of each, in order


@dataclasses.dataclass(frozen=True)
class Found:
    """A generator.

    Attributes:
      tensor: the name of its first kernel.
      settings: what its tensors say of its GeneratorConfig.
      weights: as keras.Model.set_weights takes them, float32.
    """

    tensor: str
    settings: dict[str, object]
    weights: list[np.ndarray]


def find_network(tensors: Mapping[str, np.ndarray], source: Path) -> Found:
    """The generator among tensors: one of _NAMED by its layers' names, a plain-cnn by its structure.

    Of the latter kernels whose names differ in one number only are one network, in the order of that number. It is a
    generator if it goes from 1 channel over always the same number back to 1. What TensorFlow's optimizers keep of a
    kernel has its shape too, and a name below its own.

    Raises:
      InputError: there is none, or several, or its weights are not finite; says what was found.
    """
    found = _find_named(tensors, source) or _find_plain(tensors, source)
    if not all(np.isfinite(array).all() for array in found.weights):
        raise InputError(f"{source}: NaN or infinite weights in {found.tensor} or after it; take another checkpoint")
    return found


def _find_named(tensors: Mapping[str, np.ndarray], source: Path) -> Found | None:
    for network, (side, layers) in _NAMED.items():
        names = [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
        for first in (name for name in tensors if f".{name}".endswith(f".{names[0]}")):
            theirs = {name: first.removesuffix(names[0]) + name for name in names}
            if tensors[first].shape[2:] == (side, side) and tensors.keys() >= set(theirs.values()):
                config = GeneratorConfig(name=network, filters=int(tensors[first].shape[0]))
                generator = build_generator(config)
                state = {name: tensors[one] for name, one in theirs.items()}
                set_state_dict(generator, generator_of(config), state, source)
                return Found(first, {"name": network, "filters": config.filters}, generator.get_weights())
    return None


def _find_plain(tensors: Mapping[str, np.ndarray], source: Path) -> Found:
    chains: dict[tuple[str, str], dict[int, str]] = {}
    kernels = (name for name, tensor in tensors.items() if tensor.ndim == 4)
    for name in (name for name in kernels if name.rpartition("/")[0] not in tensors):
        for number in re.finditer(r"\d+", name):
            chains.setdefault((name[: number.start()], name[number.end() :]), {})[int(number[0])] = name
    found = {}
    for names in ([chain[number] for number in sorted(chain)] for chain in chains.values()):
        convolutions = [(_kernel(tensors[name]), *_bias(tensors, name)) for name in names]
        if _is_generator(convolutions):
            found[names[0]] = convolutions
    if len(found) != 1:
        shapes = [f"{name} {tensor.shape}" for name, tensor in tensors.items() if tensor.ndim == 4]
        what = f"{len(found)} of them, {', '.join(found)}" if found else f"{len(tensors)} tensors, of which kernels: "
        what += "" if found else ", ".join(shapes[:4] + ["..."] * (len(shapes) > 4)) or "none"
        raise InputError(f"{source}: expected one generator, {_NEEDED}; found {what}")
    ((name, convolutions),) = found.items()
    settings = {"name": "plain-cnn", "layers": len(convolutions), "filters": int(convolutions[0][0].shape[-1])}
    weights = [array.astype(np.float32) for one in convolutions for array in one]
    return Found(name, settings | {"use_bias": len(convolutions[0]) == 2}, weights)


def _kernel(tensor: np.ndarray) -> np.ndarray:
    """(height, width, in, out), as TensorFlow has it; PyTorch has (out, in, height, width)."""
    return tensor if tensor.shape[:2] == (3, 3) else tensor.transpose(2, 3, 1, 0)


def _bias(tensors: Mapping[str, np.ndarray], kernel: str) -> list[np.ndarray]:
    """The vector beside a kernel, if there is one."""
    parent = kernel[: max(kernel.rfind("."), kernel.rfind("/")) + 1]
    beside = [t for name, t in tensors.items() if t.ndim == 1 and re.fullmatch(rf"{re.escape(parent)}[^./]*", name)]
    return beside if len(beside) == 1 else []


def _is_generator(convolutions: Convolutions) -> bool:
    channels = [1, *[kernel.shape[3] for kernel, *_ in convolutions]]
    return (
        len(convolutions) > 1
        and len({len(one) for one in convolutions}) == 1
        and len(set(channels[1:-1])) == 1
        and channels[-1] == 1
        and all(
            kernel.shape == (3, 3, before, after) and all(one.shape == (after,) for one in bias)
            for (kernel, *bias), before, after in zip(convolutions, channels[:-1], channels[1:], strict=True)
        )
    )
