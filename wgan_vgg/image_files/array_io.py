"""Slices in .npy and .npz files and in LoDoPaB-CT's HDF5 layout."""

import logging
import math
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np

from data_prep import lodopab
from data_prep.geometry import Geometry
from data_prep.hdf5_slices import DATASET, new_images, open_images
from wgan_vgg.errors import InputError, NotAnImage, reason
from wgan_vgg.image_files.label_maps import is_label_map, refuse_label_map
from wgan_vgg.image_files.slices import Options, Slices, StoredScale, check_shape, check_size

logger = logging.getLogger(__name__)


class NpySlices(Slices):
    """(height, width), (slices, height, width) or that with a last axis of 1; read and written slice by slice.

    The values are HU or, with a HU range, fractions of it (whole numbers: of the type's highest value).
    """

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path)
        array = _checked_load(path, "r")
        if not isinstance(array, np.memmap):
            raise InputError(f"{path}: an archive of arrays under the name of one array; rename it to .npz")
        self._array = array
        if self._array.dtype.kind == "b":
            raise NotAnImage(f"{path}: true and false, a mask, no CT image; remove it")
        check_shape(path, stack_shape(self._array.shape), self._array.dtype)
        self._shape = stack_shape(self._array.shape)
        self.count = self._shape[0]
        self._scale = StoredScale.of(self._array.dtype, options.hu_range)
        refuse_label_map(path, (self._stored(index) for index in range(self.count)))

    def read(self, index: int) -> np.ndarray:
        return self._scale.read(self._stored(index), f"{self.path}: slice {index}")

    def _stored(self, index: int) -> np.ndarray:
        """Read and not mapped, where slices are stored one after the other: a map of a file that is cut short kills."""
        if not self._array.flags.c_contiguous:
            return self._array.reshape(self._shape)[index]
        height, width = self._shape[1:]
        offset = self._array.offset + index * height * width * self._array.itemsize
        values = np.fromfile(self.path, self._array.dtype, height * width, offset=offset)
        if values.size < height * width:
            raise InputError(f"{self.path}: slice {index} is cut short; copy the file again")
        return values.reshape(height, width)

    def write(self, index: int, hu: np.ndarray) -> None:  # noqa: ARG002
        self._file.write(self._scale.to_stored(hu).tobytes())

    def _begin(self, partial: Path) -> None:
        # Not a memory map: on a full disk that ends the process.
        self._file = self._stack.enter_context(partial.open("wb"))
        header = {"descr": np.lib.format.dtype_to_descr(self._array.dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._file, header | {"shape": self._array.shape})


class NpzSlices(Slices):
    """The image stacks of an archive, one after the other; its other arrays are copied, and named.

    Image stacks are the largest array that is one by shape, (slices, height, width) or (height, width), both with or
    without a last axis of 1, and no label map; and all other such arrays of the same shape. So an affine matrix, a
    mask, weights of each slice stay what they are.
    """

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path)
        self._arrays = _load_archive(path)
        stacks = {name: array for name, found in self._arrays.items() if (array := _as_stack(found)) is not None}
        for constant in (True, False):  # an image that is nothing but air is one only where there is no other
            found = {name: stack for name, stack in stacks.items() if not is_label_map(stack, if_constant=constant)}
            if found:
                break
        stacks = found
        if not stacks:
            raise NotAnImage(f"{path}: no array of images; expected (slices, height, width) or (height, width)")
        shape = max((stack.shape for stack in stacks.values()), key=math.prod)
        check_shape(path, shape, next(stack.dtype for stack in stacks.values() if stack.shape == shape))
        self._images = {name: stack for name, stack in stacks.items() if stack.shape == shape}
        copied = [name for name in self._arrays if name not in self._images]
        if copied:
            names = [", ".join(map(repr, names)) for names in (self._images, copied)]
            logger.warning("%s: denoised %s; copied as they are, being no such images: %s", path, *names)
        self._scales = {name: StoredScale.of(image.dtype, options.hu_range) for name, image in self._images.items()}
        self._places = [(name, row) for name, image in self._images.items() for row in range(len(image))]
        self.count = len(self._places)

    def read(self, index: int) -> np.ndarray:
        name, row = self._places[index]
        return self._scales[name].read(self._images[name][row], f"{self.path}: slice {row} of {name!r}")

    def write(self, index: int, hu: np.ndarray) -> None:
        name, row = self._places[index]
        self._images[name][row] = self._scales[name].to_stored(hu)  # in place: a slice is read before it is written

    def _end(self, partial: Path) -> None:
        denoised = {name: image.reshape(self._arrays[name].shape) for name, image in self._images.items()}
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:  # numpy.savez refuses some names
            for name, array in (self._arrays | denoised).items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)


