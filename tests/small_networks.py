"""Networks small enough for tests, of the same structure as the large ones; and one of 5x5 convolutions."""

import tensorflow as tf

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


SMALL_STEP = {
    "training.batch_size": 4,
    "critic.filters": (4, 4),
    "critic.dense_units": 8,
    "generator.layers": 3,
    "generator.filters": 4,
    "vgg.weights": "random",
    "vgg.layer": "block1_conv2",
    "training.critic_steps": 3,
}


def small_config(model, **values):
    """The report's, with small networks for `batch`."""
    return config.override(config.preset("report"), {"model": model, **SMALL_STEP, **values})


def batch(seed, size=4):
    """Low and normal dose of 8x8."""
    normal = tf.random.stateless_uniform([size, 8, 8, 1], [seed, 0])
    return normal + 0.1 * tf.random.stateless_normal([size, 8, 8, 1], [seed, 1]), normal
