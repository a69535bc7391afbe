"""From a folder of DICOM series, paired or of normal dose alone, to a data set of TFRecord pairs of patches."""

import functools
import itertools
import logging
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from data_prep import series_names, tfrecords
from data_prep.config import DataConfig
from data_prep.dicom_file import SliceHeader
from data_prep.dicom_pairs import SlicePair
from data_prep.dicom_series import Skipped, find_pairs, tried
from data_prep.dicom_split import split_patients
from data_prep.errors import InputError
from data_prep.hu import DICOM_RANGE_HU
from data_prep.json_types import UNKNOWN, Manifest, Unknown
from data_prep.noise_insertion import NoiseInsertion
from data_prep.parts import WHOLE, Part
from data_prep.patches import InsertNoise, PatchReader, to_range
from data_prep.progress import Progress, silent
from data_prep.series_names import SeriesNames
from data_prep.staging import check_free

logger = logging.getLogger(__name__)

PATCHES_PER_SLICE = 10_000
Item = tuple[SlicePair, int]  # a patch: its pair of slices, and its number in their grid


def prepare_dicom(
    input_dir: Path,
    output_dir: Path,
    config: DataConfig,
    *,
    seed: int,
    test_patients: Sequence[str],
    validation_patients: Sequence[str] | None = None,
    names: SeriesNames = series_names.BY_DEFAULT,
    hu_window: tuple[float, float] = DICOM_RANGE_HU,
    strict: bool = False,
    part: Part = WHOLE,
    workers: int | None = None,
    progress: Progress = silent,
) -> Manifest:
    """Makes a data set from real low-dose scans and their normal-dose partners, or from normal-dose scans alone.

    With noise "none" each patient has both; with noise "poisson" the low dose is `dose` of the normal one, by the noise
    that noise_insertion adds to it, which depends on the seed, the patient's folder and the slice's index alone.

    Every slice is read twice: once to find what is malformed, air or clipped before the first record is written, and
    once to write it. Memory does not grow with the pixels. A record's `slice_index` is the pair's index by position
    in its patient for whole slices; for patches, that times PATCHES_PER_SLICE plus the patch's number in the grid.

    Args:
      input_dir: folder of the patients' folders, in one of the layouts of dicom_series.
      output_dir: folder of records to be made.
      config: of it noise with what decides its strength, patch_size, max_air_fraction and shards. Patches are taken on
        a grid from the upper left corner without overlap (what remains at the right and the bottom is left out), and
        left out where too many of their normal-dose pixels are below AIR_BELOW_HU, see patches.
      seed: decides which patients validate where nobody says.
      test_patients: folder names or PatientIDs of the test split.
      validation_patients: the same of the validation split; all others train. None: one in ten of the others, if
        there are two; empty: no validation split.
      names: what tells a patient's two series apart.
      hu_window: the HU that become 0 and 1; the default is the TF1 repository's.
      strict: a malformed file is an error, instead of being named, counted and skipped with its partner.
      part, workers: see tfrecords.write_dataset.
      progress: called after each pair of slices in the first pass, and of each record in the second.

    Returns:
      The manifest.

    Raises:
      InputError: whatever is wrong with the arguments or the input, before a record is written.
    """
    low, high = hu_window
    if not (np.isfinite(hu_window).all() and low < high):
        raise InputError(f"hu_window={hu_window}: must be two finite HU, the lower one first")
    alone = _check_noise(config)
    check_free(output_dir)
    skipped = Skipped(strict)
    patients = find_pairs(input_dir, names, skipped, workers, alone=alone)
    split = split_patients(input_dir, patients, test_patients, validation_patients, seed)
    _check_shapes(patients, config.patch_size)
    if alone:
        _check_projectable(patients)
    reader = PatchReader(hu_window, config.patch_size, _insertion(config, seed) if alone else None)
    found = _survey(patients, reader, config.max_air_fraction, skipped, workers, progress)
    items = {name: [item for patient in folders for item in found[patient]] for name, folders in split.items()}
    skipped.log_counts()
    for name, patches in items.items():
        if not patches:
            raise InputError(
                f"input_dir {input_dir}: the {name} split is empty: every patch is mostly air "
                f"(data.max_air_fraction={config.max_air_fraction})"
            )
    used = {id(pair): pair for patches in items.values() for pair, _ in patches}.values()
    headers = {header.path: header for pair in used for header in pair.headers}
    unknown: tuple[Unknown] = (UNKNOWN,)
    spacings = {side for header in headers.values() for side in header.spacing or unknown}
    ids = {name: sorted({pair.patient_id for pair, _ in patches}) for name, patches in items.items()}
    return tfrecords.write_dataset(
        output_dir,
        {name: _dealt(patches, config.shards) for name, patches in items.items()},
        functools.partial(_record, reader, input_dir),
        shards=config.shards,
        description={
            "source": "dicom",
            "input_files": {str(path.relative_to(input_dir)): path.stat().st_size for path in sorted(headers)},
            "seed": seed,
            "data": config.to_manifest(),
            "hu_slope": float(high - low),
            "hu_intercept": float(low),
            "low_dose_clip": [0.0, 1.0],  # see patches.to_range
            "transposed": False,
            "pixel_spacing_mm": spacings.pop() if len(spacings) == 1 else UNKNOWN,
            "patients": ids,
            "patients_in_both": sorted(
                set().union(*(set(one) & set(other) for one, other in itertools.combinations(ids.values(), 2)))
            ),
        },
        part=part,
        workers=workers,
        progress=progress,
    )


