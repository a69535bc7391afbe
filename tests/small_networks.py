"""Networks small enough for tests, of the same structure as the large ones; and one of 5x5 convolutions."""

from wgan_vgg import config
from wgan_vgg.extent import Extent
from wgan_vgg.models import Generator

SMALL = {
    "plain-cnn": {"layers": 3, "filters": 4},
    "red-cnn": {"filters": 4},
    "dncnn": {"layers": 4, "filters": 4},
    "cnn-10": {"filters": 4},
    "unet": {"filters": 2},
    "dcgan": {"filters": 8},
}
SMALL_CRITICS = {
    "report": {"filters": (4, 4), "dense_units": 8},
    "patch": {"filters": (2, 4, 4)},
    "dcgan": {"filters": (2, 4)},
}
VGG = {"vgg.weights": "random", "vgg.layer": "block1_conv2"}


def small(name, **values):
    return config.GeneratorConfig(name=name, **SMALL.get(name, {}), **values)


class Wide(Generator):
    """5x5 convolutions, a pixel's own neighbourhood: one to read, one to write."""

    @property
    def extent(self):
        return Extent(reach=2 * self.config.layers, maps=3 * self.config.filters)

    def connect(self, x, layers):
        for _ in range(self.config.layers - 1):
            x = layers.convolution(self.config.filters, 5, activation="relu")(x)
        return layers.convolution(1, 5, name="denoised", exact=True)(x)
