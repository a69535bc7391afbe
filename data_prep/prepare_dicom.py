"""From a folder of paired DICOM series to a data set of TFRecord pairs: pair, check, cut into patches, write."""

import functools
import itertools
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from data_prep import tfrecords
from data_prep.dicom_pairs import SlicePair
from data_prep.dicom_series import SeriesNames, Skipped, find_pairs, tried
from data_prep.errors import InputError
from data_prep.patches import PatchReader, to_range
from data_prep.staging import check_free

logger = logging.getLogger(__name__)

PATCHES_PER_SLICE = 10_000
_ONE_IN = 10  # training patients validates
Item = tuple[SlicePair, int]  # a patch: its pair of slices, and its number in their grid


def prepare_dicom(
    input_dir: Path,
    output_dir: Path,
    *,
    seed: int,
    test_patients: Sequence[str],
    validation_patients: Sequence[str] | None = None,
    low_dose_folder: str = "quarter_3mm",
    normal_dose_folder: str = "full_3mm",
    low_dose_description: str = "Low Dose Images",
    normal_dose_description: str = "Full Dose Images",
    hu_window: tuple[float, float] = (-1024.0, 3072.0),
    patch_size: int = 0,
    max_air_fraction: float = 0.8,
    shards: int = 8,
    strict: bool = False,
    data: Mapping[str, Any],
    workers: int | None = None,
    progress: tfrecords.Progress | None = None,
    survey_progress: tfrecords.Progress | None = None,
) -> dict[str, Any]:
    """Makes a data set from real low-dose scans and their normal-dose partners.

    Every slice is read twice: once to find what is malformed, air or clipped before the first record is written, and
    once to write it. Memory does not grow with the pixels. A record's `slice_index` is the pair's index by position
    in its patient for whole slices; for patches, that times PATCHES_PER_SLICE plus the patch's number in the grid.

    Args:
      input_dir: folder of the patients' folders, in one of the layouts of dicom_series.
      output_dir: folder of records to be made.
      seed: decides which patients validate where nobody says.
      test_patients: folder names or PatientIDs of the test split.
      validation_patients: the same of the validation split; all others train. None: one in ten of the others, if
        there are two; empty: no validation split.
      low_dose_folder, normal_dose_folder: the two series in the Mayo challenge's layout.
      low_dose_description, normal_dose_description: the two series in TCIA's layout.
      hu_window: the HU that become 0 and 1; the default is the TF1 repository's.
      patch_size: side in pixels of the patches, taken on a grid from the upper left corner without overlap (what
        remains at the right and the bottom is left out), in every split; 0 keeps whole slices.
      max_air_fraction: a patch is left out where a larger part of its normal-dose pixels is below AIR_BELOW_HU (see
        patches): our reading of Yang et al. 2018, section III, who excluded patches that were mostly air.
      shards: files a split.
      strict: a malformed file is an error, instead of being named, counted and skipped with its partner.
      data: settings for the manifest, recorded as they are.
      workers, progress: see tfrecords.write_dataset.
      survey_progress: the same for the first pass, counting pairs of slices.

    Returns:
      The manifest.

    Raises:
      InputError: whatever is wrong with the arguments or the input, before a record is written.
    """
    low, high = hu_window
    if not (np.isfinite(hu_window).all() and low < high):
        raise InputError(f"hu_window={hu_window}: expected two finite HU, the lower one first")
    if patch_size < 0 or not 0 <= max_air_fraction <= 1 or shards < 1:
        raise InputError(
            f"patch_size={patch_size}, max_air_fraction={max_air_fraction}, shards={shards}: expected 0 (whole slices) "
            "or more, 0 to 1, 1 or more"
        )
    check_free(output_dir)
    skipped = Skipped(strict)
    names = SeriesNames(low_dose_folder, normal_dose_folder, low_dose_description, normal_dose_description)
    patients = find_pairs(input_dir, names, skipped, workers)
    split = split_patients(input_dir, patients, test_patients, validation_patients, seed)
    _check_shapes(patients, patch_size)
    reader = PatchReader(hu_window, patch_size)
    found = _survey(patients, reader, max_air_fraction, skipped, workers, survey_progress)
    items = {name: [item for patient in folders for item in found[patient]] for name, folders in split.items()}
    skipped.log_counts()
    for name, patches in items.items():
        if not patches:
            raise InputError(
                f"input_dir {input_dir}: the {name} split is empty: every patch is mostly air "
                f"(max_air_fraction={max_air_fraction})"
            )
    used = {id(pair): pair for patches in items.values() for pair, _ in patches}.values()
    headers = {header.path: header for pair in used for header in (pair.low_dose, pair.normal_dose)}
    spacings = {side for header in headers.values() for side in header.spacing or (None,)}
    ids = {name: sorted({pair.patient_id for pair, _ in patches}) for name, patches in items.items()}
    return tfrecords.write_dataset(
        output_dir,
        {name: _dealt(patches, shards) for name, patches in items.items()},
        functools.partial(_record, reader, input_dir),
        shards=shards,
        description={
            "source": "dicom",
            "input_files": {str(path.relative_to(input_dir)): path.stat().st_size for path in sorted(headers)},
            "seed": seed,
            "data": dict(data),
            "hu_slope": float(high - low),
            "hu_intercept": float(low),
            "low_dose_clip": [0.0, 1.0],  # see patches.to_range
            "pixel_spacing_mm": min(spacings) if len(spacings) == 1 and None not in spacings else "unknown",
            "patients": ids,
            "patients_in_both": sorted(
                set().union(*(set(one) & set(other) for one, other in itertools.combinations(ids.values(), 2)))
            ),
        },
        workers=workers,
        progress=progress,
    )


