"""Layers with the seed, the precision and the starting weights that a network of this project has."""

from collections.abc import Callable

import keras
import tensorflow as tf

from wgan_vgg.seeds import derive

Initializer = Callable[[int], keras.initializers.Initializer]  # of a seed


def he_normal(seed: int) -> keras.initializers.Initializer:
    """He-normal weights: with Keras's default (Glorot) a final ReLU kills nearly every start."""
    return keras.initializers.HeNormal(seed=seed)


def glorot_uniform(seed: int) -> keras.initializers.Initializer:
    """Keras's default."""
    return keras.initializers.GlorotUniform(seed=seed)


class Layers:
    """Makes the layers of one network, each with a seed of its own."""

    def __init__(self, network: str, seed: int, precision: str, initializer: Initializer = he_normal) -> None:
        """`network` is "generator" or "critic"; `precision` "float32", "bfloat16" or "float16"; weights are float32."""
        self._network, self._seed, self._initializer = network, seed, initializer
        self.policy = keras.DTypePolicy(precision if precision == "float32" else f"mixed_{precision}")
        self._exact = keras.DTypePolicy("float32")
        self._convolutions = 0

    def convolution(
        self,
        filters: int,
        side: int,
        *,
        name: str = "",
        activation: str | None = None,
        padding: str = "same",
        strides: int = 1,
        use_bias: bool = True,
        transposed: bool = False,
        exact: bool = False,
        initializer: Initializer | None = None,
    ) -> keras.Layer:
        """A convolution with side x side kernels, or a transposed one; "conv1", "conv2" ... unless it has a name.

        `exact` ones are float32 in any precision: those that make the image or the score.
        """
        self._convolutions += 1
        kind = keras.layers.Conv2DTranspose if transposed else keras.layers.Conv2D
        return kind(
            filters,
            side,
            strides=strides,
            padding=padding,
            use_bias=use_bias,
            activation=activation,
            kernel_initializer=(initializer or self._initializer)(
                derive(self._seed, self._network, self._convolutions)
            ),
            dtype=self._exact if exact else self.policy,
            name=name or f"conv{self._convolutions}",
        )

    def dense(self, units: int, *, name: str, activation: str | None = None, exact: bool = False) -> keras.Layer:
        """A dense layer."""
        return keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=self._initializer(derive(self._seed, self._network, name)),
            dtype=self._exact if exact else self.policy,
            name=name,
        )

    def leaky_relu(self, slope: float, *, name: str) -> keras.Layer:
        """max(x, slope x)."""
        return PiecewiseLeakyReLU(negative_slope=slope, dtype=self.policy, name=name)


class PiecewiseLeakyReLU(keras.layers.LeakyReLU):
    """Keras's, whose second derivative is known to be zero.

    TensorFlow returns it as a tensor of zeros, and sends that back through the whole critic once more: with it, the
    gradient penalty costs six passes instead of four.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """max(x, slope x), any shape."""
        return _leaky_relu(inputs, float(self.negative_slope))


def _leaky_relu(inputs: tf.Tensor, slope: float) -> tf.Tensor:
    @tf.custom_gradient
    def function(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        output = tf.nn.leaky_relu(x, slope)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            # Of the output, which has the input's sign: where the gradient reads the input, TensorFlow cannot fuse the
            # convolution with its bias, and says so in every step.
            return tf.raw_ops.LeakyReluGrad(gradients=upstream, features=tf.stop_gradient(output), alpha=slope)

        return output, gradient

    return function(inputs)
