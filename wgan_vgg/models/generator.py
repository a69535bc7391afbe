"""What every generator is: its layers, and what it states of itself."""

import abc
from typing import Any

import keras

from wgan_vgg.config import GeneratorConfig
from wgan_vgg.extent import Extent
from wgan_vgg.models.layers import Layers
from wgan_vgg.models.sizes import cut_to, repeat_border, widen_to_multiple


class Generator(abc.ABC):
    """A denoiser G. A subclass is registered in wgan_vgg.config.networks; see docs/extending.md."""

    def __init__(self, config: GeneratorConfig) -> None:
        self.config: Any = config  # Any: which settings are not None is the network's own matter

    @property
    def border(self) -> int:
        """Pixels that a training patch loses at each side.

        Whole images keep their size: their border pixels are repeated outwards first.
        """
        return 0

    @property
    @abc.abstractmethod
    def extent(self) -> Extent:
        """What it needs and takes."""

    @abc.abstractmethod
    def connect(self, x: keras.KerasTensor, layers: Layers) -> keras.KerasTensor:
        """The output for the input x: float32 (batch, height, width, 1), less the border.

        The sides of x are multiples of `extent.multiple`. Layers are made by `layers`.
        """

    def torch_name(self, layer: keras.Layer, number: int) -> str:  # noqa: ARG002
        """What a layer, the number-th with weights, is called in the PyTorch state dict that is exported."""
        return layer.name

    def trained_shape(self, patch_shape: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the output for a training patch."""
        return patch_shape[0] - 2 * self.border, patch_shape[1] - 2 * self.border

    def build(self, seed: int, precision: str) -> tuple[keras.Model, keras.Model]:
        """The generator for whole images and, with the same layers, for training patches; see registry."""
        low_dose = keras.Input((None, None, 1), name="low_dose")
        x = patch = self._widened(low_dose)
        mean, std = self.config.input_mean, self.config.input_std
        standardized = (mean, std) != (0.0, 1.0)
        if standardized:
            x = keras.layers.Rescaling(1 / std, -mean / std, name="standardize")(x)
        x = self.connect(x, Layers("generator", seed, precision))
        if standardized:
            x = keras.layers.Rescaling(std, mean, dtype="float32", name="destandardize")(x)
        whole = keras.Model(low_dose, self._cut(x, low_dose), name="generator")
        return whole, whole if patch is low_dose else keras.Model(patch, x, name="generator")

    def _widened(self, images: keras.KerasTensor) -> keras.KerasTensor:
        # Zeros would cost 1.1 dB (validation) on slices of 362x362 whose border cuts the body.
        for _ in range(self.border):
            images = repeat_border(images)
        return images if self.extent.multiple == 1 else widen_to_multiple(images, self.extent.multiple)

    def _cut(self, images: keras.KerasTensor, like: keras.KerasTensor) -> keras.KerasTensor:
        return images if self.extent.multiple == 1 else cut_to(images, like)
