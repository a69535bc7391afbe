"""Learning rates at chosen updates, by hand."""

import pytest
import tensorflow as tf
from small_networks import small_config

from data_prep.errors import InputError
from wgan_vgg import config
from wgan_vgg.training.schedules import Schedule
from wgan_vgg.training.state import create_state

# 100 images in batches of 10: 10 steps an epoch, 40 in all.
BASE = {"training.batch_size": 10, "training.epochs": 4, "optimizer.generator_lr": 1.0}


def rates(updates, values=None, **network):
    settings = config.override(config.preset("report"), BASE | (values or {}))
    schedule = Schedule(settings, 1.0, 100, **network)
    return [float(schedule(tf.constant(update, tf.int64))) for update in updates]


def test_constant():
    assert rates([0, 1, 39, 1000]) == [1.0] * 4


def test_cosine_goes_from_the_rate_to_zero():
    found = rates([0, 10, 20, 40, 50], {"optimizer.schedule": "cosine"})
    assert found == pytest.approx([1.0, 0.5 + 0.5 * 2**-0.5, 0.5, 0.0, 0.0], abs=1e-6)


def test_step_drops_again_and_again():
    values = {"optimizer.schedule": "step", "optimizer.decay_epochs": 1.5, "optimizer.decay_factor": 0.1}
    assert rates([0, 14, 15, 29, 30], values) == pytest.approx([1.0, 1.0, 0.1, 0.1, 0.01])


def test_warm_up_is_linear_and_never_zero():
    assert rates([0, 1, 3, 4, 9], {"optimizer.warmup_steps": 4}) == pytest.approx([0.25, 0.5, 1.0, 1.0, 1.0])


def test_the_critic_follows_the_step_not_its_own_count():
    """Four updates per step, after 8 before the first: the wrong version would decay four times as fast."""
    values = {"optimizer.schedule": "step", "optimizer.decay_steps": 2, "optimizer.decay_factor": 0.5}
    found = rates([0, 7, 8, 15, 16, 23, 24], values, updates_per_step=4, updates_before=8)
    assert found == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25]


def test_a_critic_that_is_trained_first_is_so_at_its_full_rate():
    found = rates([0, 5, 6, 7, 8], {"optimizer.warmup_steps": 4}, updates_before=6)
    assert found == pytest.approx([1.0, 1.0, 0.25, 0.5, 0.75])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer.schedule": "step"}, "needs optimizer.decay_steps"),
        ({"optimizer.decay_steps": 3}, "no other schedule takes them"),
        ({"optimizer.schedule": "linear"}, "take one of constant, cosine, step"),
        ({"optimizer.warmup_steps": 3, "optimizer.warmup_epochs": 1.0}, "set at most one"),
        ({"optimizer.warmup_steps": 0}, "must be at least 1"),
        ({"optimizer.warmup_epochs": 0.0}, "must be above 0"),
        ({"optimizer.schedule": "step", "optimizer.decay_steps": 1, "optimizer.decay_factor": 0.0}, r"in \(0, 1\]"),
        ({"training.precision": "float64"}, "take one of float32, bfloat16, float16"),
        ({"training.ema_decay": 1.0}, r"must be in \[0, 1\)"),
    ],
)
def test_what_a_config_may_not_say(values, message):
    with pytest.raises(InputError, match=message):
        rates([0], values)


def test_durations_in_epochs_become_steps_in_one_place():
    settings = config.override(config.preset("report"), BASE | {"training.checkpoint_epochs": 0.25})
    assert settings.in_steps("training.checkpoint_", 100) == 2
    # Fails where the rest is cut off: 2.6 steps.
    settings = config.override(settings, {"training.checkpoint_epochs": 0.26})
    assert settings.in_steps("training.checkpoint_", 100) == 3
    assert settings.in_steps("training.early_stopping_", 100) is None
    assert settings.total_steps(100) == 40


def test_critic_and_generator_have_rates_and_betas_of_their_own_in_their_own_updates():
    values = {"optimizer.critic_betas": (0.1, 0.8), "optimizer.generator_lr": 1e-3, "optimizer.critic_lr": 1e-2}
    values |= {"optimizer.schedule": "step", "optimizer.decay_steps": 2, "training.critic_warmup_steps": 5}
    state = create_state(small_config("wgan-mse", **values), (8, 8), 100)
    # 3 critic updates per step: its rate falls after 5 + 2 * 3 of them.
    critic, generator = state.critic_optimizer, state.generator_optimizer
    assert (critic.beta_1, critic.beta_2, generator.beta_1, generator.beta_2) == (0.1, 0.8, 0.5, 0.9)
    expected = ((critic, 10, 1e-2), (critic, 11, 5e-3), (generator, 1, 1e-3), (generator, 2, 5e-4))
    for optimizer, updates, rate in expected:
        optimizer.iterations.assign(updates)
        assert float(optimizer.learning_rate) == pytest.approx(rate)
