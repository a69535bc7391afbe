"""The images of a split, of which patches are taken: in memory, or on the disk, of which only the patches are read."""

import abc
import os
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_prep.pixel_ranges import pixel_positions
from wgan_vgg.crops import Pair
from wgan_vgg.errors import InputError


class SplitImages(abc.ABC):
    """Numbered in the order of conversion.

    `failure` is why a patch could not be read: TensorFlow raises an error of its own in its place.
    """

    failure: InputError | None = None

    @abc.abstractmethod
    def _rows(self, index: int, top: int, height: int) -> Sequence[np.ndarray]:
        """`height` whole rows, from `top` on, of the low-dose and of the normal-dose image `index`."""

    @tf.autograph.experimental.do_not_convert  # its loop is Python's
    def patches(self, indices: tf.Tensor, corners: tf.Tensor, shape: tuple[int, int]) -> Pair:
        """What has `shape` and begins at `corners`, int64 (batch, 2), of the images `indices`, int64 (batch,).

        Whoever iterates over them must also hold the images: TensorFlow keeps each Python function for ever, so that
        the one here does not.
        """
        held = weakref.ref(self)

        def take(indices: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            images = held()
            if images is None:
                raise RuntimeError("the images are gone")
            try:
                low_dose, normal_dose = images._take(indices, corners, shape)[..., None]
            except InputError as error:
                images.failure = error
                raise
            return low_dose, normal_dose

        low_dose, normal_dose = tf.numpy_function(take, [indices, corners], [tf.float32] * 2, stateful=False)
        for part in (low_dose, normal_dose):
            part.set_shape([*indices.shape, *shape, 1])
        return low_dose, normal_dose

    def _take(self, indices: np.ndarray, corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Patches of both doses: float32 (2, batch, height, width)."""
        both = np.empty((2, len(indices), *shape), np.float32)
        for place, (index, (top, left)) in enumerate(zip(indices.tolist(), corners.tolist(), strict=True)):
            for patches, rows in zip(both, self._rows(index, top, shape[0]), strict=True):
                patches[place] = rows[:, left : left + shape[1]]
        return both


class ImagesOnDisk(SplitImages):
    """A split's shards, of which only the rows of each patch are read; past the records' own checksums."""

    def __init__(self, paths: Sequence[Path], image_shape: tuple[int, int]) -> None:
        """Finds where the pixels are.

        Raises:
          InputError: records that this version has not written, see pixel_positions.
        """
        self._paths, self._image_shape, self._row_bytes = paths, image_shape, 4 * image_shape[1]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self._positions = list(pool.map(lambda path: pixel_positions(path, image_shape), paths))

    def _rows(self, index: int, top: int, height: int) -> Sequence[np.ndarray]:
        place, shard = divmod(index, len(self._paths))  # conversion dealt the records to the shards in turn
        start, count = top * self._row_bytes, height * self._row_bytes
        try:
            with self._paths[shard].open("rb", buffering=0) as file:
                read = [os.pread(file.fileno(), count, int(first) + start) for first in self._positions[shard][place]]
        except OSError as error:
            path, why = self._paths[shard], error.strerror
            raise InputError(f"{path}: cannot be read ({why}); restore it, and rerun to resume") from error
        if any(len(rows) < count for rows in read):
            raise self._shorter(shard)
        return [np.frombuffer(rows, "<f4").reshape(height, -1) for rows in read]

    def all(self) -> np.ndarray:
        """Every image of both doses: float32 (2, images, height, width)."""
        both = np.empty((2, sum(len(positions) for positions in self._positions), *self._image_shape), "<f4")

        def read(shard: int) -> None:
            with self._paths[shard].open("rb", buffering=0) as file:
                for place, firsts in enumerate(self._positions[shard]):
                    for images, first in zip(both, firsts, strict=True):
                        image = images[place * len(self._paths) + shard]
                        if os.preadv(file.fileno(), [image], int(first)) < image.nbytes:
                            raise self._shorter(shard)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(read, range(len(self._paths))))
        return both

    def _shorter(self, shard: int) -> InputError:
        return InputError(f"{self._paths[shard]}: became shorter while it was read; prepare the data again")


class ImagesInMemory(SplitImages):
    """NumPy's, not TensorFlow's: what a graph holds is copied, and is written out when the graph is rewritten."""

    def __init__(self, stored: ImagesOnDisk) -> None:
        """Reads all images that are stored."""
        self._both = stored.all()

    def _take(self, indices: np.ndarray, corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        whole = shape == self._both.shape[2:]
        return self._both[:, indices] if whole else super()._take(indices, corners, shape)

    def _rows(self, index: int, top: int, height: int) -> Sequence[np.ndarray]:
        return [images[index, top : top + height] for images in self._both]