def _check_noise(config: DataConfig) -> bool:
    """Whether the low dose is to be made from the normal one.

    Raises:
      InputError: a noise that DICOM does not have.
    """
    if config.noise == "none":
        return False
    if config.noise != "poisson" or config.dose is None:
        raise InputError(
            f"data.noise={config.noise}, data.dose={config.dose}: where DICOM has real low-dose scans, take "
            "--preset=yang2018 or --noise=none; where not, --noise=poisson --dose=0.25 adds the noise of a lower dose"
        )
    return True


def _check_projectable(patients: Mapping[str, Sequence[SlicePair]]) -> None:
    """Raises InputError unless all slices are square, of square pixels of known size."""
    for header in (pair.normal_dose for pairs in patients.values() for pair in pairs):
        _pixel_side(header)


def _pixel_side(header: SliceHeader) -> float:
    """Side in mm of the square pixels of a square slice.

    Raises:
      InputError: they are not square, or of unknown or no size.
    """
    (rows, columns), spacing = header.shape, header.spacing
    if spacing is None or rows != columns or min(spacing) <= 0 or not np.isclose(spacing[0], spacing[1], rtol=1e-3):
        raise InputError(
            f"{header.path}: {rows} x {columns} pixels, PixelSpacing {spacing}; data.dose needs square "
            "slices with square pixels; remove the series"
        )
    return spacing[0]


def _insertion(config: DataConfig, seed: int) -> InsertNoise:
    model = NoiseInsertion.of(config)

    def insert(pair: SlicePair, hu: np.ndarray) -> np.ndarray:
        key = (zlib.crc32(pair.patient_id.encode()), pair.index)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
        return model.add_to_hu(hu, _pixel_side(pair.normal_dose), rng)

    return insert


def _check_shapes(patients: Mapping[str, Sequence[SlicePair]], patch_size: int) -> None:
    shapes = {pair.normal_dose.shape: pair.normal_dose.path for pairs in patients.values() for pair in pairs}
    if patch_size == 0 and len(shapes) > 1:
        raise InputError(f"data.patch_size=0: whole slices must be of one shape, got {shapes}; take patches")
    for (rows, columns), path in shapes.items():
        count = (rows // patch_size) * (columns // patch_size) if patch_size else 1
        if not 1 <= count <= PATCHES_PER_SLICE:
            raise InputError(
                f"data.patch_size={patch_size}: {path} of {rows} x {columns} has {count} patches, expected 1 to "
                f"{PATCHES_PER_SLICE}"
            )


def _survey(
    patients: Mapping[str, Sequence[SlicePair]],
    reader: PatchReader,
    max_air_fraction: float,
    skipped: Skipped,
    workers: int | None,
    progress: Progress,
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
                progress("look through the slices", done, total)
                if isinstance(findings, InputError):
                    skipped.add(findings)
                    errors.append(findings)
                    continue
                items[patient] += [(pair, number) for number in findings.kept]
                clipped, pixels = clipped + findings.clipped, pixels + findings.pixels
            skipped.partners += len(errors) if pairs[0].low_dose else 0  # normal-dose slices alone have none
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
