"""A U-Net: Ronneberger et al., MICCAI 2015, arXiv:1505.04597."""

import keras

from wgan_vgg.extent import Extent
from wgan_vgg.models.generator import Generator
from wgan_vgg.models.layers import Layers

_HALVINGS, _CONVOLUTIONS = 2, 2  # of the resolution; at each resolution on either side


class UNet(Generator):
    """Figure 1 of the paper with two halvings instead of four, zero padding, and the input added to the output.

    The last is Jin et al.'s for CT (IEEE TIP 26, 4509-4522, 2017: FBPConvNet). 64 filters, twice as many at each lower
    resolution, make it as large as RED-CNN: 1,861,697 parameters, which see farther but compute a fifth per pixel. No
    batch normalization, see dncnn.
    """

    @property
    def extent(self) -> Extent:
        """A convolution at half the resolution counts twice; a pixel's block, which pooling joins, reaches it, too."""
        scales = [2**level for level in range(_HALVINGS + 1)]
        reach = sum(2 * _CONVOLUTIONS * scale for scale in scales[:-1]) + _CONVOLUTIONS * scales[-1]
        # At full resolution the encoder's maps wait for the decoder, which joins them with its own.
        return Extent(reach=reach + sum(scales[:-1]), multiple=scales[-1], maps=6 * self.config.filters)

    def connect(self, x: keras.KerasTensor, layers: Layers) -> keras.KerasTensor:
        """See Generator."""
        image, waiting = x, []
        for level in range(_HALVINGS):
            x = self._convolved(x, level, layers)
            waiting.append(x)
            x = keras.layers.MaxPooling2D(2, dtype=layers.policy, name=f"halved{level + 1}")(x)
        x = self._convolved(x, _HALVINGS, layers)
        for level in reversed(range(_HALVINGS)):
            filters = self.config.filters * 2**level
            x = layers.convolution(filters, 2, strides=2, transposed=True, name=f"doubled{level + 1}")(x)
            x = keras.layers.Concatenate(dtype=layers.policy, name=f"joined{level + 1}")([waiting.pop(), x])
            x = self._convolved(x, level, layers)
        x = layers.convolution(1, 1, name="difference", exact=True)(x)
        return keras.layers.Add(dtype="float32", name="denoised")([image, x])

    def _convolved(self, x: keras.KerasTensor, level: int, layers: Layers) -> keras.KerasTensor:
        for _ in range(_CONVOLUTIONS):
            x = layers.convolution(self.config.filters * 2**level, 3, activation="relu")(x)
        return x
