"""From a folder of LoDoPaB-CT files to a data set of TFRecord pairs: select, resize, add noise, write."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep import hdf5_slices, lodopab, low_dose, observations, splits, tfrecords
from data_prep.errors import InputError
from data_prep.geometry import Geometry
from data_prep.staging import check_free

logger = logging.getLogger(__name__)


def prepare_lodopab(
    input_dir: Path,
    output_dir: Path,
    *,
    seed: int,
    image_size: int,
    num_train: int,
    num_validation: int,
    num_test: int,
    train_parts: Sequence[str],
    validation_parts: Sequence[str],
    test_parts: Sequence[str],
    selection: str,
    patient_ids_per_part: bool,
    noise: str,
    noise_std: float | None,
    noise_variance: float | None,
    shared_noise_field: bool,
    rescale_low_dose: bool,
    photons: float,
    projection_coarseness: int,
    reconstruction_filter: str,
    shards: int,
    allow_leak: bool = False,
    workers: int | None = None,
    progress: tfrecords.Progress | None = None,
) -> dict[str, Any]:
    """Makes a data set from LoDoPaB-CT's ground truth (real, phantom, or a single file of that form).

    The order is the report's: the whole slice is resized, then the noise is added, unclipped.

    Args:
      input_dir: folder of `ground_truth_PART_NNN.hdf5` and, if there, `patient_ids_rand_PART.csv`.
      output_dir: folder of records to be made.
      seed: decides the patients' order and every noise field.
      image_size: side in pixels to which slices are resized (order 1, anti-aliased); 0 keeps their own.
      num_train, num_validation, num_test: slices of each split; 0 takes all.
      train_parts, validation_parts, test_parts: LoDoPaB's parts from which each split is taken, see
        splits.by_patients; without validation_parts there is no validation split.
      selection: "patients" (disjoint) or "files" (the notebook's, which leaks).
      patient_ids_per_part: whether an id in two parts is two people; in LoDoPaB's own files it is one.
      noise: "gaussian", "poisson" or "observations", see low_dose; "none" is refused, since LoDoPaB has no
        low-dose images of its own.
      noise_std, noise_variance: the noise's strength in units of the [0, 1] image; one of them is None.
      photons, projection_coarseness, reconstruction_filter: of the noise models that go through projections.
      shared_noise_field, rescale_low_dose: the notebook's variants, see low_dose.
      shards: files a split.
      allow_leak: let patients occur in more than one split, as the notebook does.
      workers, progress: see tfrecords.write_dataset.

    Returns:
      The manifest.

    Raises:
      InputError: whatever is wrong with the input, before or instead of a written data set.
    """
    settings = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in locals().items()
        if name not in ("input_dir", "output_dir", "seed", "allow_leak", "workers", "progress")
    }
    check_free(output_dir)
    if noise == "none":
        raise InputError(
            f"data.noise={noise!r}: LoDoPaB-CT has no low-dose images; take --set=data.noise=gaussian and a "
            "--noise_std or --noise_variance"
        )
    split = _select(input_dir, settings, seed)
    _check_shapes(_files(split), image_size, noise)
    transposed = _is_transposed(_files(split))
    leaking = splits.leaking_patients(split)
    if leaking:
        message = f"{len(leaking)} patients occur in more than one split"
        if not allow_leak:
            raise InputError(f"data.selection={selection!r}: {message}; only the notebook preset may leak")
        logger.warning("%s", message)
    geometry = Geometry().coarser(projection_coarseness)
    with lodopab.SliceReader() as reader, observations.reader(geometry) as observed:
        model = _low_dose_model(settings, geometry, seed, split, observed.read)
        make_record = _record_maker(reader.read, image_size, model, rescale_low_dose)
        sides = reader.read(split["train"][0]).shape
        return tfrecords.write_dataset(
            output_dir,
            split,
            make_record,
            shards=shards,
            description={
                "source": lodopab.source_name(split["train"][0].path),
                "input_files": {path.name: path.stat().st_size for path in _files(split)},
                "seed": seed,
                "data": settings,
                "hu_slope": lodopab.HU_SLOPE,
                "hu_intercept": lodopab.HU_INTERCEPT,
                "low_dose_clip": None,  # the noise goes below 0 and above 1
                "transposed": transposed,
                "pixel_spacing_mm": lodopab.PIXEL_SPACING_MM * sides[0] / (image_size or sides[0]),
                "patients": {
                    name: sorted(splits.patients(refs)) or tfrecords.UNKNOWN_PATIENT for name, refs in split.items()
                },
                "patients_in_both": leaking if leaking is not None else tfrecords.UNKNOWN_PATIENT,
            },
            workers=workers,
            progress=progress,
        )


def _select(input_dir: Path, settings: Mapping[str, Any], seed: int) -> splits.Splits:
    parts = lodopab.find_parts(input_dir)
    wanted = {name: settings[f"{name}_parts"] for name in lodopab.PARTS}
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
        if settings["patient_ids_per_part"]:
            slices[part] = [lodopab.of_part_alone(ref) for ref in slices[part]]
    candidates = {
        name: [ref for part in chosen for ref in slices[part]]
        for name, chosen in wanted.items()
        if chosen or name != "validation"
    }
    counts = {name: settings[f"num_{name}"] for name in candidates}
    try:
        if settings["selection"] == "files":
            return splits.by_files(candidates, counts)
        return splits.by_patients(candidates, counts, seed)
    except InputError as error:
        raise InputError(f"input_dir {input_dir}: {error}") from error


def _check_shapes(files: Sequence[Path], image_size: int, noise: str) -> None:
    """Refuses, before the first record, slices that cannot all become records of one shape."""
    shapes = {hdf5_slices.shape_of(path)[1:]: path for path in files}
    if image_size == 0 and len(shapes) > 1:
        (one, first), (two, second) = list(shapes.items())[:2]
        raise InputError(
            f"data.image_size=0: {first} has slices of {one[0]}x{one[1]}, {second} of {two[0]}x{two[1]}, and records "
            "are of one shape; give an --image_size"
        )
    if image_size or noise != "gaussian":
        for path in shapes.values():
            hdf5_slices.check_square(path, f"image_size={image_size}" if image_size else f"noise={noise}")


def _is_transposed(files: Sequence[Path]) -> bool:
    """The orientation of all slices; refuses, before the first record, files of both."""
    found = {lodopab.is_transposed(path): path for path in files}
    if len(found) > 1:
        raise InputError(f"{found[True]} has transposed slices, {found[False]} upright ones; convert them separately")
    return found.popitem()[0]


def _files(split: splits.Splits) -> list[Path]:
    return sorted({ref.path for refs in split.values() for ref in refs})


def _record_maker(
    read: Callable[[lodopab.SliceRef], np.ndarray], image_size: int, model: low_dose.Model, rescale: bool
) -> Callable[[lodopab.SliceRef], tfrecords.Record]:
    def make_record(ref: lodopab.SliceRef) -> tfrecords.Record:
        image = read(ref)
        normal_dose = low_dose.resized(image, image_size)
        noisy = model(ref, image, normal_dose)
        if rescale:
            noisy = low_dose.min_max_rescale(noisy)
        return tfrecords.Record(noisy, normal_dose, ref.patient_id, ref.index, ref.source)

    return make_record


def _low_dose_model(
    settings: Mapping[str, Any],
    geometry: Geometry,
    seed: int,
    split: splits.Splits,
    read_observation: Callable[[lodopab.SliceRef], np.ndarray],
) -> low_dose.Model:
    """The model that `noise` names; stored observations are looked for before the first record."""
    if settings["noise"] == "gaussian":
        std = settings["noise_std"]
        std = std if std is not None else math.sqrt(settings["noise_variance"])
        return low_dose.GaussianNoise(std, seed, settings["shared_noise_field"])
    if settings["noise"] == "poisson":
        return low_dose.PoissonNoise(settings["photons"], seed, geometry, settings["reconstruction_filter"])
    last = {}  # of each file
    for ref in sorted((ref for refs in split.values() for ref in refs), key=lambda ref: ref.row):
        last[observations.observation_path(ref)] = ref
    for path, ref in last.items():
        if not path.is_file():
            raise InputError(
                f"{path}: missing, and data.noise=observations needs it beside {ref.path.name}; phantoms get theirs by "
                "experiments.prepare --source=phantoms --write_observations"
            )
        observations.open_observations(path, geometry).file.close()
        if (rows := hdf5_slices.shape_of(path)[0]) <= ref.row:
            raise InputError(f"{path}: {rows} slices, too few for {ref.path.name}; copy or make it again")
    return low_dose.StoredObservations(read_observation, geometry, settings["reconstruction_filter"])
