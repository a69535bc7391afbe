"""A generator's weights in PyTorch's layout, as safetensors."""

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from safetensors.numpy import save_file

from wgan_vgg.errors import InputError
from wgan_vgg.models import Generator

# (height, width, in, out) of Keras and (out, in, height, width) of PyTorch; of transposed convolutions, where both have
# `in` and `out` the other way round, it is the same.
_TO_TORCH, _TO_KERAS = (3, 2, 0, 1), (2, 3, 1, 0)


def to_state_dict(generator: keras.Model, network: Generator) -> dict[str, np.ndarray]:
    """The convolutions, float32, under the names that the network gives them, see Generator.torch_name.

    Those of plain-cnn are a torch.nn.Sequential's of convolutions and ReLUs by turns: `0.weight`, `2.weight` ...;
    "valid" ones have padding 0 there, and take images that torch.nn.ReplicationPad2d(layers) has made larger.
    """
    state = {}
    for number, layer in enumerate(_layers(generator)):
        kernel, *bias = layer.get_weights()
        name = network.torch_name(layer, number)
        state[f"{name}.weight"] = np.ascontiguousarray(kernel.transpose(_TO_TORCH))
        state |= {f"{name}.bias": array for array in bias}
    return state


def set_state_dict(
    generator: keras.Model, network: Generator, tensors: Mapping[str, np.ndarray], source: object
) -> None:
    """Gives a generator the weights that to_state_dict wrote.

    Raises:
      InputError: they are another network's.
    """
    wanted = {name: array.shape for name, array in to_state_dict(generator, network).items()}
    if not wanted.keys() & tensors.keys() and len({name.partition(".")[0] for name in tensors}) == 1:
        # Earlier versions put a module's name before each: net.0.weight.
        tensors = {name.partition(".")[2]: array for name, array in tensors.items()}
    found = {name: tensors[name].shape for name in tensors}
    if wanted != found:
        name = next(name for name in (*wanted, *found) if wanted.get(name) != found.get(name))
        raise InputError(
            f"{source}: another network than {network.config.name} with these settings: {name} is "
            f"{found.get(name, 'missing')} instead of {wanted.get(name, 'missing')}"
        )
    for number, layer in enumerate(_layers(generator)):
        name = network.torch_name(layer, number)
        bias = [tensors[f"{name}.bias"]] if layer.use_bias else []
        layer.set_weights([tensors[f"{name}.weight"].transpose(_TO_KERAS), *bias])


def write_safetensors(path: Path, state: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Writes tensors and texts about them as one safetensors file."""
    save_file(dict(state), path, dict(metadata))


def _layers(generator: keras.Model) -> list[keras.Layer]:
    return [layer for layer in generator.layers if layer.weights]
