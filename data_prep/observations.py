"""LoDoPaB-CT's low-dose sinograms, `observation_PART_NNN.hdf5` beside the ground truth: checked opening, and writing.

Dataset `data`, float32 (slices, 1000 angles, 513 detectors), row by row the ground truth's; our own may be of a coarser
geometry and say in an attribute what made them.
"""

import dataclasses
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np

from data_prep import hdf5_slices, lodopab, low_dose, projection, staging
from data_prep.config import DataConfig
from data_prep.errors import InputError
from data_prep.geometry import LODOPAB_PHOTONS, Geometry
from data_prep.noise_models import Models, Slices
from data_prep.progress import Progress, silent

SETTINGS_ATTRIBUTE = "observation_settings"
_UNFINISHED = ".observations.partial-"


def observation_name(part: str, number: int) -> str:
    """File name of the `number`-th observation file of a part."""
    return f"observation_{part}_{number:03d}.hdf5"


def observation_path(ref: lodopab.SliceRef) -> Path:
    """The file of a slice's observation, which has the slice's row in it."""
    return ref.path.with_name(observation_name(ref.part, ref.file_number))


def open_observations(path: Path, geometry: Geometry) -> h5py.Dataset:
    """Opens dataset `data` of an observation file, checked as hdf5_slices.open_images does and against the geometry.

    Returns:
      float32 dataset (slices, num_angles, num_detectors); close it through `.file.close()`.

    Raises:
      InputError: as hdf5_slices.open_images, or the shape is not the geometry's.
    """
    dataset = hdf5_slices.open_images(path)
    shape = dataset.shape
    if shape[1:] != geometry.shape:
        dataset.file.close()
        expected = f"(slices, {geometry.num_angles} angles, {geometry.num_detectors} detectors)"
        raise InputError(f"{path}: '{hdf5_slices.DATASET}' has shape {shape}, expected {expected}; give its geometry")
    return dataset


def check_counts(path: Path, geometry: Geometry, photons: float) -> None:
    """Raises InputError where unattenuated rays have another mean count than a file's: LoDoPaB's, or what ours say."""
    settings = hdf5_slices.attribute(path, SETTINGS_ATTRIBUTE, "")
    found = json.loads(settings)["photons"] if settings else geometry.counts(LODOPAB_PHOTONS)
    counts = geometry.counts(photons)
    if not math.isclose(found, counts, rel_tol=1e-6):
        way_out = (
            "as it was then, or remove the file and write it again" if settings else f"{LODOPAB_PHOTONS:g}, LoDoPaB's"
        )
        raise InputError(
            f"{path}: made with {found:g} photons per ray of its geometry, data.photons asks for {counts:g}; give "
            f"--photons {way_out}"
        )


def reader(geometry: Geometry) -> lodopab.SliceReader:
    """Reads slices' observations, float32 (num_angles, num_detectors); a context manager."""
    return lodopab.SliceReader(lambda path: open_observations(path, geometry), observation_path, value_range=None)


@dataclasses.dataclass(frozen=True)
class StoredObservations:
    """LoDoPaB-CT's low-dose sinograms, read from beside the ground truth and reconstructed.

    Attributes:
      read: gives a slice's observation, float32 (angles, detectors).
      geometry, filter_name: see projection.
    """

    read: Callable[[lodopab.SliceRef], np.ndarray]
    geometry: Geometry
    filter_name: str

    def __call__(self, ref: lodopab.SliceRef, image: np.ndarray, normal_dose: np.ndarray) -> np.ndarray:
        return low_dose.reconstructed(
            self.read(ref), self.geometry, self.filter_name, image.shape[0], normal_dose.shape[0]
        )


def stored(config: DataConfig, slices: Slices) -> Models:
    """Noise "observations": looks at every file of them.

    Raises:
      InputError: one is missing, too short, or of another geometry or dose.
    """
    last = {}  # of each file
    for ref in sorted(slices.refs, key=lambda ref: ref.row):
        last[observation_path(ref)] = ref
    for path, ref in last.items():
        if not path.is_file():
            raise InputError(
                f"{path}: missing, and data.noise=observations needs it beside {ref.path.name}; phantoms get theirs by "
                "experiments.prepare --source=phantoms --write_observations"
            )
        open_observations(path, slices.geometry).file.close()
        check_counts(path, slices.geometry, config.single_photons)
        if (rows := hdf5_slices.shape_of(path)[0]) <= ref.row:
            raise InputError(f"{path}: {rows} slices, too few for {ref.path.name}; copy or make it again")
    return {None: StoredObservations(slices.read_observation, slices.geometry, config.reconstruction_filter)}


