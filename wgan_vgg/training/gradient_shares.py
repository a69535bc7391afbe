"""How much of the generator's gradient each term of its loss has: what a weight such as lambda_1 really weighs."""

from collections.abc import Callable

import tensorflow as tf

from wgan_vgg.config import Config
from wgan_vgg.training.gradients import Images, generated, generator_terms, trainable, weighted_terms
from wgan_vgg.training.state import TrainState


def build_gradient_shares(state: TrainState, config: Config) -> Callable[[Images], dict[str, tf.Tensor]] | None:
    """A tf.function from images to each term's share; None for a model whose loss has one term only.

    The share is the norm of the weighted term's gradient with respect to all of the generator's weights, divided by
    the sum of these norms: .5 and .5 where both pull equally, .999 and .001 where the second one has no effect.
    """
    if not (config.spec.adversarial and config.spec.content):
        return None

    @tf.function(autograph=False, reduce_retracing=True)
    def shares(images: Images) -> dict[str, tf.Tensor]:
        variables = trainable(state.generator)
        with tf.GradientTape(persistent=True) as tape:
            patches = generated(state, images, training=True)
            terms = generator_terms(state, config, patches, paired=config.spec.paired)
            terms = weighted_terms(config, terms)
            scaled = state.generator_optimizer.scale_loss
            means = {name: scaled(tf.reduce_mean(values)) for name, values in terms.items()}
        norms = {name: tf.linalg.global_norm(tape.gradient(mean, variables)) for name, mean in means.items()}
        total = tf.maximum(tf.add_n(list(norms.values())), tf.constant(1e-30))
        return {name: norm / total for name, norm in norms.items()}

    return shares
