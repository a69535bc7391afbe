"""What all formats of image files share: slices in HU, one by one, and an output file of the same format."""

import contextlib
import dataclasses
from pathlib import Path

import numpy as np

from data_prep.hdf5_slices import MAX_SIDE, MAX_SLICES
from data_prep.hu import PADDING_HU, HuScale
from wgan_vgg.errors import InputError

_LARGEST = 8 * 2**30  # bytes of a file that is held in memory
_MOST_HU = 100_000.0  # metal has 20,000 or so
_BLOCK = 2**20  # pixels that are converted at once
PARTIAL = ".partial-"  # before the name, so that the extension still tells the format


@dataclasses.dataclass(frozen=True)
class Options:
    """How files are read, and what is said in those that are written.

    Attributes:
      hu_range: the HU of the lowest and the highest value, for formats that do not say themselves.
      padding_hu: what the network sees where pixels are no measurement.
      fingerprint: tells apart what the pixels were denoised by.
      derivation: says it in words.

    Raises:
      InputError: the range's ends are in the wrong order.
    """

    hu_range: tuple[float, float] | None = None
    padding_hu: float = PADDING_HU
    fingerprint: str = ""
    derivation: str = ""

    def __post_init__(self) -> None:
        check_hu_range(self.hu_range)


class Slices:
    """One file: `count` slices to read, and to write, in order, into an output file that appears whole or not at all.

    Attributes, once the first slice was read:
      spacing_mm: of the pixels; None: the file does not say.
      position_mm: of the slice read last along the patient, from DICOM; None: the file does not say.
      series_uid, instance_uid: DICOM's SeriesInstanceUID and SOPInstanceUID, "" elsewhere.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 1
        self.spacing_mm: float | None = None
        self.position_mm: float | None = None
        self.series_uid = self.instance_uid = ""
        self._stack = contextlib.ExitStack()  # what must be closed

    @property
    def series(self) -> str:
        """What the file is a part of: itself if it holds several slices, else its folder and SeriesInstanceUID."""
        return str(self.path) if self.count > 1 else f"{self.path.parent} {self.series_uid}".rstrip()

    def read(self, index: int) -> np.ndarray:
        """One slice in HU, upright, float32 (height, width), finite.

        Raises:
          NotAnImage: the file is sound, but no CT image.
          InputError: it cannot be read, or has pixels that are not finite.
        """
        raise NotImplementedError

    def begin(self, output: Path) -> None:
        """Opens the output file under a temporary name."""
        self._output, self._partial = output, output.with_name(PARTIAL + output.name)
        output.parent.mkdir(parents=True, exist_ok=True)
        self._begin(self._partial)

    def write(self, index: int, hu: np.ndarray) -> None:
        """Takes one denoised slice in HU, of the shape that was read; padding stays what it was."""
        raise NotImplementedError

    def finish(self) -> None:
        """Gives the whole output file its name.

        Raises:
          InputError: what was read cannot be written.
        """
        self._end(self._partial)
        self._stack.close()
        self._partial.replace(self._output)

    def close(self) -> None:
        """Ends the reading of a file that is not written."""
        self._stack.close()

    def abandon(self) -> None:
        """Leaves nothing behind, however far it came; what the disk has to say about that was said before."""
        for step in (self._stack.close, self._partial.unlink):
            with contextlib.suppress(OSError):
                step()

    def _begin(self, partial: Path) -> None:
        """Opens what slices are written to one by one; formats that are written at the end have nothing to do."""

    def _end(self, partial: Path) -> None:
        """Writes what is left to write."""


@dataclasses.dataclass(frozen=True)
class StoredScale(HuScale):
    """HU of a file's stored values, which are of `dtype`, whole ones rounded and kept in [low, high].

    `way_out` is said where they are no HU.
    """

    dtype: np.dtype
    low: float = -np.inf
    high: float = np.inf
    way_out: str = "mend its scale or remove it"

    @classmethod
    def of(cls, dtype: np.dtype, hu_range: tuple[float, float] | None) -> "StoredScale":
        """For values that are HU themselves, or, with a range, go from its ends: 0 and 1, or 0 and a type's highest."""
        low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else (-np.inf, np.inf)
        way_out = "check --hu_range, or leave it out for HU"
        if hu_range is None:
            return cls(1.0, 0.0, dtype, low, high, way_out)
        top = high if dtype.kind in "iu" else 1.0
        return cls((hu_range[1] - hu_range[0]) / top, hu_range[0], dtype, low, high, way_out)

    def read(self, stored: np.ndarray, name: str) -> np.ndarray:
        """float32 HU.

        Raises:
          InputError: a value, of what `name` says, is NaN or infinite, or no HU whatever is scanned.
        """
        hu = np.empty(stored.shape, np.float32)
        wrong = 0
        with np.errstate(over="ignore"):
            for rows in row_blocks(stored):
                hu[rows] = self.to_hu(stored[rows].astype(np.float64))
                wrong += int(np.count_nonzero(~np.isfinite(hu[rows])))
        if wrong:
            raise InputError(f"{name} has {wrong} NaN or infinite pixels; repair or remove it")
        low, high = float(hu.min()), float(hu.max())
        if max(-low, high) > _MOST_HU:
            raise InputError(f"{name} would have {low:.4g} to {high:.4g} HU; {self.way_out}")
        return hu

    def to_stored(self, hu: np.ndarray) -> np.ndarray:
        """The stored values of HU."""
        stored = np.empty(hu.shape, self.dtype)
        for rows in row_blocks(hu):
            values = self.to_values(hu[rows].astype(np.float64))
            if self.dtype.kind in "iu":
                # Up to just below the next value, which is cut off: the highest of 64 bits is no float, and would
                # overflow.
                values = np.clip(np.rint(values), self.low, np.nextafter(self.high + 1.0, 0))
            stored[rows] = values.astype(self.dtype)
        return stored


def check_hu_range(hu_range: tuple[float, float] | None) -> None:
    """Raises InputError where a range of HU does not rise."""
    if hu_range and not -np.inf < hu_range[0] < hu_range[1] < np.inf:
        raise InputError(f"hu_range={hu_range}: the first must be below the second")


def row_blocks(image: np.ndarray) -> list[slice]:
    """The rows of an image (height, width) in blocks, so that what needs several copies does not need them of all."""
    height, width = image.shape
    step = max(1, _BLOCK // width)
    return [slice(top, top + step) for top in range(0, height, step)]


def check_shape(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raises InputError unless (slices, height, width) and the type are those of images."""
    if (
        len(shape) != 3
        or min(shape) < 1
        or max(shape[1:]) > MAX_SIDE
        or shape[0] > MAX_SLICES
        or dtype.kind not in "iuf"
    ):
        raise InputError(
            f"{path}: {dtype} {shape}, expected numbers (slices, height, width) or (height, width), sides to {MAX_SIDE}"
        )


def check_size(path: Path, size: int) -> None:
    """Raises InputError where a file, unpacked, is more than is held in memory."""
    if size > _LARGEST:
        raise InputError(f"{path}: unpacks to {size:,} bytes, more than {_LARGEST:,}; split it into several files")
