"""Networks by the name in their config: built, or asked for what they state of themselves."""

from collections.abc import Mapping
from typing import Any

import keras

from data_prep.late_import import imported
from wgan_vgg.config import CriticConfig, GeneratorConfig
from wgan_vgg.config.networks import CRITICS, GENERATORS, Network
from wgan_vgg.errors import InputError
from wgan_vgg.models.critic import Critic
from wgan_vgg.models.generator import Generator


def generator_of(config: GeneratorConfig) -> Generator:
    """A generator as it stands in its config, not built: its extent, its border."""
    return _class(GENERATORS, config.name)(config)


def critic_of(config: CriticConfig) -> Critic:
    """A critic as it stands in its config, not built: its smallest side."""
    return _class(CRITICS, config.name)(config)


def build_generator(config: GeneratorConfig, seed: int = 0, precision: str = "float32") -> keras.Model:
    """The denoiser G for whole images.

    Args:
      config: which one, and its settings.
      seed: decides the starting weights.
      precision: "float32", "bfloat16" or "float16", of the convolutions, whose weights stay float32; the last layer is
        float32 in any case, being the image.

    Returns:
      Model from float32 (batch, height, width, 1), any height and width from `extent.smallest_side`, to the same shape.
    """
    return build_generators(config, seed, precision)[0]


def build_generators(
    config: GeneratorConfig, seed: int = 0, precision: str = "float32"
) -> tuple[keras.Model, keras.Model]:
    """build_generator's, and the same layers and weights for training patches.

    The second one takes nothing from outside a patch: where the network has "valid" convolutions alone, its output is
    smaller (see Generator.trained_shape); and it takes only sides that are multiples of `extent.multiple`. Without
    either the two are one.
    """
    return generator_of(config).build(seed, precision)


def build_critic(
    config: CriticConfig, image_shape: tuple[int, int], seed: int = 0, precision: str = "float32"
) -> keras.Model:
    """The critic D.

    Args:
      config: which one, and its settings.
      image_shape: height and width of the images it will see.
      seed: decides the starting weights.
      precision: as of build_generator; the score is float32 in any case.

    Returns:
      Model from float32 (batch, height, width, 1) to float32 scores (batch, 1).

    Raises:
      InputError: images too small for its strides.
    """
    critic = critic_of(config)
    least = critic.smallest_side
    if min(image_shape) < least:
        raise InputError(
            f"training images of {image_shape[0]}x{image_shape[1]}: the critic takes {least}x{least} or more"
        )
    return critic.build(image_shape, seed, precision)


def _class(networks: Mapping[str, Network], name: str) -> Any:
    return imported(networks[name].made_by)
