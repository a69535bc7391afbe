"""The report's critic, and the paper's."""

import keras

from wgan_vgg.models.critic import Critic
from wgan_vgg.models.layers import Layers


class ReportCritic(Critic):
    """Report 5.2, Figure 2: 3x3 convolutions of strides 1 and 2 by turns, then two dense layers.

    17,923,521 parameters at 64x64: the dense layer fixes the size. Scores are unbounded unless `sigmoid_output`.
    """

    @property
    def smallest_side(self) -> int:
        """Every second convolution halves it."""
        return 2 ** (len(self.config.filters) // 2)

    def connect(self, x: keras.KerasTensor, layers: Layers) -> keras.KerasTensor:
        """See Critic."""
        symmetric = self.config.padding == "symmetric"
        for number, filters in enumerate(self.config.filters, start=1):
            if symmetric:
                x = keras.layers.ZeroPadding2D(1, dtype=layers.policy, name=f"pad{number}")(x)
            padding = "valid" if symmetric else "same"
            x = layers.convolution(filters, 3, strides=2 - number % 2, padding=padding)(x)
            x = layers.leaky_relu(self.config.conv_slope, name=f"leaky{number}")(x)
        x = keras.layers.Flatten(dtype=layers.policy, name="flatten")(x)
        x = layers.dense(self.config.dense_units, name="dense")(x)
        x = layers.leaky_relu(self.config.dense_slope, name="leaky_dense")(x)
        activation = "sigmoid" if self.config.sigmoid_output else None
        return layers.dense(1, name="score", activation=activation, exact=True)(x)
