"""LoDoPaB-CT's HDF5 layout: its constants, and checked reading of it (Leuschner et al., arXiv:1910.01113).

The same code reads the real data set, our phantoms (written in this layout) and a single file of somebody
else's slices. Layout: `ground_truth_PART_NNN.hdf5`, dataset `data`, float32 (slices, 362, 362), 128 slices per
file, the last one padded; `patient_ids_rand_PART.csv`, one id per line, one line per slice. Slices lie transposed
(jleuschn/lodopab_tech_ref, create_dataset.py: `pixel_array[75:-75, 75:-75].T`): axis 0 goes from the patient's right
to the left, axis 1 from front to back.
"""

import dataclasses
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

from data_prep.errors import InputError
from data_prep.hdf5_slices import attribute, open_images

PARTS = ("train", "validation", "test")
SLICES_PER_FILE = 128
IMAGE_SIZE = 362
# Files and slices of the official parts: the last file's rows past the count are padding.
OFFICIAL_FILES = {"train": 280, "validation": 28, "test": 28}
OFFICIAL_SLICES = {"train": 35820, "validation": 3522, "test": 3553}
PIXEL_SPACING_MM = 260.0 / IMAGE_SIZE  # a 26 cm square
# HU = HU_SLOPE * value + HU_INTERCEPT: mu = HU * .01998 + 20, divided by MU_MAX = 81.35858.
HU_SLOPE = 4072.001
HU_INTERCEPT = -1001.001
# Attributes of our phantom files; LoDoPaB's own have none.
SOURCE_ATTRIBUTE, ORIENTATION_ATTRIBUTE = "source", "orientation"
TRANSPOSED, UPRIGHT = "transposed", "upright"  # orientations
_RANGE_SLACK = 1e-3  # what rounding may add to [0, 1]


@dataclasses.dataclass(frozen=True)
class SliceRef:
    """Where one slice lies. `patient_id` is None where no CSV names it; `index` counts through the part."""

    part: str
    path: Path
    file_number: int
    row: int
    index: int
    patient_id: str | None

    @property
    def source(self) -> str:
        """File and row, as it stands in records and error messages."""
        return f"{self.path.name}[{self.row}]"


def of_part_alone(ref: SliceRef) -> SliceRef:
    """The slice with an id that no patient of another part has: "test-3"."""
    return ref if ref.patient_id is None else dataclasses.replace(ref, patient_id=f"{ref.part}-{ref.patient_id}")


def values_from_hu(hu: np.ndarray) -> np.ndarray:
    """Maps HU to LoDoPaB's [0, 1], clipped as the data set itself is; any shape, float32 out."""
    return np.clip((hu - HU_INTERCEPT) / HU_SLOPE, 0.0, 1.0).astype(np.float32)


def ground_truth_name(part: str, number: int) -> str:
    """File name of the `number`-th ground-truth file of a part."""
    return f"ground_truth_{part}_{number:03d}.hdf5"


def patient_ids_name(part: str) -> str:
    """File name of a part's patient ids."""
    return f"patient_ids_rand_{part}.csv"


def find_parts(input_dir: Path) -> dict[str, list[Path]]:
    """The ground-truth files of each part that `input_dir` has, in file order.

    Raises:
      InputError: the folder does not exist or has no `ground_truth_PART_NNN.hdf5`.
    """
    if not input_dir.is_dir():
        raise InputError(f"input_dir {input_dir}: no such folder; give the folder of the LoDoPaB-CT HDF5 files")
    parts = {
        part: sorted(p for p in input_dir.iterdir() if re.fullmatch(rf"ground_truth_{part}_\d{{3}}\.hdf5", p.name))
        for part in PARTS
    }
    parts = {part: files for part, files in parts.items() if files}
    if not parts:
        raise InputError(
            f"input_dir {input_dir}: no file named {ground_truth_name('train', 0)} or alike; unpack LoDoPaB-CT's "
            "ground_truth archives there"
        )
    return parts


def source_name(path: Path) -> str:
    """What a ground-truth file is made of: "phantoms" where it says so itself, else "lodopab"."""
    return attribute(path, SOURCE_ATTRIBUTE, "lodopab")


def is_transposed(path: Path) -> bool:
    """Whether a ground-truth file's slices lie transposed, as LoDoPaB-CT's do; a file may say so in an attribute.

    Phantoms of earlier versions, which do not say it, are upright.

    Raises:
      InputError: as hdf5_slices.open_images, or the attribute says neither "transposed" nor "upright".
    """
    found = attribute(path, ORIENTATION_ATTRIBUTE, UPRIGHT if source_name(path) == "phantoms" else TRANSPOSED)
    if found not in (TRANSPOSED, UPRIGHT):
        raise InputError(f"{path}: attribute {ORIENTATION_ATTRIBUTE}={found!r}; must be {TRANSPOSED} or {UPRIGHT}")
    return found == TRANSPOSED


