"""Making images larger and cutting them back, at any size that comes.

Of Keras's own operations alone: a .keras file of a generator needs nothing of this project, and all formats of export
have them. Images are (batch, height, width, channels).
"""

import keras
from keras import ops


def repeat_border(images: keras.KerasTensor) -> keras.KerasTensor:
    """Images one pixel larger on every side, by repeating their border pixels."""
    # Mirroring one pixel is repeating it; so images of any size allow it.
    return ops.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="symmetric")


def widen_to_multiple(images: keras.KerasTensor, multiple: int) -> keras.KerasTensor:
    """Images whose sides are the next multiples, their last rows and columns being repeated."""
    for axis in (1, 2):
        ones = _ones_along(images, axis)
        blocks = ops.average_pool(ops.pad(ones, [[0, 0], [0, multiple - 1], [0, 0]]), multiple, multiple)
        positions = _positions(ops.repeat(ops.ones_like(blocks), multiple, axis=1))
        images = ops.take(images, ops.minimum(positions, ops.max(_positions(ones))), axis=axis)
    return images


def cut_to(images: keras.KerasTensor, like: keras.KerasTensor) -> keras.KerasTensor:
    """The upper left part of images, as large as those of `like`."""
    for axis in (1, 2):
        images = ops.take(images, _positions(_ones_along(like, axis)), axis=axis)
    return images


def _ones_along(images: keras.KerasTensor, axis: int) -> keras.KerasTensor:
    """(1, side, 1) ones."""
    others = tuple(number for number in range(4) if number != axis)
    return ops.reshape(ops.sum(ops.zeros_like(images), axis=others) + 1.0, (1, -1, 1))


def _positions(ones: keras.KerasTensor) -> keras.KerasTensor:
    """(1, side, 1) ones as the numbers 0, 1, 2 ... of shape (side,)."""
    return ops.cast(ops.cumsum(ops.reshape(ones, (-1,))) - 1.0, "int32")
