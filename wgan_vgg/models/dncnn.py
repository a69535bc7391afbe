"""DnCNN: Zhang et al., IEEE TIP 26, 3142-3155 (2017), arXiv:1608.03981."""

import keras

from wgan_vgg.extent import Extent
from wgan_vgg.models.generator import Generator
from wgan_vgg.models.layers import Layers


class DnCnn(Generator):
    """The noise, by 17 3x3 convolutions of 64 filters with ReLUs between, subtracted from the image (section III-A).

    555,137 parameters, without batch normalization: with it an image's output, and so every loss here, would depend on
    the other images of the batch, and on how many devices share it. Deployed, a batch normalization is part of the
    convolution before it: the network is the one that the authors' code gives when they are merged.
    """

    @property
    def extent(self) -> Extent:
        """One pixel for each convolution: 35x35, as the paper says."""
        return Extent(reach=self.config.layers, maps=3 * self.config.filters)

    def connect(self, x: keras.KerasTensor, layers: Layers) -> keras.KerasTensor:
        """See Generator."""
        noise = x
        for _ in range(self.config.layers - 1):
            noise = layers.convolution(self.config.filters, 3, activation="relu")(noise)
        noise = layers.convolution(1, 3, name="noise", exact=True)(noise)
        return keras.layers.Subtract(dtype="float32", name="denoised")([x, noise])

    def torch_name(self, layer: keras.Layer, number: int) -> str:  # noqa: ARG002
        """As in the authors' PyTorch code (KAIR): a Sequential of convolutions and ReLUs by turns."""
        return f"model.{2 * number}"
