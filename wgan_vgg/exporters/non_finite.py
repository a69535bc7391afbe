"""NaN and infinite pixels: a network's ReLUs would make plausible HU of them; here they are NaN where they reach."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from wgan_vgg.exporters.inference_graph import Network

_LARGEST = float(np.finfo(np.float32).max)


def keeping_nan(network: Network, distance: int | None) -> Network:
    """network(images), NaN wherever a non-finite pixel is at most `distance` away in rows and in columns.

    Finite images, which are nearly all, cost one sum over their pixels more.

    Args:
      network: float32 (batch, height, width, 1) to the same shape.
      distance: how far the network reaches, in pixels; None: a pixel decides over its whole image.
    """

    def masked(images: tf.Tensor) -> tf.Tensor:
        finite = tf.math.is_finite(images)
        bad = tf.cast(tf.logical_not(finite), tf.float32)
        near = tf.reduce_max(bad, (1, 2, 3), keepdims=True) if distance is None else _spread(bad, distance)
        denoised = network(tf.where(finite, images, tf.zeros_like(images)))
        return tf.where(near > 0, tf.constant(np.nan, tf.float32), denoised)

    # The sum is finite where all pixels are, but for an overflow, which the mask then finds to be none.
    return lambda images: tf.cond(
        tf.math.is_finite(tf.reduce_sum(images)), lambda: network(images), lambda: masked(images)
    )


def nan_keeping_model(generator: keras.Model, distance: int) -> keras.Model:
    """The same as a Keras model without branches, of operations that ONNX and TFLite have."""
    images = keras.Input((None, None, 1), name="low_dose")
    finite = ops.absolute(images) <= _LARGEST  # false for NaN
    # Not logical_not: TFLite's converter makes "greater" of it, which is false for NaN too.
    near = _spread(1.0 - ops.cast(finite, "float32"), distance)
    denoised = generator(ops.where(finite, images, 0.0))
    return keras.Model(images, ops.where(near > 0, np.float32(np.nan), denoised), name="generator")


def _spread(bad: tf.Tensor, distance: int) -> tf.Tensor:
    """The largest value at most `distance` away in rows and in columns."""
    side = 2 * distance + 1
    return ops.max_pool(ops.max_pool(bad, (side, 1), 1, "same"), (1, side), 1, "same")
