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


def crop_pairs(pair: Pair, crops: InputConfig, seeds: tf.Tensor) -> Pair:
    """The same crop and flips of both images of each pair, decided by its seed, two int64 of (batch, 2), alone."""
    if not (crops.patch_size or crops.flips):
        return pair

    def crop(low_dose: tf.Tensor, normal_dose: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        both = tf.concat([low_dose, normal_dose], axis=-1)
        shape = crop_shape(crops, (both.shape[0], both.shape[1]))
        if crops.crop == "random" and crops.patch_size:
            both = tf.image.stateless_random_crop(both, [*shape, 2], seed)
        else:
            both = centre_crop(both, shape)
        if crops.flips:
            both = tf.image.stateless_random_flip_left_right(both, seed + 1)
            both = tf.image.stateless_random_flip_up_down(both, seed + 2)
        return both

    both = tf.map_fn(lambda one: crop(*one), (*pair, seeds), fn_output_signature=tf.float32)
    return both[..., :1], both[..., 1:]
