"""What is said of a critic's updates: whose score is whose, the whole loss, the last update's terms."""

import pytest
import tensorflow as tf
from small_networks import batch, small_config

from wgan_vgg.training import gradients, monitor, train_step
from wgan_vgg.training.content import Patches
from wgan_vgg.training.state import create_state


def test_scores_are_of_the_images_that_they_are_named_for():
    """Fails where both scores are the real images', both the fake ones', or each the other's."""
    real, fake = tf.fill([2, 4, 4, 1], 0.5), tf.fill([2, 4, 4, 1], 0.25)
    terms = gradients.critic_terms(
        lambda images, training: tf.reduce_mean(images, axis=[1, 2]),  # noqa: ARG005
        "wasserstein",
        Patches(real, real, fake),
    )
    assert {name: values.numpy().tolist() for name, values in terms.items()} == {
        "real_score": [0.5, 0.5],
        "fake_score": [0.25, 0.25],
        "critic_wasserstein": [-0.25, -0.25],
    }


def test_the_critics_loss_is_its_distance_and_ten_times_the_penalty():
    """Fails where the loss that is logged lacks the penalty, which its gradient has."""
    settings = small_config("wgan-mse")
    state = create_state(settings, (8, 8), 100)
    _, terms = gradients.critic_gradients(state, settings, batch(0), tf.fill([4, 1, 1, 1], 0.5), 4)
    penalty = float(terms["gradient_penalty"])
    assert penalty > 0.01
    assert float(terms["critic_loss"]) == pytest.approx(float(terms["critic_wasserstein"]) + 10 * penalty, rel=1e-5)


def test_a_step_tells_the_last_critic_update_and_the_gradients_of_all(monkeypatch):
    """Fails where the first update's terms stay, or where an infinite gradient of an earlier update is forgotten."""

    def update(state, settings, images, *_):
        return {"critic_loss": images[0][0], gradients.CRITIC_GRADIENTS: 10 * images[0][0]}

    monkeypatch.setattr(train_step, "critic_update", update)
    monkeypatch.setattr(train_step, "generator_update", lambda *_: {})
    settings = small_config("wgan-mse")
    state = create_state(settings, (8, 8), 100)
    batches = tuple((tf.fill([4], number),) * 2 for number in (1.0, 2.0, 3.0))
    terms = train_step.replica_step(state, settings, tf.constant(0, tf.int64), batches[0], batches)
    assert {name: float(value) for name, value in terms.items()} == {"critic_loss": 3.0, "critic_gradients": 60.0}


def test_the_monitors_penalty_is_taken_between_real_and_generated_images():
    """Fails where it is taken at the real ones, which gives 1, or at the generated ones, which gives 0.

    The critic is half the sum of squares, whose gradient is the image. With real images of 0 and outputs of norm 1 the
    norm is uniform in [0, 1]: its mean 1/2, that of (norm - 1)^2 1/3.
    """
    settings = small_config("wgan-mse")
    state = create_state(settings, (8, 8), 100)
    state.generator.set_weights([0 * weight for weight in state.generator.get_weights()])
    last = state.generator.layers[-1]
    last.set_weights([last.get_weights()[0], tf.constant([1 / 8])])
    state.critic = lambda images, training=True: tf.reduce_sum(images**2, axis=[1, 2]) / 2  # noqa: ARG005
    real = tf.zeros([512, 8, 8, 1])
    terms = monitor.build_terms(state, settings)((real + 0.7, real))
    assert float(tf.reduce_mean(terms["gradient_norm"])) == pytest.approx(1 / 2, abs=0.05)
    assert float(tf.reduce_mean(terms["gradient_penalty"])) == pytest.approx(1 / 3, abs=0.05)
