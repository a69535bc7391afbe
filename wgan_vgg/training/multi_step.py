"""Several training steps in one call, without Python between them."""

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from wgan_vgg.training.gradients import Terms

# On one device only: with two, TensorFlow 2.21 returns an empty list of results from tf.map_fn, and hangs in a
# tf.while_loop around strategy.run. At most this many: every tenth step's terms are read and checked before the next.
MAX_STEPS_PER_CALL = 10


def build_train_steps(
    train_step: Callable[..., Terms],
) -> Callable[[Iterator[Any], int, tf.Tensor], Terms]:
    """`train_step` (see build_train_step) a number of times on the next batches of an iterator.

    The function takes (batches, count, stop_flag) and returns each term of each step: shape (count,).
    """
    names: list[str] = []  # of the terms, known once a step was traced

    @tf.function(autograph=False)
    def several(batches: Iterator[Any], count: tf.Tensor, stop_flag: tf.Tensor) -> tf.Tensor:
        def one(_: tf.Tensor) -> tf.Tensor:
            terms = train_step(*next(batches), stop_flag)
            names[:] = terms
            return tf.stack(list(terms.values()))

        return tf.map_fn(one, tf.range(count), fn_output_signature=tf.float32, parallel_iterations=1)

    def train_steps(batches: Iterator[Any], count: int, stop_flag: tf.Tensor) -> Terms:
        if count == 1:
            return {name: value[tf.newaxis] for name, value in train_step(*next(batches), stop_flag).items()}
        columns = tf.unstack(several(batches, tf.constant(count), stop_flag), axis=1)
        return dict(zip(names, columns, strict=True))

    return train_steps