class Hdf5Slices(Slices):
    """LoDoPaB-CT's ground-truth layout, in its own range [0, 1]; rows that are zero everywhere are padding.

    Its slices lie transposed, see lodopab.is_transposed; they are read upright, and written as they were.
    """

    def __init__(self, path: Path, options: Options) -> None:  # noqa: ARG002
        super().__init__(path)
        self._transposed = lodopab.is_transposed(path)
        self._dataset = open_images(path)
        self._stack.callback(self._dataset.file.close)
        self.count = len(self._dataset)
        self._scale = StoredScale(lodopab.HU_SLOPE, lodopab.HU_INTERCEPT, self._dataset.dtype)
        self.spacing_mm = 1000 * Geometry().image_side_m / self._dataset.shape[2]
        self._padding: set[int] = set()

    def read(self, index: int) -> np.ndarray:
        try:
            image = self._dataset[index]
        except OSError as error:
            raise InputError(f"{self.path}: slice {index} cannot be read ({error}); copy the file again") from error
        if not image.any():
            self._padding.add(index)
        return self._scale.read(image.T if self._transposed else image, f"{self.path}: slice {index}")

    def write(self, index: int, hu: np.ndarray) -> None:
        if index not in self._padding:
            self._write(index, self._scale.to_stored(hu.T if self._transposed else hu))

    def _begin(self, partial: Path) -> None:
        dataset, file = self._dataset, self._dataset.file
        try:
            attributes = {name: str(value) for name, value in file.attrs.items()}
            lost = sorted({*file, *(f"{DATASET}.{name}" for name in dataset.attrs)} - {DATASET})
        except Exception as error:  # as in open_images
            raise InputError(f"{self.path}: not readable ({reason(error)}); copy it again") from error
        if lost:
            logger.warning("%s: only %r is denoised and written; left out: %s", self.path, DATASET, ", ".join(lost))
        self._write = self._stack.enter_context(new_images(partial, self._dataset.shape, attributes))


def stack_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """An array's shape as (slices, height, width), if it is one of images; else with any number of sides but three."""
    shape = shape[:-1] if len(shape) == 4 and shape[-1] == 1 else shape
    return (1, *shape) if len(shape) == 2 else shape


def _as_stack(array: np.ndarray) -> np.ndarray | None:
    """Numbers as (slices, height, width); None where they cannot be that."""
    shape = stack_shape(array.shape)
    return array.reshape(shape) if len(shape) == 3 and 0 not in shape and array.dtype.kind in "iuf" else None


def _checked_load(path: Path, mmap_mode: Literal["r"] | None = None) -> "np.ndarray | np.lib.npyio.NpzFile":
    try:
        return np.load(path, mmap_mode, allow_pickle=False)
    except Exception as error:  # numpy and zipfile raise many kinds for a wrong or a hostile file
        raise InputError(
            f"{path}: not an array of numbers ({reason(error)}); write it with numpy.save or savez"
        ) from error


def _load_archive(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        check_size(path, sum(member.file_size for member in members))
        opened = _checked_load(path)
        if isinstance(opened, np.ndarray):
            raise InputError(f"{path}: one array under the name of an archive; rename it to .npy")
        with opened as arrays:
            loaded = {name: arrays[name] for name in arrays.files}
    except InputError:
        raise
    except Exception as error:  # as above, and for what is encrypted, packed in another way or lies about its size
        raise InputError(f"{path}: not an archive of arrays ({reason(error)}); copy it again") from error
    others = [name for name, array in loaded.items() if not isinstance(array, np.ndarray)]
    if others:
        raise InputError(f"{path}: {others[0]!r} in it is no array; write it with numpy.savez")
    return loaded
