"""PatchGAN: Isola et al., CVPR 2017, arXiv:1611.07004."""

import keras

from wgan_vgg.models.critic import Critic
from wgan_vgg.models.layers import Layers


class PatchCritic(Critic):
    """The paper's 70x70 discriminator (section 6.1.2: C64-C128-C256-C512), its scores of patches averaged.

    4x4 convolutions, three of stride 2 and two of stride 1, one pixel of padding (the authors' code); every score sees
    70x70 pixels. One mean score per image keeps the Wasserstein losses and the gradient penalty each image's own; for
    the latter there is no batch normalization (Gulrajani et al. 2017, section 4), and the critic sees one image, not
    also what it was made from. 2,762,689 parameters, at any size.
    """

    @property
    def smallest_side(self) -> int:
        """All but the last of its numbers of filters halve it; the last two convolutions take a pixel each."""
        return 3 * 2 ** (len(self.config.filters) - 1)

    def connect(self, x: keras.KerasTensor, layers: Layers) -> keras.KerasTensor:
        """See Critic."""
        for number, filters in enumerate(self.config.filters, start=1):
            strides = 2 if number < len(self.config.filters) else 1
            x = keras.layers.ZeroPadding2D(1, dtype=layers.policy, name=f"pad{number}")(x)
            x = layers.convolution(filters, 4, strides=strides, padding="valid")(x)
            x = layers.leaky_relu(self.config.conv_slope, name=f"leaky{number}")(x)
        x = keras.layers.ZeroPadding2D(1, dtype=layers.policy, name="pad_score")(x)
        x = layers.convolution(1, 4, name="score", padding="valid", exact=True)(x)
        return keras.layers.GlobalAveragePooling2D(dtype="float32", name="mean_score")(x)
