"""A generator's function rearranged for CPUs, with the same result up to rounding; GPUs are faster with it as it is."""

from collections.abc import Callable

import keras
import tensorflow as tf

from wgan_vgg.extent import Extent

Network = Callable[[tf.Tensor], tf.Tensor]  # (batch, height, width, 1) to the same shape

# Times the overlap: in lower images the rows that both halves share cost more than the halves gain.
_HALVED_FROM = 16


def arranged_for_cpu(generator: keras.Model, extent: Extent) -> Network:
    """generator(images) as fast on a CPU as this project knows how."""
    last = [layer for layer in generator.layers if layer.weights][-1]
    if isinstance(last, keras.layers.Conv2D) and last.filters == 1:
        return _in_halves(_last_by_shifts(generator, last), extent)
    return _in_halves(lambda images: generator(images, training=False), extent)


def _in_halves(network: Network, extent: Extent) -> Network:
    """High images as an upper and a lower half, which TensorFlow runs at a time: two cores wait less for each other.

    The halves share as many rows as the network reaches: the result is the whole's.
    """
    overlap = extent.overlap

    def halves(images: tf.Tensor) -> tf.Tensor:
        middle = tf.shape(images)[1] // (2 * extent.multiple) * extent.multiple
        upper = network(images[:, : middle + overlap])[:, :middle]
        lower = network(images[:, middle - overlap :])[:, overlap:]
        return tf.concat([upper, lower], axis=1)

    def denoise(images: tf.Tensor) -> tf.Tensor:
        high = tf.shape(images)[1] >= _HALVED_FROM * overlap
        return tf.cond(high, lambda: halves(images), lambda: network(images))

    return denoise


def _last_by_shifts(generator: keras.Model, last: keras.layers.Conv2D) -> Network:
    """The last convolution, into one channel, as one of 1x1 for all taps and shifted images that are added up.

    TensorFlow's convolutions are made for many channels; on CPUs this takes half the time.
    """
    features = keras.Model(generator.input, last.input)
    # What follows may take the input, too.
    after = None if generator.output is last.output else keras.Model([generator.input, last.output], generator.output)
    side = last.kernel_size[0]

    def network(images: tf.Tensor) -> tf.Tensor:
        values = tf.cast(features(images, training=False), tf.float32)
        # One output for each tap. TensorFlow's product of matrices would depend, on some CPUs and in the last bits, on
        # the other images of the batch.
        kernel = tf.reshape(last.kernel.value, [1, 1, side * side, -1])
        shares = tf.nn.conv2d(values, tf.transpose(kernel, [0, 1, 3, 2]), 1, "VALID")
        if last.padding == "same":
            around = [side // 2, side // 2]
            shares = tf.pad(shares, [[0, 0], around, around, [0, 0]])
        height, width = tf.shape(shares)[1] - (side - 1), tf.shape(shares)[2] - (side - 1)
        shifted = [
            shares[:, i // side : i // side + height, i % side : i % side + width, i : i + 1] for i in range(side**2)
        ]
        x = tf.add_n(shifted)
        x = last.activation(x + last.bias.value if last.use_bias else x)
        return tf.ensure_shape(after([images, x]) if after else x, images.shape)

    return network
