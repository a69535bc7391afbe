"""A generator's function rearranged for CPUs, with the same result up to rounding; GPUs are faster with it as it is."""

from collections.abc import Callable

import keras
import tensorflow as tf

Network = Callable[[tf.Tensor], tf.Tensor]  # (batch, height, width, 1) to the same shape

# Times the reach: in lower images the rows that both halves share cost more than the halves gain.
_HALVED_FROM = 16


def arranged_for_cpu(generator: keras.Model) -> Network:
    """generator(images) as fast on a CPU as this project knows how."""
    return _in_halves(_last_by_shifts(generator), reach(generator))


def reach(generator: keras.Model) -> int:
    """How many pixels away an input still matters: one a 3x3 convolution."""
    return sum(isinstance(layer, keras.layers.Conv2D) for layer in generator.layers)


def _in_halves(network: Network, overlap: int) -> Network:
    """High images as an upper and a lower half, which TensorFlow runs at a time: two cores wait less for each other.

    The halves share as many rows as the network reaches: the result is the whole's.
    """

    def halves(images: tf.Tensor) -> tf.Tensor:
        middle = tf.shape(images)[1] // 2
        upper = network(images[:, : middle + overlap])[:, :middle]
        lower = network(images[:, middle - overlap :])[:, overlap:]
        return tf.concat([upper, lower], axis=1)

    def denoise(images: tf.Tensor) -> tf.Tensor:
        high = tf.shape(images)[1] >= _HALVED_FROM * overlap
        return tf.cond(high, lambda: halves(images), lambda: network(images))

    return denoise


def _last_by_shifts(generator: keras.Model) -> Network:
    """The last convolution, into one channel, as a product of matrices and nine shifted images that are added up.

    TensorFlow's convolutions are made for many channels; on CPUs this takes half the time.
    """
    last = generator.get_layer("denoised")
    features = keras.Model(generator.input, last.input)
    after = generator.layers[generator.layers.index(last) + 1 :]

    def network(images: tf.Tensor) -> tf.Tensor:
        values = tf.cast(features(images, training=False), tf.float32)
        kernel = tf.reshape(last.kernel.value, [9, -1])
        shares = tf.linalg.matmul(values, kernel, transpose_b=True)
        if last.padding == "same":
            shares = tf.pad(shares, [[0, 0], [1, 1], [1, 1], [0, 0]])
        height, width = tf.shape(shares)[1] - 2, tf.shape(shares)[2] - 2
        shifted = [shares[:, i // 3 : i // 3 + height, i % 3 : i % 3 + width, i : i + 1] for i in range(9)]
        x = tf.ensure_shape(tf.add_n(shifted), images.shape)
        x = last.activation(x + last.bias.value if last.use_bias else x)
        for layer in after:
            x = layer(x)
        return x

    return network
