"""From a folder of LoDoPaB-CT files to a data set of TFRecord pairs: select, resize, add noise, write."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from data_prep import dose_sweep, hdf5_slices, lodopab, low_dose, noise_models, observations, splits, tfrecords
from data_prep.config import DataConfig
from data_prep.errors import InputError
from data_prep.geometry import Geometry
from data_prep.json_types import UNKNOWN, Manifest, Photons
from data_prep.parts import WHOLE, Part
from data_prep.progress import Progress, silent
from data_prep.staging import check_free

logger = logging.getLogger(__name__)


def prepare_lodopab(
    input_dir: Path,
    output_dir: Path,
    config: DataConfig,
    *,
    seed: int,
    allow_leak: bool = False,
    part: Part = WHOLE,
    workers: int | None = None,
    progress: Progress = silent,
) -> Manifest:
    """Makes a data set from LoDoPaB-CT's ground truth (real, phantom, or a single file of that form).

    The order is the report's: the whole slice is resized (see low_dose.resized), then the noise is added, unclipped.

    Args:
      input_dir: folder of `ground_truth_PART_NNN.hdf5` and, if there, `patient_ids_rand_PART.csv`.
      output_dir: folder of records to be made.
      config: everything else that decides the records, but for the seed.
      seed: decides the patients' order and every noise field.
      allow_leak: let patients occur in more than one split, as the notebook does.
      part, workers, progress: see tfrecords.write_dataset.

    Returns:
      The manifest.

    Raises:
      InputError: whatever is wrong with the input, before or instead of a written data set.
    """
    check_free(output_dir)
    split = _select(input_dir, config, seed)
    _check_shapes(_files(split), config)
    transposed = _is_transposed(_files(split))
    leaking = splits.leaking_patients(split)
    if leaking:
        message = f"{len(leaking)} patients occur in more than one split"
        if not allow_leak:
            raise InputError(f"data.selection={config.selection!r}: {message}; only the notebook preset may leak")
        logger.warning("%s", message)
    geometry = Geometry().coarser(config.projection_coarseness)
    with lodopab.SliceReader() as reader, observations.reader(geometry) as observed:
        refs = [ref for of_split in split.values() for ref in of_split]
        models = noise_models.make(config, noise_models.Slices(refs, seed, geometry, observed.read))
        sides = {hdf5_slices.shape_of(path)[2] for path in _files(split)}
        scans = dose_sweep.scans(split, config.photons, seed)
        return tfrecords.write_dataset(
            output_dir,
            scans,
            _record_maker(reader.read, config, models),
            shards=config.shards,
            description={
                "source": lodopab.source_name(split["train"][0].path),
                "input_files": {path.name: path.stat().st_size for path in _files(split)},
                "seed": seed,
                "data": config.to_manifest(),
                **_about_photons(config, geometry),
                "hu_slope": lodopab.HU_SLOPE,
                "hu_intercept": lodopab.HU_INTERCEPT,
                "low_dose_clip": None,  # the noise goes below 0 and above 1
                "transposed": transposed,
                # Slices of any side are scanned as LoDoPaB-CT's square, see geometry.
                "pixel_spacing_mm": lodopab.PIXEL_SPACING_MM * lodopab.IMAGE_SIZE / (config.image_size or max(sides)),
                "scanned_side": max(sides) if len(sides) == 1 else UNKNOWN,
                "patients": {
                    name: sorted(splits.patients(ref for ref, _ in some)) or UNKNOWN for name, some in scans.items()
                },
                "patients_in_both": leaking if leaking is not None else UNKNOWN,
            },
            part=part,
            workers=workers,
            progress=progress,
        )


def _select(input_dir: Path, config: DataConfig, seed: int) -> splits.Splits:
    parts = lodopab.find_parts(input_dir)
    wanted = {"train": config.train_parts, "validation": config.validation_parts, "test": config.test_parts}
    counts = {"train": config.num_train, "validation": config.num_validation, "test": config.num_test}
    for name, chosen in wanted.items():
        if len(set(chosen)) < len(chosen):
            raise InputError(f"data.{name}_parts={','.join(chosen)}: a part is named twice; name each once")
        for part in chosen:
            if part not in parts:
                way_out = "; --validation_parts=train holds some of its patients out" if name == "validation" else ""
                raise InputError(
                    f"data.{name}_parts={part}: the split is empty, {input_dir} has no "
                    f"{lodopab.ground_truth_name(part, 0)}; it has {', '.join(parts)}{way_out}"
                )
    slices = {}
    for part in dict.fromkeys(part for chosen in wanted.values() for part in chosen):
        slices[part] = lodopab.list_slices(input_dir, part, parts[part])
        if config.patient_ids_per_part:
            slices[part] = [lodopab.of_part_alone(ref) for ref in slices[part]]
    candidates = {
        name: [ref for part in chosen for ref in slices[part]]
        for name, chosen in wanted.items()
        if chosen or name != "validation"
    }
    try:
        if config.selection == "files":
            return splits.by_files(candidates, counts)
        return splits.by_patients(candidates, counts, seed)
    except InputError as error:
        raise InputError(f"input_dir {input_dir}: {error}") from error


def _check_shapes(files: Sequence[Path], config: DataConfig) -> None:
    """Refuses, before the first record, slices that cannot all become records of one shape."""
    shapes = {hdf5_slices.shape_of(path)[1:]: path for path in files}
    if config.image_size == 0 and len(shapes) > 1:
        (one, first), (two, second) = list(shapes.items())[:2]
        raise InputError(
            f"data.image_size=0: {first} has slices of {one[0]}x{one[1]}, {second} of {two[0]}x{two[1]}, and records "
            "are of one shape; give an --image_size"
        )
    if config.image_size or noise_models.NOISES[config.noise].counts_photons:
        reason = f"image_size={config.image_size}" if config.image_size else f"noise={config.noise}"
        for path in shapes.values():
            hdf5_slices.check_square(path, reason)


def _is_transposed(files: Sequence[Path]) -> bool:
    """The orientation of all slices; refuses, before the first record, files of both."""
    found = {lodopab.is_transposed(path): path for path in files}
    if len(found) > 1:
        raise InputError(f"{found[True]} has transposed slices, {found[False]} upright ones; convert them separately")
    return found.popitem()[0]


def _files(split: splits.Splits) -> list[Path]:
    return sorted({ref.path for refs in split.values() for ref in refs})


def _about_photons(config: DataConfig, geometry: Geometry) -> Photons:
    """What the manifest says of counts: their factor in a coarser geometry, and the photons of the test splits."""
    if not noise_models.NOISES[config.noise].counts_photons:
        return {}
    factor: Photons = {"photon_factor": geometry.counts(1.0)}
    if not isinstance(config.photons, tuple):
        return factor
    return factor | {"test_photons": dose_sweep.test_splits(config.photons)}


def _record_maker(
    read: Callable[[lodopab.SliceRef], np.ndarray], config: DataConfig, models: noise_models.Models
) -> Callable[[dose_sweep.Scan], tfrecords.Record]:
    def make_record(scan: dose_sweep.Scan) -> tfrecords.Record:
        ref, photons = scan
        image = read(ref)
        normal_dose = low_dose.resized(image, config.image_size)
        noisy = models[photons](ref, image, normal_dose)
        if config.rescale_low_dose:
            noisy = low_dose.min_max_rescale(noisy)
        return tfrecords.Record(noisy, normal_dose, ref.patient_id, ref.index, ref.source, photons)

    return make_record
