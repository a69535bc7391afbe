"""What a generator makes of whole images, some at a time."""

import keras
import numpy as np
import tensorflow as tf

from wgan_vgg.config import GeneratorConfig
from wgan_vgg.models.registry import generator_of

_PIXELS = 2**20  # at once, ...
_BYTES = 2**30  # ... but no more than this of what the network holds of them


def outputs(generator: keras.Model, config: GeneratorConfig, low_dose: np.ndarray | tf.Tensor) -> np.ndarray:
    """The generator's images (count, height, width) of low-dose ones (count, height, width, 1).

    Args:
      generator: built from `config`.
      config: says how many values per pixel it holds.
      low_dose: float32.
    """
    pixels = min(_PIXELS, _BYTES // (4 * generator_of(config).extent.maps))
    size = max(1, pixels // (low_dose.shape[1] * low_dose.shape[2]))
    parts = [generator(low_dose[i : i + size], training=False) for i in range(0, len(low_dose), size)]
    return np.concatenate([part.numpy()[..., 0] for part in parts])
