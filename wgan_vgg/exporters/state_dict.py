"""A generator's weights in PyTorch's layout, as safetensors."""

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from safetensors.numpy import save_file


def to_state_dict(generator: keras.Model) -> dict[str, np.ndarray]:
    """The convolutions as a torch.nn.Sequential of convolutions and ReLUs by turns has them: `0.weight`, `2.weight` ...

    Weights are float32 (out, in, height, width), where Keras has (height, width, in, out). "valid" convolutions have
    padding 0 in that Sequential, and it takes images that torch.nn.ReplicationPad2d(layers) has made larger.
    """
    convolutions = [layer for layer in generator.layers if isinstance(layer, keras.layers.Conv2D)]
    state = {}
    for number, layer in enumerate(convolutions):
        kernel, *bias = layer.get_weights()
        state[f"{2 * number}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        state |= {f"{2 * number}.bias": array for array in bias}
    return state


def write_safetensors(path: Path, state: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Writes tensors and texts about them as one safetensors file."""
    save_file(dict(state), path, dict(metadata))