def write_observations(
    hdf5_dir: Path,
    *,
    photons: float,
    seed: int,
    geometry: Geometry,
    progress: Progress = silent,
    workers: int | None = None,
) -> None:
    """Writes `observation_PART_NNN.hdf5` beside each ground-truth file, each whole by a rename; padding rows are zero.

    A file that is there and was made of the same arguments is kept, so that a killed run resumes with the next one.

    Args:
      hdf5_dir: folder of `ground_truth_PART_NNN.hdf5`.
      photons: mean count of an unattenuated ray of LoDoPaB's own geometry, see Geometry.counts.
      seed: decides the noise, together with each slice's part and index.
      geometry: where the rays run.
      progress: called after each slice.
      workers: threads, which do not change the arrays; by default one per core.

    Raises:
      InputError: an argument is out of range, slices are not square, an observation file is there that was made
        otherwise, or one cannot be written.
    """
    projection.check_photons(photons)
    counts = geometry.counts(photons)
    workers = os.cpu_count() or 1 if workers is None else workers
    if seed < 0:
        raise InputError(f"seed={seed}: must be at least 0")
    if workers < 1:
        raise InputError(f"workers={workers}: must be at least 1")
    settings = json.dumps({"photons": float(counts), "seed": seed, "geometry": dataclasses.asdict(geometry)})
    jobs = {
        target: refs for target, refs in _targets(hdf5_dir).items() if not _is_there(target, settings, refs, geometry)
    }
    done, total = 0, sum(map(len, jobs.values()))
    with (
        staging.temporary_folder(hdf5_dir, _UNFINISHED, f"input_dir {hdf5_dir}") as folder,
        lodopab.SliceReader() as images,
        ThreadPoolExecutor(workers) as pool,
    ):
        needed, free = 4 * total * math.prod(geometry.shape), shutil.disk_usage(hdf5_dir).free
        if needed > free:  # better said now than in hours
            raise InputError(
                f"input_dir {hdf5_dir}: the observations take {needed:,} bytes, the disk {staging.disk(hdf5_dir)} has "
                f"{free:,} free; free some"
            )

        def observe(ref: lodopab.SliceRef) -> np.ndarray:
            clean = projection.forward_projection(images.read(ref), geometry)
            return projection.low_dose_observation(clean, counts, low_dose.random_stream(seed, ref))

        for target, refs in jobs.items():
            attributes = {
                lodopab.SOURCE_ATTRIBUTE: lodopab.source_name(refs[0].path),
                SETTINGS_ATTRIBUTE: settings,
            }
            shape = (hdf5_slices.shape_of(refs[0].path)[0], *geometry.shape)
            with hdf5_slices.new_images(folder / target.name, shape, attributes) as write:
                for first in range(0, len(refs), workers):  # a few at a time, so that memory stays bounded
                    some = refs[first : first + workers]
                    for ref, observation in zip(some, pool.map(observe, some), strict=True):
                        write(ref.row, observation)
                        done += 1
                        progress("simulate observations", done, total)
            (folder / target.name).rename(target)


def _targets(hdf5_dir: Path) -> Mapping[Path, Sequence[lodopab.SliceRef]]:
    """The slices of each observation file."""
    targets: dict[Path, list[lodopab.SliceRef]] = {}
    for part, files in lodopab.find_parts(hdf5_dir).items():
        for path in files:
            hdf5_slices.check_square(path, "projecting them")
        for ref in lodopab.list_slices(hdf5_dir, part, files):
            targets.setdefault(observation_path(ref), []).append(ref)
    return targets


def _is_there(target: Path, settings: str, refs: Sequence[lodopab.SliceRef], geometry: Geometry) -> bool:
    if not target.exists():
        return False
    found = hdf5_slices.attribute(target, SETTINGS_ATTRIBUTE, "unknown settings (none of our files)")
    if found != settings:
        raise InputError(f"{target}: made with {found}, asked for {settings}; remove it or take another folder")
    open_observations(target, geometry).file.close()
    if hdf5_slices.shape_of(target)[0] != hdf5_slices.shape_of(refs[0].path)[0]:
        raise InputError(f"{target}: not of as many slices as {refs[0].path.name}; remove it")
    return True
