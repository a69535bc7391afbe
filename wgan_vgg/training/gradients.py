"""The losses of critic and generator, and their gradients (report 5.3; paper, Algorithm 1).

All see one replica's share of a batch and return sums divided by the global batch, so that adding them over
replicas gives the mean over the whole batch.
"""

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from wgan_vgg import losses
from wgan_vgg.config import Config
from wgan_vgg.crops import centre_crop
from wgan_vgg.training.adam import ScaledAdam
from wgan_vgg.training.content import CONTENT, Patches
from wgan_vgg.training.state import TrainState

Images = tuple[tf.Tensor, tf.Tensor]  # low_dose, normal_dose: (batch, height, width, 1)
Terms = dict[str, tf.Tensor]
Update = tuple[list[tf.Tensor], Terms]  # the gradients of a network's variables, and the terms beside them
# Terms that are there to be checked only: half the squared gradients of a network, each replica's own share, scaled.
CRITIC_GRADIENTS, GENERATOR_GRADIENTS = "critic_gradients", "generator_gradients"


def generated(state: TrainState, images: Images, *, training: bool) -> Patches:
    """The images with the generator's output for the low-dose ones, all of the output's size.

    With "valid" convolutions that is the middle of the patches.
    """
    fake = state.patch_generator(images[0], training=training)
    low_dose, real = (centre_crop(part, (fake.shape[1], fake.shape[2])) for part in images)
    return Patches(low_dose, real, fake)


def critic_terms(critic: keras.Model, distance: str, patches: Patches) -> Terms:
    """The critic's scores, per sample, from one pass over real and fake images together."""
    both = tf.concat([patches.real, patches.fake], axis=0)
    real_scores, fake_scores = tf.split(critic(both, training=True), 2)
    return {
        f"critic_{distance}": losses.DISTANCES[distance].critic(real_scores, fake_scores),
        "real_score": tf.squeeze(real_scores, -1),
        "fake_score": tf.squeeze(fake_scores, -1),
    }


def _maybe_jit(function: Callable[..., Update]) -> Callable[..., Update]:
    """The function, or as XLA compiles it. Sums over replicas, which XLA cannot compile on GPUs, stay outside."""
    # One for each state, released with it: a compiled function keeps the variables of all states it was called with.
    compiled: weakref.WeakKeyDictionary[TrainState, Callable[..., Update]] = weakref.WeakKeyDictionary()

    @functools.wraps(function)
    def chosen(state: TrainState, config: Config, *arguments: Any) -> Update:
        if not config.training.xla:
            return function(state, config, *arguments)
        if state not in compiled:
            compiled[state] = tf.function(function, autograph=False, jit_compile=True)
        return compiled[state](state, config, *arguments)

    return chosen


@_maybe_jit
def critic_gradients(
    state: TrainState, config: Config, images: Images, weights: tf.Tensor, global_batch: int
) -> Update:
    """Gradients of -D(x) + D(G(z)), or of another distance's term, + lambda * gradient_penalty.

    Two tapes, whose gradients are added by hand: with the critic's variables used three times under one
    tape, the order of the sums, and so the last bits, differ from process to process.

    Args:
      state: its networks.
      config: for the penalty's weight.
      images: this replica's share of the batch.
      weights: interpolation weights (batch, 1, 1, 1).
      global_batch: images over all replicas.

    Returns:
      This replica's share of the gradients, which are of the loss as the optimizer scales it, and of the mean terms.
    """
    patches, critic, distance = generated(state, images, training=True), state.critic, config.spec.distance
    optimizer = state.critic_optimizer
    assert critic is not None and distance is not None and optimizer is not None, (
        "only a model that has a critic updates it"
    )
    adversarial = f"critic_{distance}"
    variables = trainable(critic)
    with tf.GradientTape() as tape:
        terms = _means(critic_terms(critic, distance, patches), global_batch)
        scaled = optimizer.scale_loss(terms[adversarial])
    gradients = tape.gradient(scaled, variables)
    with tf.GradientTape() as tape:
        norms = losses.gradient_norms(critic, losses.interpolate(patches.real, patches.fake, weights))
        penalty = {"gradient_penalty": losses.gradient_penalty(norms), "gradient_norm": norms}
        terms |= _means(penalty, global_batch)
        weighted = config.loss.gradient_penalty_weight * terms["gradient_penalty"]
        scaled = optimizer.scale_loss(weighted)
    # The last bias does not change the penalty; its gradient would be None.
    penalty_gradients = tape.gradient(scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    total = [first + second for first, second in zip(gradients, penalty_gradients, strict=True)]
    return total, terms | {
        "critic_loss": terms[adversarial] + weighted,
        CRITIC_GRADIENTS: _half_squares(total, optimizer),
    }


def generator_terms(state: TrainState, config: Config, patches: Patches, *, paired: bool) -> Terms:
    """The generator's terms, per sample: those that the model has, `zero_share`, and of `paired` images `mse`.

    `zero_share` is the share of the output that is exactly 0; at 1 no gradient reaches the generator.
    """
    spec = config.spec
    shown = dict.fromkeys([*(["mse"] if paired else []), *([spec.content] if spec.content else [])])
    terms = {name: CONTENT[name](patches, state.vgg) for name in shown}
    terms["zero_share"] = tf.reduce_mean(tf.cast(patches.fake == 0.0, tf.float32), axis=[1, 2, 3])
    if state.critic is not None and spec.distance is not None:
        scores = state.critic(patches.fake, training=True)
        terms[f"generator_{spec.distance}"] = losses.DISTANCES[spec.distance].generator(scores)
    terms["generator_loss"] = sum(weighted_terms(config, terms).values())
    return terms


def weighted_terms(config: Config, terms: Terms) -> Terms:
    """The terms that the generator's loss is the sum of: lambda_1 * content and the critic's, or content alone."""
    content_weight = config.loss.content_weight if config.spec.adversarial else 1.0
    weights = {config.spec.content: content_weight, f"generator_{config.spec.distance}": 1.0}
    return {name: weight * terms[name] for name, weight in weights.items() if name in terms}


@_maybe_jit
def generator_gradients(state: TrainState, config: Config, images: Images, global_batch: int) -> Update:
    """Gradients of lambda_1 * content - D(G(z)), or of the content term alone, as critic_gradients returns them."""
    variables = trainable(state.generator)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        patches = generated(state, images, training=True)
        terms = _means(generator_terms(state, config, patches, paired=config.spec.paired), global_batch)
        scaled = state.generator_optimizer.scale_loss(terms["generator_loss"])
    gradients = tape.gradient(scaled, variables)
    return gradients, terms | {GENERATOR_GRADIENTS: _half_squares(gradients, state.generator_optimizer)}


def trainable(model: keras.Model) -> list[tf.Variable]:
    """TensorFlow's own variables, which a tape can watch."""
    return [variable.value for variable in model.trainable_variables]


def _means(terms: Terms, global_batch: int) -> Terms:
    return {name: tf.reduce_sum(values) / global_batch for name, values in terms.items()}


def _half_squares(gradients: Sequence[tf.Tensor], optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """Finite if and only if every gradient is (short of overflow), or the step is skipped: the cheapest check."""
    squares = tf.add_n([tf.nn.l2_loss(gradient) for gradient in gradients])
    return optimizer.excused(squares) if isinstance(optimizer, ScaledAdam) else squares
