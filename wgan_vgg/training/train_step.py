"""One training step: n critic updates and one generator update (report 5.3; paper, Algorithm 1).

The inner functions see one replica's share of a batch and return sums divided by the global batch, so that
adding them (and their gradients) over replicas gives the mean over the whole batch.
"""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from wgan_vgg import losses, models, vgg
from wgan_vgg.config import Config
from wgan_vgg.seeds import derive
from wgan_vgg.training.adam import FusedAdam
from wgan_vgg.training.schedules import Schedule

Images = tuple[tf.Tensor, tf.Tensor]  # low_dose, normal_dose: (batch, height, width, 1)
Terms = dict[str, tf.Tensor]
# Terms that are there to be checked only: half the squared gradients of a network, each replica's own share.
CRITIC_GRADIENTS, GENERATOR_GRADIENTS = "critic_gradients", "generator_gradients"


@dataclasses.dataclass
class TrainState:
    """All that a step changes, and the frozen VGG. What a model or a config does not have is None."""

    step: tf.Variable
    generator: keras.Model
    generator_optimizer: keras.optimizers.Optimizer
    average: keras.Model | None  # the generator with the moving average of its weights
    critic: keras.Model | None
    critic_optimizer: keras.optimizers.Optimizer | None
    vgg: keras.Model | None


def create_state(config: Config, image_shape: tuple[int, int], num_train: int) -> TrainState:
    """Networks and optimizers of a run on `num_train` images; call it inside `strategy.scope()`.

    Optimizers are built here: built later they would not be mirrored over the replicas.
    """

    def adam(schedule: Schedule, betas: tuple[float, float], model: keras.Model) -> keras.optimizers.Optimizer:
        optimizer = FusedAdam(schedule, beta_1=betas[0], beta_2=betas[1])
        optimizer.build(model.trainable_variables)
        return optimizer

    rates, training = config.optimizer, config.training
    generator = models.build_generator(config.generator, config.seed, training.precision)
    critic = critic_optimizer = None
    if config.spec.adversarial:
        critic = models.build_critic(config.critic, image_shape, config.seed, training.precision)
        warmup = config.in_steps("training.critic_warmup_", num_train) or 0
        schedule = Schedule(config, rates.critic_lr, num_train, training.critic_steps, warmup)
        critic_optimizer = adam(schedule, rates.critic_betas, critic)
    return TrainState(
        step=tf.Variable(0, dtype=tf.int64, trainable=False, name="step"),
        generator=generator,
        generator_optimizer=adam(Schedule(config, rates.generator_lr, num_train), rates.generator_betas, generator),
        average=models.build_generator(config.generator, config.seed) if training.ema_decay else None,
        critic=critic,
        critic_optimizer=critic_optimizer,
        vgg=vgg.build_vgg(config.vgg, training.precision) if config.spec.content == "vgg" else None,
    )


def critic_terms(critic: keras.Model, real: tf.Tensor, fake: tf.Tensor) -> Terms:
    """The critic's scores, per sample, from one pass over real and fake images together."""
    real_scores, fake_scores = tf.split(critic(tf.concat([real, fake], axis=0), training=True), 2)
    return {
        "critic_wasserstein": losses.critic_wasserstein(real_scores, fake_scores),
        "real_score": tf.squeeze(real_scores, -1),
        "fake_score": tf.squeeze(fake_scores, -1),
    }


