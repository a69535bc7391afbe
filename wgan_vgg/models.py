"""The two networks of the report's Figures 1 and 2, as Keras functional models."""

from collections.abc import Callable

import keras
import tensorflow as tf

from wgan_vgg.config import CriticConfig, GeneratorConfig
from wgan_vgg.errors import InputError
from wgan_vgg.seeds import derive


def build_generator(config: GeneratorConfig, seed: int = 0, precision: str = "float32") -> keras.Model:
    """The denoiser G (report 5.1, Figure 1): 3x3 convolutions, stride 1, a ReLU after each, the last one too.

    Weights are He-normal: with Keras's default (Glorot) the final ReLU kills nearly every start (FACTS).

    Args:
      config: number of layers and filters; the default has 56,097 parameters. Networks from elsewhere may lack the
        last ReLU or the biases, work on standardized values, or have "valid" convolutions: so that an image keeps its
        size, its border pixels are repeated outwards first (see without_border).
      seed: decides the starting weights.
      precision: "float32" or "bfloat16", see _policy; the last layer is float32 in any case, being the image.

    Returns:
      Model from float32 (batch, height, width, 1), any height and width, to the same shape, values >= 0 (with the
      default's last ReLU).
    """
    low_dose = x = keras.Input((None, None, 1), name="low_dose")
    if config.padding == "valid":
        # Zeros would cost 1.1 dB (validation) on slices of 362x362 whose border cuts the body. Mirroring one pixel is
        # repeating it: so images of any size allow it, and all formats of export have it.
        for _ in range(config.layers):
            x = keras.ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="symmetric")
    standardized = (config.input_mean, config.input_std) != (0.0, 1.0)
    if standardized:
        x = keras.layers.Rescaling(1 / config.input_std, -config.input_mean / config.input_std, name="standardize")(x)
    for number in range(1, config.layers + 1):
        x = keras.layers.Conv2D(
            1 if number == config.layers else config.filters,
            3,
            padding=config.padding,
            use_bias=config.use_bias,
            activation="relu" if number < config.layers or config.output_relu else None,
            kernel_initializer=keras.initializers.HeNormal(seed=derive(seed, "generator", number)),
            dtype=_policy("float32" if number == config.layers else precision),
            name="denoised" if number == config.layers else f"conv{number}",
        )(x)
    if standardized:
        x = keras.layers.Rescaling(config.input_std, config.input_mean, dtype="float32", name="destandardize")(x)
    return keras.Model(low_dose, x, name="generator")


def without_border(generator: keras.Model) -> keras.Model:
    """The generator as it is trained: with "valid" convolutions alone, so that its output is smaller than a patch.

    It has the generator's own layers and weights; one of "same" convolutions is returned as it is.
    """
    convolution = next(layer for layer in generator.layers if isinstance(layer, keras.layers.Conv2D))
    if convolution.padding == "same":
        return generator
    patch = x = keras.Input((None, None, 1), name="low_dose")
    for layer in generator.layers[1:]:  # all but the input; what makes the image larger is no layer
        x = layer(x)
    return keras.Model(patch, x, name="generator")


def build_critic(
    config: CriticConfig, image_shape: tuple[int, int], seed: int = 0, precision: str = "float32"
) -> keras.Model:
    """The critic D (report 5.2, Figure 2): 3x3 convolutions of strides 1 and 2 by turns, then two dense layers.

    Args:
      config: filters, slopes, padding, output; the default has 17,923,521 parameters at 64x64.
      image_shape: height and width of the images it will see; the dense layer fixes them.
      seed: decides the starting weights.
      precision: "float32" or "bfloat16", see _policy; the score is float32 in any case.

    Returns:
      Model from float32 (batch, height, width, 1) to scores (batch, 1), unbounded unless `sigmoid_output`.

    Raises:
      InputError: images too small for the strides.
    """
    least = smallest_side(config)
    if min(image_shape) < least:
        raise InputError(
            f"training images of {image_shape[0]}x{image_shape[1]}: the critic takes {least}x{least} or more"
        )
    policy = _policy(precision)
    images = x = keras.Input((*image_shape, 1), name="images")
    for number, filters in enumerate(config.filters, start=1):
        if config.padding == "symmetric":
            x = keras.layers.ZeroPadding2D(1, dtype=policy, name=f"pad{number}")(x)
        x = keras.layers.Conv2D(
            filters,
            3,
            strides=2 - number % 2,
            padding="valid" if config.padding == "symmetric" else "same",
            kernel_initializer=keras.initializers.GlorotUniform(seed=derive(seed, "critic", number)),
            dtype=policy,
            name=f"conv{number}",
        )(x)
        x = PiecewiseLeakyReLU(negative_slope=config.conv_slope, dtype=policy, name=f"leaky{number}")(x)
    x = keras.layers.Flatten(dtype=policy, name="flatten")(x)
    x = keras.layers.Dense(
        config.dense_units,
        kernel_initializer=keras.initializers.GlorotUniform(seed=derive(seed, "critic", "dense")),
        dtype=policy,
        name="dense",
    )(x)
    x = PiecewiseLeakyReLU(negative_slope=config.dense_slope, dtype=policy, name="leaky_dense")(x)
    score = keras.layers.Dense(
        1,
        activation="sigmoid" if config.sigmoid_output else None,
        kernel_initializer=keras.initializers.GlorotUniform(seed=derive(seed, "critic", "score")),
        dtype=_policy("float32"),
        name="score",
    )(x)
    return keras.Model(images, score, name="critic")


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
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.raw_ops.LeakyReluGrad(gradients=upstream, features=tf.stop_gradient(x), alpha=slope)

        return tf.nn.leaky_relu(x, slope), gradient

    return function(inputs)


def _policy(precision: str) -> keras.DTypePolicy:
    """How a layer computes: with "bfloat16" in that, its weights staying float32."""
    return keras.DTypePolicy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision])


def smallest_side(config: CriticConfig) -> int:
    """The smallest image side that the critic's strides leave something of."""
    return 2 ** (len(config.filters) // 2)
