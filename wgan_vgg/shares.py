"""What one host reads of each global batch."""

import dataclasses

import tensorflow as tf

from wgan_vgg.errors import InputError


@dataclasses.dataclass(frozen=True)
class Share:
    """`count` of `of` equal parts of a batch, from the part `first` on."""

    first: int
    count: int
    of: int

    def take(self, batch: tf.Tensor) -> tf.Tensor:
        """These parts of a whole batch of known size.

        Raises:
          InputError: it does not divide by `of`.
        """
        each, rest = divmod(batch.shape[0], self.of)
        if rest:
            raise InputError(f"batch of {batch.shape[0]}: does not divide over {self.of} replicas")
        return batch[self.first * each : (self.first + self.count) * each]


WHOLE = Share(0, 1, 1)
