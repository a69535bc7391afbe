"""CNN-10: Chen et al., Biomedical Optics Express 8, 679-694 (2017)."""

import keras

from wgan_vgg.extent import Extent
from wgan_vgg.models.generator import Generator
from wgan_vgg.models.layers import Layers


class Cnn10(Generator):
    """Three convolutions: 9x9 into 64 filters, 3x3 into half as many, 5x5 into the image; 24,513 parameters.

    Sizes, padding and the missing last ReLU as ldct-benchmark has them (methods/cnn10/network.py).
    """

    @property
    def extent(self) -> Extent:
        """4 + 1 + 2 pixels."""
        return Extent(reach=7, maps=3 * self.config.filters)

    def connect(self, x: keras.KerasTensor, layers: Layers) -> keras.KerasTensor:
        """See Generator."""
        x = layers.convolution(self.config.filters, 9, activation="relu")(x)
        x = layers.convolution(max(1, self.config.filters // 2), 3, activation="relu")(x)
        return layers.convolution(1, 5, name="denoised", exact=True)(x)

    def torch_name(self, layer: keras.Layer, number: int) -> str:  # noqa: ARG002
        """As in ldct-benchmark: a list of convolutions and ReLUs by turns."""
        return f"layers.{2 * number}"
