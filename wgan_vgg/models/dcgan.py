"""The networks of Yan and Wang, "DCGANs for image super-resolution, denoising and debluring", 2017, report reference 6.

It trained the code of github.com/david-gpu/srez, by a reader's summary (its own text was not at hand): the structure
here is srez_model.py's, less the doubling of the resolution, since a denoised image is as large as its input. Neither
network has batch normalization: see dncnn, and, for the critic, Gulrajani et al. 2017, section 4: the gradient penalty
is each image's own.
"""

import keras

from wgan_vgg.extent import Extent
from wgan_vgg.models.critic import Critic
from wgan_vgg.models.generator import Generator
from wgan_vgg.models.layers import Initializer, Layers

_BLOCKS = 2  # at each number of filters


def _scaled(scale: float) -> Initializer:
    """srez's starts: the variance of what a layer writes, relative to what it reads."""
    return lambda seed: keras.initializers.VarianceScaling(scale, seed=seed)


class DcganGenerator(Generator):
    """Residual blocks of 256 and 128 filters, each pair followed by a convolution, then 3x3 and two 1x1 ones.

    A sigmoid ends it: values in [0, 1]. 3,841,825 parameters; the last two of three numbers of filters are a half and
    three eighths of the first.
    """

    @property
    def extent(self) -> Extent:
        """One pixel for each 3x3 convolution: twice two blocks of two and one more, and the last one."""
        return Extent(reach=2 * (2 * _BLOCKS + 1) + 1, maps=4 * self.config.filters)

    def connect(self, x: keras.KerasTensor, layers: Layers) -> keras.KerasTensor:
        """See Generator."""
        for stage, filters in enumerate((self.config.filters, max(1, self.config.filters // 2)), start=1):
            x = layers.convolution(filters, 1, initializer=_scaled(1.0))(x)
            for block in range(1, _BLOCKS + 1):
                x = _residual_block(x, filters, layers, f"stage{stage}_block{block}")
            x = keras.layers.ReLU(dtype=layers.policy, name=f"stage{stage}_relu")(x)
            x = layers.convolution(filters, 3, transposed=True, initializer=_scaled(1.0))(x)
        last = max(1, 3 * self.config.filters // 8)
        x = layers.convolution(last, 3, activation="relu")(x)
        x = layers.convolution(last, 1, activation="relu")(x)
        return layers.convolution(1, 1, name="denoised", activation="sigmoid", exact=True, initializer=_scaled(1.0))(x)


def _residual_block(x: keras.KerasTensor, filters: int, layers: Layers, name: str) -> keras.KerasTensor:
    """x + convolutions of it, ReLUs first (He et al. 2016), which begin as nearly nothing.

    Every layer has a name: those that Keras counts differ from one build to the next, and with them the fingerprint.
    """
    change = x
    for number in (1, 2):
        change = keras.layers.ReLU(dtype=layers.policy, name=f"{name}_relu{number}")(change)
        change = layers.convolution(filters, 3, initializer=_scaled(1e-3))(change)
    return keras.layers.Add(dtype=layers.policy, name=f"{name}_add")([x, change])


class DcganCritic(Critic):
    """3x3 convolutions of stride 2 into 64, 128, 256 and 512 filters, one of stride 1, a 1x1 one, then one score.

    4,180,481 parameters at 64x64. The score is linear, as srez's is before its softmax.
    """

    @property
    def smallest_side(self) -> int:
        """Every convolution but the last two halves it."""
        return 2 ** len(self.config.filters)

    def connect(self, x: keras.KerasTensor, layers: Layers) -> keras.KerasTensor:
        """See Critic."""
        x = keras.layers.Rescaling(2.0, -1.0, dtype=layers.policy, name="around_zero")(x)
        filters = self.config.filters
        shapes = [*((count, 3, 2) for count in filters), (filters[-1], 3, 1), (filters[-1], 1, 1)]
        for number, (count, side, strides) in enumerate(shapes, start=1):
            x = layers.convolution(count, side, strides=strides)(x)
            x = layers.leaky_relu(0.0, name=f"relu{number}")(x)
        x = keras.layers.Flatten(dtype=layers.policy, name="flatten")(x)
        return layers.dense(1, name="score", exact=True)(x)
