"""What every critic is."""

import abc
from typing import Any

import keras

from wgan_vgg.config import CriticConfig
from wgan_vgg.models.layers import Layers, glorot_uniform


class Critic(abc.ABC):
    """A critic D. A subclass is registered in wgan_vgg.config.networks; see docs/extending.md."""

    def __init__(self, config: CriticConfig) -> None:
        self.config: Any = config  # Any: which settings are not None is the network's own matter

    @property
    @abc.abstractmethod
    def smallest_side(self) -> int:
        """The smallest side of an image that its strides leave something of."""

    @abc.abstractmethod
    def connect(self, x: keras.KerasTensor, layers: Layers) -> keras.KerasTensor:
        """Scores (batch, 1) of images x, float32 (batch, height, width, 1), each from its own image."""

    def build(self, image_shape: tuple[int, int], seed: int, precision: str) -> keras.Model:
        """The critic as a model; see registry."""
        images = keras.Input((*image_shape, 1), name="images")
        score = self.connect(images, Layers("critic", seed, precision, glorot_uniform))
        return keras.Model(images, score, name="critic")
