"""The loss terms of the report's section 5.3 and of its relatives, each one value a sample.

Per-sample values let any number of replicas sum their share and divide by the global batch.
Images are (batch, height, width, 1) in [0, 1]; scores are (batch, 1).
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

# Inside the norm's root: its gradient at zero would be NaN.
_EPSILON = 1e-12


def critic_wasserstein(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """-D(x) + D(G(z)), what the critic minimises before the penalty; shape (batch,)."""
    return tf.squeeze(fake_scores - real_scores, axis=-1)


def generator_wasserstein(fake_scores: tf.Tensor) -> tf.Tensor:
    """-D(G(z)), the generator's adversarial term; shape (batch,)."""
    return tf.squeeze(-fake_scores, axis=-1)


def critic_kl(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """-T(x) + exp(T(G(z)) - 1), what a critic T minimises to bound KL(real || fake) from below; shape (batch,).

    Nowozin et al. 2016 (f-GAN), equation 6 with Table 2's conjugate of u log u: f*(t) = exp(t - 1).
    """
    return tf.squeeze(tf.exp(fake_scores - 1.0) - real_scores, axis=-1)


def generator_kl(fake_scores: tf.Tensor) -> tf.Tensor:
    """-exp(T(G(z)) - 1), the generator's term of that bound; shape (batch,)."""
    return tf.squeeze(-tf.exp(fake_scores - 1.0), axis=-1)


@dataclasses.dataclass(frozen=True)
class Distance:
    """What critic and generator minimise for one distance between their images, from scores (batch, 1)."""

    critic: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # of real and fake scores
    generator: Callable[[tf.Tensor], tf.Tensor]  # of fake scores


DISTANCES = {
    "wasserstein": Distance(critic_wasserstein, generator_wasserstein),
    "kl": Distance(critic_kl, generator_kl),
}


def interpolate(real: tf.Tensor, fake: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Points on the lines between pairs: weights * real + (1 - weights) * fake.

    Args:
      real, fake: images (batch, height, width, 1).
      weights: uniform in [0, 1], one a sample: (batch, 1, 1, 1).
    """
    return weights * real + (1.0 - weights) * fake


def gradient_norms(critic: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    """||grad D(x)||_2 of each image, the norm over height, width and channels.

    Args:
      critic: maps images (batch, height, width, 1) to scores (batch, 1), each from its own image.
      images: (batch, height, width, 1).

    Returns:
      Shape (batch,).
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        scores = critic(images)
    gradients = tape.gradient(scores, images)
    return tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=[1, 2, 3]) + _EPSILON)


def gradient_penalty(norms: tf.Tensor) -> tf.Tensor:
    """(||grad D(x)||_2 - 1)^2 from the norms at the interpolated images; shape (batch,), unweighted."""
    return tf.square(norms - 1.0)


def mean_squared_error(truth: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """Mean of squared differences over all but the batch axis; shape (batch,).

    On images this is L_MSE; on features it is L_VGG = 1/(whd) ||VGG(G(z)) - VGG(x)||_F^2.
    """
    return tf.reduce_mean(tf.math.squared_difference(truth, output), axis=list(range(1, len(truth.shape))))
