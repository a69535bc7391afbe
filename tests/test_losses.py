"""wgan_vgg.losses against values computed by hand (DESIGN, style 6)."""

import numpy as np
import pytest
import tensorflow as tf

from wgan_vgg import losses


def images(*values):
    """Constant 2x2x1 images, one a value."""
    return tf.constant(np.stack([np.full((2, 2, 1), value, np.float32) for value in values]))


def half_square(x):
    """D(x) = ||x||^2 / 2, whose gradient is x itself; scores (batch, 1)."""
    return tf.reduce_sum(tf.square(x), axis=[1, 2, 3])[:, None] / 2


def penalty(x):
    return losses.gradient_penalty(losses.gradient_norms(half_square, x))


def test_critic_wasserstein():
    real, fake = tf.constant([[3.0], [1.0]]), tf.constant([[0.5], [2.0]])
    np.testing.assert_allclose(losses.critic_wasserstein(real, fake), [-2.5, 1.0])


def test_kl_is_the_f_gans():
    """exp(t - 1) is what is conjugate to u log u; exp(t) or a sum over real and fake would give others."""
    real, fake = tf.constant([[2.0], [0.5]]), tf.constant([[1.0], [3.0]])
    np.testing.assert_allclose(losses.critic_kl(real, fake), [1 - 2.0, np.e**2 - 0.5], rtol=1e-6)
    np.testing.assert_allclose(losses.generator_kl(fake), [-1.0, -(np.e**2)], rtol=1e-6)


def test_the_kl_critics_optimum_is_the_divergence():
    """Of two gaussians of variance 1 whose means are 1 apart, KL is 1/2; T* = 1 + log p/q."""
    x = np.random.default_rng(0).normal(size=(2, 400_000, 1)).astype(np.float32)
    p, q = x[0] + 1, x[1]
    best = [tf.constant(1 + one - 0.5) for one in (p, q)]  # log p/q of N(1, 1) and N(0, 1) is x - 1/2
    assert -float(tf.reduce_mean(losses.critic_kl(*best))) == pytest.approx(0.5, abs=0.01)


def test_generator_wasserstein():
    np.testing.assert_allclose(losses.generator_wasserstein(tf.constant([[0.5], [2.0]])), [-0.5, -2.0])


def test_gradient_penalty_takes_the_norm_over_height_width_and_channels():
    # Gradient 1.5 at each of 4 pixels: norm 3, penalty (3 - 1)^2 = 4. Over one axis it would be 1.26.
    np.testing.assert_allclose(penalty(images(1.5, 1.5)), [4.0, 4.0], rtol=1e-5)


def test_gradient_penalty_is_per_sample():
    # Norms 3 and 1: a batch-wide norm would give one value for both.
    np.testing.assert_allclose(penalty(images(1.5, 0.5)), [4.0, 0.0], atol=1e-5)


def test_gradient_penalty_of_uniform_interpolation():
    # real = 0, ||fake|| = 1: the norm is 1 - weight, so E (norm - 1)^2 = E weight^2 = 1/3; normal weights give .40.
    weights = tf.random.stateless_uniform([4096, 1, 1, 1], [1, 2])
    real, fake = tf.zeros([4096, 2, 2, 1]), tf.fill([4096, 2, 2, 1], 0.5)
    penalties = penalty(losses.interpolate(real, fake, weights))
    assert float(tf.reduce_mean(penalties)) == pytest.approx(1 / 3, abs=0.02)


def test_gradient_penalty_is_finite_where_the_gradient_is_zero():
    with tf.GradientTape() as tape:
        x = images(0.0, 0.0)
        tape.watch(x)
        total = tf.reduce_sum(penalty(x))
    assert np.isfinite(tape.gradient(total, x)).all()
    assert float(total) == pytest.approx(2.0, abs=1e-4)


def test_interpolate_weighs_the_real_image():
    weights = tf.constant([0.25, 1.0])[:, None, None, None]
    result = losses.interpolate(images(4.0, 4.0), images(0.0, 0.0), weights)
    np.testing.assert_allclose(result[:, 0, 0, 0], [1.0, 4.0])


def test_mean_squared_error_of_images():
    truth, output = images(0.0, 1.0), images(0.5, 1.0)
    np.testing.assert_allclose(losses.mean_squared_error(truth, output), [0.25, 0.0])


def test_perceptual_loss_divides_by_width_height_and_depth():
    # Features 2x2x8 that differ by 1 at one place: ||.||_F^2 = 1, whd = 32.
    features = np.zeros((2, 2, 2, 8), np.float32)
    other = features.copy()
    other[0, 1, 0, 3] = 1.0
    np.testing.assert_allclose(losses.mean_squared_error(tf.constant(features), tf.constant(other)), [1 / 32, 0.0])
