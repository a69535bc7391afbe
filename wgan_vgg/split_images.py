"""The images of a split, of which patches are taken: in memory, or on the disk, of which only the patches are read."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf

from data_prep.pixel_ranges import pixel_positions
from wgan_vgg.crops import Pair
from wgan_vgg.errors import InputError


class SplitImages(Protocol):
    """Numbered in the order of conversion."""

    def patches(self, indices: tf.Tensor, corners: tf.Tensor, shape: tuple[int, int]) -> Pair:
        """What has `shape` and begins at `corners`, int64 (batch, 2), of the images `indices`, int64 (batch,)."""


class ImagesInMemory:
    """Two float32 tensors (images, height, width, 1)."""

    def __init__(self, pairs: tf.data.Dataset) -> None:
        """Reads all of `pairs`, (low_dose, normal_dose) batches in the order of conversion."""
        doses: tuple[list[tf.Tensor], list[tf.Tensor]] = ([], [])
        for pair in pairs:
            for parts, images in zip(doses, pair, strict=True):
                parts.append(images)
        self._pair = []
        for parts in doses:
            self._pair.append(tf.concat(parts, axis=0))
            parts.clear()  # bounds peak memory

    def patches(self, indices: tf.Tensor, corners: tf.Tensor, shape: tuple[int, int]) -> Pair:
        """See SplitImages."""
        low_dose, normal_dose = (self._of(images, indices, corners, shape) for images in self._pair)
        return low_dose, normal_dose

    @staticmethod
    def _of(images: tf.Tensor, indices: tf.Tensor, corners: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
        if tuple(images.shape[1:3]) == shape:
            return tf.gather(images, indices)
        begins = tf.pad(tf.concat([indices[:, None], corners], axis=1), [[0, 0], [0, 1]])
        return tf.map_fn(lambda at: tf.slice(images, at, [1, *shape, 1])[0], begins, fn_output_signature=images.dtype)


class ImagesOnDisk:
    """A split's shards, of which only the rows of each patch are read; past the records' own checksums."""

    def __init__(self, paths: Sequence[Path], image_shape: tuple[int, int]) -> None:
        """Finds where the pixels are.

        Raises:
          InputError: records that this version has not written, see pixel_positions.
        """
        self._paths, self._image_shape = paths, image_shape
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self._positions = list(pool.map(lambda path: pixel_positions(path, image_shape), paths))

    def patches(self, indices: tf.Tensor, corners: tf.Tensor, shape: tuple[int, int]) -> Pair:
        """See SplitImages."""

        def read(indices: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            both = np.empty((2, len(indices), *shape, 1), np.float32)
            for place, (index, (top, left)) in enumerate(zip(indices.tolist(), corners.tolist(), strict=True)):
                for image, rows in zip(both, self._rows(index, top, shape[0]), strict=True):
                    image[place, ..., 0] = rows[:, left : left + shape[1]]
            return both[0], both[1]

        low_dose, normal_dose = tf.numpy_function(read, [indices, corners], [tf.float32] * 2, stateful=False)
        for part in (low_dose, normal_dose):
            part.set_shape([*indices.shape, *shape, 1])
        return low_dose, normal_dose

    def _rows(self, index: int, top: int, height: int) -> list[np.ndarray]:
        """`height` whole rows of both images of a record: conversion dealt the records to the shards in turn."""
        place, shard = divmod(index, len(self._paths))
        row_bytes = 4 * self._image_shape[1]
        with self._paths[shard].open("rb", buffering=0) as file:
            read = [
                os.pread(file.fileno(), height * row_bytes, int(first) + top * row_bytes)
                for first in self._positions[shard][place]
            ]
        if any(len(rows) < height * row_bytes for rows in read):
            raise InputError(f"{self._paths[shard]}: became shorter while it was read; prepare the data again")
        return [np.frombuffer(rows, "<f4").reshape(height, -1) for rows in read]
