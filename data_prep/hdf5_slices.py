"""One HDF5 file of slices in LoDoPaB-CT's form: validated when opened, and written so that a full disk does no harm."""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from data_prep.errors import InputError, reason

DATASET = "data"
# No CT has larger slices; a header that claims more is refused before it can exhaust the memory.
MAX_SIDE = 8192
MAX_SLICES = 1_000_000  # in one file


def open_images(path: Path) -> h5py.Dataset:
    """Opens dataset `data` of a ground-truth file after checking all that a hostile or broken header can say.

    Returns:
      float32 dataset (slices, height, width); close it through `.file.close()`.

    Raises:
      InputError: not HDF5, truncated, no `data`, wrong dtype or shape, external or virtual storage.
    """
    with contextlib.ExitStack() as stack:
        try:
            dataset = _checked_dataset(stack.enter_context(h5py.File(path, "r")), path)
        except InputError:
            raise
        except Exception as error:  # h5py raises many kinds for a damaged file
            raise InputError(
                f"{path}: not a readable HDF5 file ({reason(error)}); copy or download it again"
            ) from error
        stack.pop_all()
        return dataset


def _checked_dataset(file: h5py.File, path: Path) -> h5py.Dataset:
    if not isinstance(file.get(DATASET, getlink=True), h5py.HardLink):
        raise InputError(
            f"{path}: expected a dataset '{DATASET}' stored in the file, got {sorted(file) or 'nothing'}; remove it"
        )
    dataset = file[DATASET]
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{path}: '{DATASET}' is a group; expected a dataset of float32 (slices, height, width)")
    if dataset.is_virtual or dataset.external:
        raise InputError(f"{path}: '{DATASET}' points to other files (external or virtual storage); copy it whole")
    if dataset.dtype != np.float32:
        raise InputError(f"{path}: '{DATASET}' has dtype {dataset.dtype}, expected float32 in [0, 1]; convert it")
    if dataset.ndim != 3 or 0 in dataset.shape or max(dataset.shape[1:]) > MAX_SIDE or len(dataset) > MAX_SLICES:
        raise InputError(
            f"{path}: '{DATASET}' has shape {dataset.shape}, expected (slices, height, width), sides up to "
            f"{MAX_SIDE}; remove it"
        )
    return dataset


def attribute(path: Path, name: str, default: str) -> str:
    """What a file's attribute `name` says, or `default` where it has none.

    Raises:
      InputError: as open_images.
    """
    with open_images(path).file as file:
        return str(file.attrs.get(name, default))


def shape_of(path: Path) -> tuple[int, int, int]:
    """Slices in a file, padding included, and their height and width.

    Raises:
      InputError: as open_images.
    """
    dataset = open_images(path)
    with dataset.file:
        return dataset.shape


def check_square(path: Path, why: str) -> None:
    """Raises InputError unless the slices of a file are as high as wide, which they must be for `why`."""
    height, width = shape_of(path)[1:]
    if height != width:
        raise InputError(f"{path}: slices of {height}x{width}, but {why} needs square ones; pad or crop them")


@contextlib.contextmanager
def new_images(
    path: Path, shape: tuple[int, int, int], attributes: Mapping[str, str]
) -> Iterator[Callable[[int, np.ndarray], None]]:
    """A new file with a float32 dataset `data`, a slice a chunk: rows never written are zero and take no disk.

    Yields:
      write(row, image).

    Raises:
      OSError: the disk is full or the file cannot be written.
    """
    with path.open("w+b", buffering=0) as raw:
        guard = _Guard(raw)
        with h5py.File(guard, "w", rdcc_nbytes=0) as file:  # no cache: a slice is written once, and at once
            file.attrs.update(attributes)
            dataset = file.create_dataset(DATASET, shape, np.float32, chunks=(1, *shape[1:]))

            def write(row: int, image: np.ndarray) -> None:
                dataset[row] = image
                guard.check()

            yield write
        guard.check()


class _Guard:
    """Keeps failed writes from HDF5, which cannot close such a file and crashes when the process ends."""

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw
        self._error: OSError | None = None
        self.seek, self.tell, self.read, self.readinto = raw.seek, raw.tell, raw.read, raw.readinto

    def check(self) -> None:
        """Raises the first error that was kept back."""
        if self._error:
            raise self._error

    def write(self, data: memoryview) -> None:
        self._attempt(self._write_all, data)

    def truncate(self, size: int) -> None:
        self._attempt(self._raw.truncate, size)

    def flush(self) -> None:
        pass  # nothing is buffered

    def _attempt(self, action: Callable[..., object], argument: object) -> None:
        try:
            if not self._error:
                action(argument)
        except OSError as error:
            self._error = error

    def _write_all(self, data: memoryview) -> None:
        view = memoryview(data).cast("B")
        while view:  # an unbuffered file may take a part only
            view = view[self._raw.write(view) :]
