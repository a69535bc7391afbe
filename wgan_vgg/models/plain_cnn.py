"""The report's generator, and the paper's: a chain of 3x3 convolutions."""

import keras

from wgan_vgg.extent import Extent
from wgan_vgg.models.generator import Generator
from wgan_vgg.models.layers import Layers


class PlainCnn(Generator):
    """Report 5.1, Figure 1: 3x3 convolutions, stride 1, a ReLU after each, the last one too; 56,097 parameters.

    Networks from elsewhere may lack the last ReLU or the biases, or have "valid" convolutions.
    """

    @property
    def border(self) -> int:
        """One pixel for each "valid" convolution."""
        return self.config.layers if self.config.padding == "valid" else 0

    @property
    def extent(self) -> Extent:
        """One pixel for each convolution; what one reads, what it writes, and as much again to work with."""
        return Extent(reach=self.config.layers, maps=3 * self.config.filters)

    def connect(self, x: keras.KerasTensor, layers: Layers) -> keras.KerasTensor:
        """See Generator."""
        for number in range(1, self.config.layers + 1):
            last = number == self.config.layers
            x = layers.convolution(
                1 if last else self.config.filters,
                3,
                name="denoised" if last else "",
                padding=self.config.padding,
                use_bias=self.config.use_bias,
                activation="relu" if not last or self.config.output_relu else None,
                exact=last,
            )(x)
        return x

    def torch_name(self, layer: keras.Layer, number: int) -> str:  # noqa: ARG002
        """As a torch.nn.Sequential of convolutions and ReLUs by turns has it."""
        return str(2 * number)
