"""What training takes of each image: patches, mirrored or not, the same of both doses."""

import tensorflow as tf

from wgan_vgg.config import InputConfig
from wgan_vgg.errors import InputError

Pair = tuple[tf.Tensor, tf.Tensor]  # low_dose, normal_dose: float32 (batch, height, width, 1)


def crop_shape(crops: InputConfig, image_shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width of what is taken of each image.

    Raises:
      InputError: the images are smaller than a patch.
    """
    if crops.patch_size > min(image_shape):
        raise InputError(
            f"input.patch_size={crops.patch_size}: the images are {image_shape[0]}x{image_shape[1]}; take "
            f"{min(image_shape)} or less"
        )
    return (crops.patch_size, crops.patch_size) if crops.patch_size else image_shape


def centre_crop(images: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
    """The middle of images (..., height, width, channels), of the given height and width."""
    top, left = ((images.shape[axis] - side) // 2 for axis, side in zip((-3, -2), shape, strict=True))
    return images[..., top : top + shape[0], left : left + shape[1], :]


def crop_corners(crops: InputConfig, image_shape: tuple[int, int], seeds: tf.Tensor) -> tf.Tensor:
    """Row and column, int64 (batch, 2), of the first pixel taken of each image, decided by its seed, int64 (batch, 2).

    Those of tf.image.stateless_random_crop, which draws a third number, for the channels.
    """
    free = [side - taken for side, taken in zip(image_shape, crop_shape(crops, image_shape), strict=True)]
    if crops.crop == "centre":
        return tf.broadcast_to(tf.constant([pixels // 2 for pixels in free], tf.int64), tf.shape(seeds))
    if not any(free):
        return tf.zeros_like(seeds)

    def corner(seed: tf.Tensor) -> tf.Tensor:
        drawn = tf.random.stateless_uniform([3], seed, maxval=tf.int32.max, dtype=tf.int32)
        return tf.cast(drawn[:2] % tf.constant([pixels + 1 for pixels in free]), tf.int64)

    return tf.map_fn(corner, seeds)


def flip_pairs(pair: Pair, seeds: tf.Tensor) -> Pair:
    """Mirrors both images of each pair alike, left-right and up-down, as its seed, int64 (batch, 2), decides."""

    def flip(low_dose: tf.Tensor, normal_dose: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        both = tf.concat([low_dose, normal_dose], axis=-1)
        both = tf.image.stateless_random_flip_left_right(both, seed + 1)
        return tf.image.stateless_random_flip_up_down(both, seed + 2)

    both = tf.map_fn(lambda one: flip(*one), (*pair, seeds), fn_output_signature=tf.float32)
    return both[..., :1], both[..., 1:]
