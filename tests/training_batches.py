"""Batches of the training split as bytes, to be compared."""

import itertools

from wgan_vgg.config import InputConfig
from wgan_vgg.input_pipeline import DataSet


def batches(data_dir, count, start=0, seed=3, batch_size=8, dose=1, **values):
    """The bytes of each image of some batches of the training split's 24 images, in order."""
    found = DataSet.open(data_dir).batches("train", batch_size, seed, start, InputConfig(**values)).take(count)
    return [[image.tobytes() for image in images[dose].numpy()] for images in found]


def flat(found):
    return list(itertools.chain(*found))
