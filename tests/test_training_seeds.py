"""All that is random in a training follows the run's seed: two seeds are two trainings, from the weights on."""

import numpy as np
import pytest
import tensorflow as tf
from small_networks import batch, small_config

from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.training import batches, initialization, train_step
from wgan_vgg.training.state import create_state


def of_two_seeds(found, model="wgan-mse", **values):
    """What a function of a config finds for the seeds 1 and 2."""
    return [found(small_config(model, seed=seed, **values)) for seed in (1, 2)]


@pytest.mark.parametrize("network", ["generator", "critic"])
def test_each_network_starts_with_the_seeds_weights(network):
    """Fails where one of the two is built with a seed of its own, the same in every run."""
    one, other = of_two_seeds(lambda settings: getattr(create_state(settings, (8, 8), 100), network).get_weights()[0])
    assert not np.array_equal(one, other)


def test_a_stream_of_batches_has_the_seeds_order(data_dir):
    """Fails where its order depends on its purpose alone."""
    data = DataSet.open(data_dir)
    one, other = of_two_seeds(
        lambda settings: next(iter(batches.stream(settings, data, "generator batches")))[1].numpy()
    )
    assert one.shape == other.shape == (4, 32, 32, 1)
    assert not np.array_equal(one, other)


def test_interpolation_weights_are_the_seeds():
    """Fails where they depend on the step and the update alone."""
    step = tf.constant(0, tf.int64)
    one, other = of_two_seeds(lambda settings: train_step.interpolation_weights(settings, 0, step, 4).numpy())
    assert not np.array_equal(one, other)


def test_a_second_start_has_the_seeds_weights():
    """Fails where every run whose first start is black goes on with the same weights."""

    def second_start(settings):
        state = create_state(settings, (8, 8), 100)
        assert len(initialization.initialize_generator(state, settings, batch(0)[0])) == 2
        return state.generator.get_weights()[0]

    # No output is bright enough.
    never = {"training.init_tries": 2, "training.init_mean_ratio": 1e9}
    one, other = of_two_seeds(second_start, "generator-mse", **never)
    assert not np.array_equal(one, other)


def test_warm_up_updates_have_interpolation_weights_of_their_own(monkeypatch):
    """Fails where each update of the warm-up takes the first one's."""
    monkeypatch.setattr(train_step, "critic_update", lambda state, settings, images, weights, _: {"weights": weights})  # noqa: ARG005
    settings = small_config("wgan-mse")
    update = train_step.build_critic_warmup(create_state(settings, (8, 8), 100), settings, tf.distribute.get_strategy())
    found = [
        update(batch(0), tf.fill([4], tf.constant(number, tf.int64)), tf.constant(0.0))["weights"].numpy()
        for number in range(3)
    ]
    assert len({weights.tobytes() for weights in found}) == 3
