"""What each update of a run is made on: streams of global batches that depend only on the seed and the step."""

import tensorflow as tf

from wgan_vgg.config import Config
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.seeds import derive
from wgan_vgg.shares import WHOLE, Share
from wgan_vgg.training.unpaired import disjoint_patients

_HALVES = "unpaired patients"  # the purpose of a seed


def stream(config: Config, data: DataSet, purpose: str, start: int = 0, share: Share = WHOLE) -> tf.data.Dataset:
    """Endless (low_dose, normal_dose) batches, or shares of them, of a stream of its own, from its `start`-th on.

    Of a model that trains unpaired the two are other patients', each drawn by itself.
    """
    seed, size = derive(config.seed, purpose), config.training.batch_size
    if config.spec.paired:
        return data.batches("train", size, seed, start, config.input, share=share)
    low_dose, normal_dose = (
        data.batches("train", size, derive(seed, dose), start, config.input, among, share)
        for dose, among in enumerate(disjoint_patients(data, derive(config.seed, _HALVES)))
    )
    return tf.data.Dataset.zip(low_dose, normal_dose).map(lambda one, other: (one[0], other[1]))


def check_batches(config: Config, data: DataSet) -> None:
    """Raises InputError where a run has too few patches for a batch or patients for its halves; reads no image."""
    halves = (None,) if config.spec.paired else disjoint_patients(data, derive(config.seed, _HALVES))
    for among in halves:
        data.patches("train", config.training.batch_size, config.input, among)


def generator_batches(config: Config, data: DataSet, start: int, share: Share = WHOLE) -> tf.data.Dataset:
    """The generator's batch of each step, from step `start` on."""
    return stream(config, data, "generator batches", start, share)


def training_batches(config: Config, data: DataSet, start: int, share: Share = WHOLE) -> tf.data.Dataset:
    """What each step takes, from `start` on: the generator's batch, and fresh ones for critic updates if so configured.

    The critic's batches come from a stream of their own, so that an epoch stays one pass of generator updates.
    """
    images = generator_batches(config, data, start, share)
    count = config.training.critic_steps
    if not (config.spec.adversarial and config.training.fresh_critic_batches):
        return images.map(lambda *pair: (pair, ()))
    grouped = stream(config, data, "critic batches", start * count, share).batch(count)
    grouped = grouped.map(lambda low_dose, normal_dose: tuple((low_dose[i], normal_dose[i]) for i in range(count)))
    return tf.data.Dataset.zip(images, grouped)


def warmup_batches(config: Config, data: DataSet, count: int, share: Share = WHOLE) -> tf.data.Dataset:
    """(batch, number) of the critic's `count` updates before the first step; every replica gets its number, too."""
    numbers = tf.data.Dataset.range(count).map(lambda number: share.take(tf.fill([config.training.batch_size], number)))
    return tf.data.Dataset.zip(stream(config, data, "critic warm-up", share=share), numbers)