def split_patients(
    input_dir: Path,
    patients: Mapping[str, Sequence[SlicePair]],
    test_patients: Sequence[str],
    validation_patients: Sequence[str] | None,
    seed: int,
) -> dict[str, list[str]]:
    """Which patients of `input_dir`, by folder, train, validate and test; see prepare_dicom.

    Raises:
      InputError: an id that no patient has, an empty split, or folders of one PatientID in two splits.
    """
    ids = {
        folder: {header.patient_id for pair in pairs for header in (pair.low_dose, pair.normal_dose)} - {""}
        for folder, pairs in patients.items()
    }
    listed = f"{input_dir} has " + ", ".join(list(patients)[:10]) + (" ..." if len(patients) > 10 else "")
    for name, wanted in (("test_patients", test_patients), ("validation_patients", validation_patients or ())):
        unknown = set(wanted) - set(patients) - set().union(*ids.values())
        if unknown:
            raise InputError(f"{name}={sorted(unknown)[0]}: no such patient; {listed}")
    one_for_all = set.intersection(*ids.values()) if ids else set()
    if one_for_all:
        logger.warning("PatientID is %s in every folder, so patients are told apart by folder", min(one_for_all))
    test = [folder for folder in patients if {folder, *ids[folder]} & set(test_patients)]
    train = [folder for folder in patients if folder not in test]
    if validation_patients is None:
        validation = _held_out(train, {} if one_for_all else ids, seed)
    else:
        validation = [folder for folder in train if {folder, *ids[folder]} & set(validation_patients)]
    train = [folder for folder in train if folder not in validation]
    for name, folders in (("train", train), ("test", test)):
        if not folders:
            raise InputError(f"test_patients={','.join(test_patients)}: the {name} split is empty; {listed}")
    split = {"train": train} | ({"validation": validation} if validation else {}) | {"test": test}
    for (name, first), (other, second) in itertools.combinations(split.items(), 2):
        for one, two in itertools.product(first, second):
            if not one_for_all and (shared := ids[one] & ids[two]):
                raise InputError(
                    f"{other}_patients: {two} and {one} of the {name} split are of one PatientID, {min(shared)}"
                )
    return split


