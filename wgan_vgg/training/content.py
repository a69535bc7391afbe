"""The content terms of a generator's loss by name, each one value a sample. A new one is one line here."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from wgan_vgg import losses


class Patches(NamedTuple):
    """What a loss sees, all of the generator's output's size: float32 (batch, height, width, 1).

    Attributes:
      low_dose: the input.
      real: normal-dose images: the input's partners, or, in unpaired training, other patients'.
      fake: the output.
    """

    low_dose: tf.Tensor
    real: tf.Tensor
    fake: tf.Tensor


Term = Callable[[Patches, Any], tf.Tensor]  # of the patches and the frozen VGG, which only models with "vgg" have
CONTENT: dict[str, Term] = {
    "mse": lambda patches, _: losses.mean_squared_error(patches.real, patches.fake),
    "vgg": lambda patches, vgg: losses.mean_squared_error(vgg(patches.real), vgg(patches.fake)),
    # Park et al. 2019: what keeps an unpaired model's output at its input's anatomy.
    "fidelity": lambda patches, _: losses.mean_squared_error(patches.low_dose, patches.fake),
}
