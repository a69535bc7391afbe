"""Endless shuffled batches of patches, whose order depends only on the seed and the position."""

import numpy as np
import tensorflow as tf

from wgan_vgg.config import InputConfig
from wgan_vgg.crops import Pair, crop_corners, crop_shape, flip_pairs
from wgan_vgg.shares import Share
from wgan_vgg.split_images import SplitImages

_SHUFFLED = 2**20  # patches among which the next one is drawn; their numbers take 8 bytes each


def shuffled_batches(
    images: SplitImages,
    image_shape: tuple[int, int],
    numbers: np.ndarray,
    batch_size: int,
    crops: InputConfig,
    seed: int,
    start: int,
    share: Share,
) -> tf.data.Dataset:
    """(low_dose, normal_dose) batches, each float32 (batch, height, width, 1); arguments as of DataSet.batches, and:

    Args:
      images: those of the split.
      image_shape: their height and width.
      numbers: of the patches of one pass, as DataSet.patches gives them; a last batch that is not whole is left out.
    """
    shape, size = crop_shape(crops, image_shape), len(numbers)

    def one_pass(number: tf.Tensor) -> tf.data.Dataset:
        shuffled = tf.data.Dataset.from_tensor_slices(numbers).shuffle(
            min(size, _SHUFFLED), seed=number + seed, reshuffle_each_iteration=False
        )
        return shuffled.batch(batch_size, drop_remainder=True).map(lambda patches: (number + seed, patches))

    def take(number: tf.Tensor, patches: tf.Tensor) -> Pair:
        patches = share.take(patches)
        seeds = tf.stack([tf.fill(patches.shape, number), patches], axis=1)
        corners = crop_corners(crops, image_shape, seeds)
        pair = images.patches(patches // crops.patches_per_image, corners, shape)
        return flip_pairs(pair, seeds) if crops.flips else pair

    passes = tf.data.Dataset.counter(start // (size // batch_size))
    batches = passes.flat_map(one_pass).skip(start % (size // batch_size))
    options = tf.data.Options()
    # Its thread sleeps for up to a minute, and an iterator's end waits for it.
    options.autotune.enabled = False
    taken = batches.map(take, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE).with_options(options)
    taken.images = images  # held by whoever iterates, see SplitImages.patches
    return taken
