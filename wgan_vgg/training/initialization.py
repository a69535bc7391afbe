"""What happens before a run's first step: a generator that is not black, and critic warm-up."""

import functools
import logging
from collections.abc import Callable, Iterator

import tensorflow as tf

from wgan_vgg import models
from wgan_vgg.config import Config
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.seeds import derive
from wgan_vgg.training.batches import warmup_batches
from wgan_vgg.training.distribute import distributed
from wgan_vgg.training.gradients import Terms
from wgan_vgg.training.state import TrainState
from wgan_vgg.training.train_step import build_critic_warmup

logger = logging.getLogger(__name__)


def initialize_generator(state: TrainState, config: Config, low_dose: tf.Tensor) -> list[float]:
    """Draws the generator's weights anew until its first output is not black (report 6.2, note).

    Acceptable: mean G(z) is at least `training.init_mean_ratio` of mean z on the first batch.

    Returns:
      Mean G(z) of each start that was tried; after `training.init_tries` the last one stands, with a warning.
    """
    least = config.training.init_mean_ratio * float(tf.reduce_mean(low_dose))
    means: list[float] = []
    given = config.training.init_from is not None  # the weights are what was asked for, however dark
    for number in range(1, 2 if given else config.training.init_tries + 1):
        if number > 1:
            fresh = models.build_generator(config.generator, derive(config.seed, "start", number))
            state.generator.set_weights(fresh.get_weights())
        means.append(float(tf.reduce_mean(state.generator(low_dose))))
        if means[-1] >= least:
            break
    else:
        logger.warning("no start of %d gave mean G(z) >= %.4f; going on with %.4f", number, least, means[-1])
    if state.average is not None:
        state.average.set_weights(state.generator.get_weights())
    return means


def warm_up_critic(
    state: TrainState,
    config: Config,
    data: DataSet,
    strategy: tf.distribute.Strategy,
    stop_flag: Callable[[], float] = lambda: 0.0,
) -> Iterator[tuple[int, int, Terms]]:
    """Trains the critic alone for `training.critic_warmup_steps` updates, each on a batch of its own.

    Yields:
      After each update: its number from 1, how many there will be, its terms.
    """
    count = config.in_steps("training.critic_warmup_", data.size("train"))
    if state.critic is None or not count:
        return
    update = build_critic_warmup(state, config, strategy)
    batches = distributed(functools.partial(warmup_batches, config, data, count), strategy)
    for done, (images, number) in enumerate(batches, start=1):
        yield done, count, update(images, number, tf.constant(stop_flag()))
