"""The networks by hand: what they compute with weights that are set, and the spread of those they start with."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from deployed import odd_images
from small_networks import SMALL_CRITICS, small

from wgan_vgg import config, models


def with_zero_weights(name, **biases):
    """A small generator whose weights are all 0, but for the biases of some layers."""
    generator = models.build_generator(small(name))
    generator.set_weights([0 * weight for weight in generator.get_weights()])
    for layer, value in biases.items():
        generator.get_layer(layer).bias.assign([value])
    return generator


def of_one_pixel(layer, *values):
    """What a layer makes of images of one pixel."""
    return layer(tf.reshape(tf.constant(values), (-1, 1, 1, 1))).numpy().ravel()


@pytest.mark.parametrize(
    ("name", "layer", "sign"),
    [("unet", "difference", 1), ("dncnn", "noise", -1)],
)
def test_a_residual_networks_output_is_its_input_and_the_last_convolutions(name, layer, sign):
    """Fails where the U-Net does not add its input, or where DnCNN adds the noise instead of subtracting it."""
    images = odd_images(2, 16, 16)
    np.testing.assert_allclose(with_zero_weights(name)(images), images, atol=1e-6)
    np.testing.assert_allclose(with_zero_weights(name, **{layer: 0.1})(images), images + sign * 0.1, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "linear", "rectified"),
    [("unet", {"doubled1", "doubled2", "difference"}, 10), ("dncnn", {"noise"}, 3)],
)
def test_every_convolution_has_a_relu_but_those_that_say_so(name, linear, rectified):
    """Fails where the ReLUs between convolutions are left out: several of these are then one."""
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    layers = [layer for layer in models.build_generator(small(name)).layers if isinstance(layer, kinds)]
    found = {
        activation: {layer.name for layer in layers if layer.activation.__name__ == activation}
        for activation in ("relu", "linear")
    }
    assert found["linear"] == linear
    assert len(found["relu"]) == rectified


def test_the_unet_halves_by_the_greatest_of_four():
    """Fails where it takes their mean."""
    generator = models.build_generator(small("unet"))
    for name in ("halved1", "halved2"):
        pixels = tf.reshape(tf.constant([0.0, 1.0, 2.0, 5.0]), (1, 2, 2, 1))
        assert generator.get_layer(name)(pixels).numpy().ravel() == [5.0]


def test_dcgan_ends_with_a_sigmoid():
    """Fails where it is left out: of 0 it is 1/2, of log 3 it is 3/4."""
    images = odd_images(1, 16, 16)
    for bias, expected in ((0.0, 0.5), (np.log(3), 0.75)):
        np.testing.assert_allclose(with_zero_weights("dcgan", denoised=bias)(images), expected, rtol=1e-6)


def test_dcgans_residual_blocks_begin_as_nearly_nothing():
    """Fails where they start like the other convolutions, at a variance of 1 relative to what they read, not .001."""
    generator = models.build_generator(config.GeneratorConfig(name="dcgan", filters=32))
    scales = []
    for number in range(1, 13):
        kernel = generator.get_layer(f"conv{number}").kernel.numpy()
        scales.append(np.mean(kernel**2) * np.prod(kernel.shape[:-1]))
    in_blocks = [*scales[1:5], *scales[7:11]]
    np.testing.assert_allclose(in_blocks, 0.001, rtol=0.15)
    np.testing.assert_allclose([scales[0], scales[5], scales[6], scales[11]], 1.0, rtol=0.25)


def test_the_dcgan_critic_sees_values_around_zero():
    """Fails where it sees those of [0, 1] as they are."""
    critic = models.build_critic(config.CriticConfig(name="dcgan", **SMALL_CRITICS["dcgan"]), (16, 16))
    np.testing.assert_allclose(of_one_pixel(critic.get_layer("around_zero"), 0.0, 0.5, 1.0), [-1.0, 0.0, 1.0])


def test_the_patch_critics_relus_leak_a_fifth():
    """Fails where one of them gives nothing of what is below 0."""
    critic = models.build_critic(config.CriticConfig(name="patch", **SMALL_CRITICS["patch"]), (24, 24))
    for number in range(1, len(SMALL_CRITICS["patch"]["filters"]) + 1):
        np.testing.assert_allclose(of_one_pixel(critic.get_layer(f"leaky{number}"), -1.0, 2.0), [-0.2, 2.0])


def test_red_cnn_starts_with_weights_of_the_papers_spread():
    """Fails for a standard deviation of .1."""
    generator = models.build_generator(config.GeneratorConfig(name="red-cnn", filters=16))
    for number in range(2, 6):
        assert generator.get_layer(f"conv{number}").kernel.numpy().std() == pytest.approx(0.01, rel=0.05)
        assert generator.get_layer(f"tconv{number - 1}").kernel.numpy().std() == pytest.approx(0.01, rel=0.05)