class SliceReader:
    """Reads slices from any thread, keeping each thread's last file open; use it as a context manager.

    Args:
      open_file: opens a file of slices, checked.
      locate: where a slice's file lies.
      value_range: what its values must keep to, if anything.
    """

    def __init__(
        self,
        open_file: Callable[[Path], h5py.Dataset] = open_images,
        locate: Callable[[SliceRef], Path] = lambda ref: ref.path,
        value_range: tuple[float, float] | None = (0.0, 1.0),
    ) -> None:
        self._open: dict[int, tuple[Path, h5py.Dataset]] = {}
        self._open_file, self._locate, self._value_range = open_file, locate, value_range

    def __enter__(self) -> "SliceReader":
        return self

    def __exit__(self, *_: object) -> None:
        for _path, dataset in self._open.values():
            dataset.file.close()

    def read(self, ref: SliceRef) -> np.ndarray:
        """One slice: float32 (height, width).

        Raises:
          InputError: the slice cannot be read, or has a NaN or infinite pixel.
        """
        thread = threading.get_ident()
        path = self._locate(ref)
        last = self._open.get(thread)
        if last is None or last[0] != path:
            if last is not None:
                del self._open[thread]  # first: should the next file not open, __exit__ finds no closed one
                last[1].file.close()
            self._open[thread] = (path, self._open_file(path))
        dataset = self._open[thread][1]
        try:
            image = dataset[ref.row]
        except OSError as error:
            raise InputError(f"{path}: slice {ref.row} cannot be read ({error}); copy the file again") from error
        wrong = image.size - np.count_nonzero(np.isfinite(image))
        if wrong:
            raise InputError(f"{path}: slice {ref.row} has {wrong} NaN or infinite pixels; repair or remove it")
        low, high = self._value_range or (-np.inf, np.inf)
        if image.min() < low - _RANGE_SLACK or image.max() > high + _RANGE_SLACK:
            raise InputError(
                f"{path}: slice {ref.row} has values from {image.min():g} to {image.max():g}, "
                f"expected [{low:g}, {high:g}]; map HU by (HU - {HU_INTERCEPT:g}) / {HU_SLOPE:g}, clipped"
            )
        return image


def read_patient_ids(input_dir: Path, part: str) -> list[str] | None:
    """The part's patient ids, one a slice, as they stand in the CSV file; None without that file.

    LoDoPaB numbers its patients through all three parts, so an id met in two parts is one person.

    Raises:
      InputError: a line is not an id, or the first one is a header.
    """
    path = input_dir / patient_ids_name(part)
    if not path.exists():
        return None
    ids = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    wrong = [line for line in ids if not re.fullmatch(r"[\w.+-]{1,64}", line)]
    if wrong or not ids:
        raise InputError(f"{path}: expected one patient id a line, got {wrong[0] if wrong else 'an empty file'!r}")
    first, *others = ids
    if others and not first.isdecimal() and all(map(str.isdecimal, others)):
        raise InputError(f"{path}: all ids are whole numbers but the first, {first!r}, a header; remove that line")
    return ids


def list_slices(input_dir: Path, part: str, files: Sequence[Path]) -> list[SliceRef]:
    """Every true slice of a part, in order; padding at the end of the last file is left out.

    It is what is past the official count where the last official file is there, else rows that are zero everywhere. The
    CSV file must name just as many slices, or more where the last file is full and others may follow it.

    Raises:
      InputError: the files disagree in shape, or the CSV file does not fit them.
    """
    numbers = [int(path.stem[-3:]) for path in files]
    rows, shapes = [], set()
    for path in files:
        dataset = open_images(path)
        rows.append(dataset.shape[0])
        shapes.add(dataset.shape[1:])
        padding = _trailing_zero_rows(dataset) if path == files[-1] else 0
        dataset.file.close()
    if len(shapes) > 1:
        raise InputError(
            f"{input_dir}: the files of part {part} have slices of different shapes {sorted(shapes)}; keep one shape"
        )
    whole = numbers == list(range(len(files)))
    if not whole and any(count != SLICES_PER_FILE for count in rows[:-1]):
        missing = sorted(set(range(numbers[-1])) - set(numbers))
        raise InputError(f"{input_dir}: part {part} lacks file {ground_truth_name(part, missing[0])}; copy it there")
    starts = np.cumsum([0, *rows[:-1]]).tolist() if whole else [SLICES_PER_FILE * number for number in numbers]
    # What the official padding holds is not documented.
    official = set(rows) == {SLICES_PER_FILE} and numbers[-1] == OFFICIAL_FILES[part] - 1
    count = OFFICIAL_SLICES[part] if official else starts[-1] + rows[-1] - padding
    ids = read_patient_ids(input_dir, part)
    if ids is not None:
        others_follow = not official and rows[-1] == SLICES_PER_FILE and not padding
        if len(ids) < count or (len(ids) > count and not others_follow):
            raise InputError(
                f"{input_dir / patient_ids_name(part)}: {len(ids)} ids, but the slices up to the last one of "
                f"{files[-1].name} are {count} (zero rows after it are padding, which has no ids); copy the list and "
                "the files again"
            )
    return [
        SliceRef(part, path, number, row, start + row, ids[start + row] if ids else None)
        for path, number, start, length in zip(files, numbers, starts, rows, strict=True)
        for row in range(min(length, count - start))
    ]


def _trailing_zero_rows(dataset: h5py.Dataset) -> int:
    """Rows at the end that are zero everywhere: padding, since even air is not exactly zero all over a scan."""
    row = dataset.shape[0]
    while row > 0 and not dataset[row - 1].any():
        row -= 1
    return dataset.shape[0] - row
