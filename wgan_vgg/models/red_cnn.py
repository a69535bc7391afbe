"""RED-CNN: Chen et al., IEEE TMI 36, 2524-2535 (2017), arXiv:1702.00288."""

import keras

from wgan_vgg.extent import Extent
from wgan_vgg.models.generator import Generator
from wgan_vgg.models.layers import Layers

_DEPTH, _SIDE = 5, 5  # convolutions, and as many transposed ones; their kernels


def _paper_start(seed: int) -> keras.initializers.Initializer:
    """Gaussian, of standard deviation .01: the paper's as far as we know, whose text was not at hand.

    With it the network begins as its shortcut: with what it is given.
    """
    return keras.initializers.RandomNormal(0.0, 0.01, seed=seed)


class RedCnn(Generator):
    """Five 5x5 convolutions without padding, five transposed ones back to the size, and three shortcuts.

    Figure 1 of the paper; 1,848,865 parameters with 96 filters. A shortcut is added before the ReLU: the second and the
    fourth convolution's output, and the input. The last ReLU is the paper's; ldct-benchmark's network is without.
    """

    @property
    def extent(self) -> Extent:
        """Two pixels for each layer; a convolution without padding needs its side."""
        return Extent(
            reach=2 * _DEPTH * (_SIDE // 2),
            smallest_side=1 + _DEPTH * (_SIDE - 1),
            maps=5 * self.config.filters,  # three as of plain_cnn, and two shortcuts that wait
        )

    def connect(self, x: keras.KerasTensor, layers: Layers) -> keras.KerasTensor:
        """See Generator."""
        shortcuts = [x]
        for number in range(1, _DEPTH + 1):
            x = layers.convolution(
                self.config.filters, _SIDE, padding="valid", activation="relu", initializer=_paper_start
            )(x)
            if number in (2, 4):
                shortcuts.append(x)
        for number in range(1, _DEPTH + 1):
            last = number == _DEPTH
            x = layers.convolution(
                1 if last else self.config.filters,
                _SIDE,
                name=f"tconv{number}",
                padding="valid",
                transposed=True,
                exact=last,
                initializer=_paper_start,
            )(x)
            policy = "float32" if last else layers.policy
            if number % 2:
                x = keras.layers.Add(dtype=policy, name=f"add{number}")([x, shortcuts.pop()])
            if not last or self.config.output_relu:
                x = keras.layers.ReLU(dtype=policy, name=f"relu{number}")(x)
        return x