def critic_update(state: TrainState, config: Config, images: Images, weights: tf.Tensor, global_batch: int) -> Terms:
    """One Adam step of the critic on -D(x) + D(G(z)) + lambda * gradient_penalty.

    Two tapes, whose gradients are added by hand: with the critic's variables used three times under one
    tape, the order of the sums, and so the last bits, differ from process to process.

    Args:
      state: changed in place.
      config: for the penalty's weight.
      images: this replica's share of the batch.
      weights: interpolation weights (batch, 1, 1, 1).
      global_batch: images over all replicas.

    Returns:
      This replica's share of the mean terms.
    """
    low_dose, normal_dose = images
    fake = state.generator(low_dose, training=True)
    variables = _variables(state.critic)
    with tf.GradientTape() as tape:
        terms = _means(critic_terms(state.critic, normal_dose, fake), global_batch)
    gradients = tape.gradient(terms["critic_wasserstein"], variables)
    with tf.GradientTape() as tape:
        norms = losses.gradient_norms(state.critic, losses.interpolate(normal_dose, fake, weights))
        penalty = {"gradient_penalty": losses.gradient_penalty(norms), "gradient_norm": norms}
        terms |= _means(penalty, global_batch)
        weighted = config.loss.gradient_penalty_weight * terms["gradient_penalty"]
    # The last bias does not change the penalty; its gradient would be None.
    penalty_gradients = tape.gradient(weighted, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    total = [first + second for first, second in zip(gradients, penalty_gradients, strict=True)]
    state.critic_optimizer.apply(total, state.critic.trainable_variables)
    return terms | {"critic_loss": terms["critic_wasserstein"] + weighted, CRITIC_GRADIENTS: _half_squares(total)}


def generator_terms(state: TrainState, config: Config, images: Images, output: tf.Tensor) -> Terms:
    """The generator's terms, per sample: `vgg` and `generator_wasserstein` as the model has them, the others always.

    `zero_share` is the share of the output that is exactly 0; at 1 no gradient reaches the generator.
    """
    normal_dose = images[1]
    terms = {
        "mse": losses.mean_squared_error(normal_dose, output),
        "zero_share": tf.reduce_mean(tf.cast(output == 0.0, tf.float32), axis=[1, 2, 3]),
    }
    if state.vgg is not None:
        terms["vgg"] = losses.mean_squared_error(state.vgg(normal_dose), state.vgg(output))
    if state.critic is not None:
        terms["generator_wasserstein"] = losses.generator_wasserstein(state.critic(output, training=True))
    terms["generator_loss"] = sum(
        weight * terms[name]
        for name, weight in (
            (config.spec.content, config.loss.content_weight if state.critic is not None else 1.0),
            ("generator_wasserstein", 1.0),
        )
        if name in terms
    )
    return terms


def generator_update(state: TrainState, config: Config, images: Images, global_batch: int) -> Terms:
    """One Adam step of the generator on lambda_1 * content - D(G(z)), or on its content term alone."""
    variables = _variables(state.generator)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        output = state.generator(images[0], training=True)
        terms = _means(generator_terms(state, config, images, output), global_batch)
    gradients = tape.gradient(terms["generator_loss"], variables)
    state.generator_optimizer.apply(gradients, state.generator.trainable_variables)
    return terms | {GENERATOR_GRADIENTS: _half_squares(gradients)}


def _variables(model: keras.Model) -> list[tf.Variable]:
    return [variable.value for variable in model.trainable_variables]


def _means(terms: Terms, global_batch: int) -> Terms:
    return {name: tf.reduce_sum(values) / global_batch for name, values in terms.items()}


def _half_squares(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """Finite if and only if every gradient is (short of overflow): the cheapest look at all of them."""
    return tf.add_n([tf.nn.l2_loss(gradient) for gradient in gradients])


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
    """average <- d average + (1 - d) generator, d rising to `decay`: a young average is not one of the start."""
    step = tf.cast(state.step, tf.float32)
    keep = tf.minimum(decay, step / (9.0 + step))
    for average, weight in zip(_variables(state.average), _variables(state.generator), strict=True):
        average.assign(keep * average + (1.0 - keep) * weight)


def build_train_step(
    state: TrainState, config: Config, strategy: tf.distribute.Strategy
) -> Callable[[Images, tuple[Images, ...], tf.Tensor], Terms]:
    """`replica_step` on every replica, as one tf.function that returns means over the global batch.

    Its last argument is this worker's own remark, which comes back as `remarks`, summed over the replicas: so all
    workers learn in the same step that one of them is to stop.
    """

    @tf.function(autograph=False)
    def train_step(images: Images, critic_images: tuple[Images, ...], remark: tf.Tensor) -> Terms:
        step = state.step.read_value()
        terms = strategy.run(
            lambda *batches: replica_step(state, config, step, *batches) | {"remarks": tf.identity(remark)},
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

    The function takes (images, number, remark), `number` being the update's, once a sample; see build_train_step.
    """

    def replica_update(images: Images, number: tf.Tensor, remark: tf.Tensor) -> Terms:
        weights = interpolation_weights(config, "warm-up", number[0], tf.shape(images[0])[0])
        terms = critic_update(state, config, images, weights, config.training.batch_size)
        return terms | {"remarks": tf.identity(remark)}

    @tf.function(autograph=False)
    def update(images: Images, number: tf.Tensor, remark: tf.Tensor) -> Terms:
        terms = strategy.run(lambda *batch: replica_update(*batch, remark), args=(images, number))
        return {name: strategy.reduce("SUM", value, axis=None) for name, value in terms.items()}

    return update
