"""One training step: n critic updates and one generator update (report 5.3; paper, Algorithm 1)."""

from collections.abc import Callable

import tensorflow as tf

from wgan_vgg.config import Config
from wgan_vgg.seeds import derive
from wgan_vgg.training.gradients import (
    CRITIC_GRADIENTS,
    Images,
    Terms,
    critic_gradients,
    generator_gradients,
    trainable,
)
from wgan_vgg.training.state import TrainState


def critic_update(state: TrainState, config: Config, images: Images, weights: tf.Tensor, global_batch: int) -> Terms:
    """One Adam step of the critic; arguments as of critic_gradients. Returns this replica's share of the mean terms."""
    assert state.critic is not None and state.critic_optimizer is not None, "only a model that has them updates them"
    gradients, terms = critic_gradients(state, config, images, weights, global_batch)
    state.critic_optimizer.apply(gradients, state.critic.trainable_variables)
    return terms


def generator_update(state: TrainState, config: Config, images: Images, global_batch: int) -> Terms:
    """One Adam step of the generator."""
    gradients, terms = generator_gradients(state, config, images, global_batch)
    state.generator_optimizer.apply(gradients, state.generator.trainable_variables)
    return terms


def replica_step(
    state: TrainState, config: Config, step: tf.Tensor, images: Images, critic_images: tuple[Images, ...]
) -> Terms:
    """One step on one replica: `critic_steps` critic updates, then one generator update.

    Args:
      state: changed in place, but for its step.
      config: the run's.
      step: steps done before.
      images: the generator's batch, this replica's share.
      critic_images: a batch for each critic update, or none where they all take the generator's.

    Returns:
      The terms of the last critic update and of the generator update, as shares of their means.
    """
    global_batch = config.training.batch_size
    terms: Terms = {}
    if state.critic is not None:
        for number in range(config.training.critic_steps):
            batch = critic_images[number] if critic_images else images
            weights = interpolation_weights(config, number, step, tf.shape(batch[0])[0])
            update = critic_update(state, config, batch, weights, global_batch)
            update[CRITIC_GRADIENTS] += terms.get(CRITIC_GRADIENTS, 0.0)
            terms |= update
    return terms | generator_update(state, config, images, global_batch)


def interpolation_weights(config: Config, purpose: int | str, step: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """This replica's part of the whole batch's uniform weights: a sample's weight does not depend on its replica."""
    seed = tf.stack([tf.constant(derive(config.seed, "interpolation", purpose), tf.int64), tf.cast(step, tf.int64)])
    weights = tf.random.stateless_uniform([config.training.batch_size, 1, 1, 1], seed)
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return weights[replica * size : (replica + 1) * size]


def _update_average(state: TrainState, decay: float) -> None:
    """average <- d average + (1 - d) generator, d rising to `decay` (decay warm-up)."""
    step = tf.cast(state.step, tf.float32)
    keep = tf.minimum(decay, step / (9.0 + step))
    for average, weight in zip(trainable(state.average), trainable(state.generator), strict=True):
        average.assign(keep * average + (1.0 - keep) * weight)


def build_train_step(
    state: TrainState, config: Config, strategy: tf.distribute.Strategy
) -> Callable[[Images, tuple[Images, ...], tf.Tensor], Terms]:
    """`replica_step` on every replica, as one tf.function that returns means over the global batch.

    Its last argument is this worker's own stop flag, 0 or 1, which comes back as `stop_requests`, summed over the
    replicas: so all workers learn in the same step that one of them is to stop.
    """

    @tf.function(autograph=False)
    def train_step(images: Images, critic_images: tuple[Images, ...], stop_flag: tf.Tensor) -> Terms:
        step = state.step.read_value()
        terms = strategy.run(
            lambda *batches: replica_step(state, config, step, *batches) | {"stop_requests": tf.identity(stop_flag)},
            args=(images, critic_images),
        )
        with strategy.scope():
            state.step.assign_add(1)
            if state.average is not None:
                _update_average(state, config.training.ema_decay)
        return {name: strategy.reduce("SUM", value, axis=None) for name, value in terms.items()}

    return train_step


def build_critic_warmup(
    state: TrainState, config: Config, strategy: tf.distribute.Strategy
) -> Callable[[Images, tf.Tensor, tf.Tensor], Terms]:
    """The critic's updates before the first step (report 5.3: "D is trained ... for a few epochs").

    The function takes (images, number, stop_flag), `number` being the update's, repeated for each sample; see
    build_train_step.
    """

    def replica_update(images: Images, number: tf.Tensor, stop_flag: tf.Tensor) -> Terms:
        weights = interpolation_weights(config, "warm-up", number[0], tf.shape(images[0])[0])
        terms = critic_update(state, config, images, weights, config.training.batch_size)
        return terms | {"stop_requests": tf.identity(stop_flag)}

    @tf.function(autograph=False)
    def update(images: Images, number: tf.Tensor, stop_flag: tf.Tensor) -> Terms:
        terms = strategy.run(lambda images, number: replica_update(images, number, stop_flag), args=(images, number))
        return {name: strategy.reduce("SUM", value, axis=None) for name, value in terms.items()}

    return update
