"""What one host reads of each global batch."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Share:
    """`count` of `of` equal parts of a batch, from the part `first` on."""

    first: int
    count: int
    of: int

    def take(self, batch: tf.Tensor) -> tf.Tensor:
        """These parts of a whole batch, whose size is known and divides by `of`."""
        each = batch.shape[0] // self.of
        return batch[self.first * each : (self.first + self.count) * each]


WHOLE = Share(0, 1, 1)
