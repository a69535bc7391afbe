"""Learning rates over a run: functions of the step alone, so that a resumed run needs no state of theirs."""

import math

import keras
import tensorflow as tf

from wgan_vgg.config import Config


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A network's learning rate at one of its optimizer's updates.

    With s the step (generator updates so far), w the warm-up and T the run's length: rate * min(1, (s + 1) / w) * f(s),
    where f is 1 ("constant"), (1 + cos(pi s / T)) / 2 ("cosine") or decay_factor ^ floor(s / decay) ("step"). Updates
    before the first step have f(0) and no warm-up.
    """

    def __init__(
        self, config: Config, rate: float, num_train: int, updates_per_step: int = 1, updates_before: int = 0
    ) -> None:
        """Of a network updated `updates_before` times before the first step, then `updates_per_step` times a step."""
        self._rate = rate
        self._updates = (updates_per_step, updates_before)
        self._kind, self._factor = config.optimizer.schedule, config.optimizer.decay_factor
        self._total = config.total_steps(num_train)
        self._decay = config.in_steps("optimizer.decay_", num_train)
        self._warmup = config.in_steps("optimizer.warmup_", num_train) or 1

    def __call__(self, update: tf.Tensor) -> tf.Tensor:
        """The rate, float32, of the `update`-th update from 0."""
        per_step, before = self._updates
        since = tf.cast(update, tf.int64) - before
        step = tf.cast(tf.maximum(since, 0) // per_step, tf.float32)
        rate = self._rate * tf.where(since < 0, 1.0, tf.minimum(1.0, (step + 1.0) / self._warmup))
        if self._kind == "cosine":
            rate *= 0.5 + 0.5 * tf.cos(math.pi * tf.minimum(1.0, step / self._total))
        elif self._kind == "step":
            rate *= self._factor ** tf.floor(step / self._decay)
        return rate