def _held_out(folders: Sequence[str], ids: Mapping[str, set[str]], seed: int) -> list[str]:
    """One patient in ten, at least one; none where there is but one. Folders of one PatientID go together."""
    patients: dict[frozenset[str] | str, list[str]] = {}
    for folder in folders:
        patients.setdefault(frozenset(ids.get(folder, ())) or folder, []).append(folder)
    if len(patients) < 2:
        logger.warning("one patient is left for training, so there is no validation split")
        return []
    order = np.random.default_rng(np.random.SeedSequence(seed)).permutation(len(patients))
    groups = [list(patients.values())[number] for number in order[: max(1, len(patients) // _ONE_IN)]]
    return [folder for folder in folders if any(folder in group for group in groups)]


def _check_shapes(patients: Mapping[str, Sequence[SlicePair]], patch_size: int) -> None:
    shapes = {pair.normal_dose.shape: pair.normal_dose.path for pairs in patients.values() for pair in pairs}
    if patch_size == 0 and len(shapes) > 1:
        raise InputError(f"patch_size=0: whole slices must be of one shape, got {shapes}; take patches")
    for (rows, columns), path in shapes.items():
        count = (rows // patch_size) * (columns // patch_size) if patch_size else 1
        if not 1 <= count <= PATCHES_PER_SLICE:
            raise InputError(
                f"patch_size={patch_size}: {path} of {rows} x {columns} has {count} patches, expected 1 to "
                f"{PATCHES_PER_SLICE}"
            )


def _survey(
    patients: Mapping[str, Sequence[SlicePair]],
    reader: PatchReader,
    max_air_fraction: float,
    skipped: Skipped,
    workers: int | None,
    progress: tfrecords.Progress | None,
) -> dict[str, list[Item]]:
    """The first pass over the pixels: each patient's patches that become records, in order of position and number."""
    items: dict[str, list[Item]] = {}
    clipped = pixels = done = 0
    total = sum(map(len, patients.values()))
    look = functools.partial(tried, functools.partial(reader.survey, max_air_fraction=max_air_fraction))
    with ThreadPoolExecutor(workers) as pool:
        for patient, pairs in patients.items():
            items[patient], errors = [], []
            for pair, findings in zip(pairs, pool.map(look, pairs), strict=True):
                done += 1
                if progress:
                    progress(done, total)
                if isinstance(findings, InputError):
                    skipped.add(findings)
                    errors.append(findings)
                    continue
                items[patient] += [(pair, number) for number in findings.kept]
                clipped, pixels = clipped + findings.clipped, pixels + findings.pixels
            skipped.partners += len(errors)
            if len(errors) == len(pairs):
                raise InputError(f"patient {patient}: none of its {len(pairs)} pairs can be read: {errors[0]}")
    if clipped:
        logger.warning("%d of %d pixels lie outside hu_window %s and were clipped", clipped, pixels, reader.hu_window)
    return items


def _record(reader: PatchReader, input_dir: Path, item: Item) -> tfrecords.Record:
    """One patch as a record; its source is the normal-dose file, with the patch's rows and columns in it."""
    pair, number = item
    low_dose, normal_dose = (to_range(patches[number], reader.hu_window)[0] for patches in reader.read(pair))
    source, index = str(pair.normal_dose.path.relative_to(input_dir)), pair.index
    if size := reader.patch_size:
        row, column = divmod(number, pair.normal_dose.shape[1] // size)
        source += f"[{row * size}:{(row + 1) * size},{column * size}:{(column + 1) * size}]"
        index = pair.index * PATCHES_PER_SLICE + number
    return tfrecords.Record(low_dose, normal_dose, pair.patient_id, index, source)


def _dealt(items: Sequence[Item], shards: int) -> list[Item]:
    """Reorders the items so that a shard, which gets every shards-th, has the patches of a slice together.

    Each slice is then decoded for one shard, seldom two, not for all; and each shard still spans all patients.
    """
    count = min(shards, len(items))
    slices = [list(patches) for _, patches in itertools.groupby(items, key=lambda item: id(item[0]))]
    ordered = [item for start in range(count) for patches in slices[start::count] for item in patches]
    sizes = [len(items[start::count]) for start in range(count)]
    ends = itertools.accumulate(sizes)
    parts = [ordered[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    return [part[row] for row in range(sizes[0]) for part in parts if row < len(part)]
