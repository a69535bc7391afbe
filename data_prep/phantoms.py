"""Synthetic CT patients in LoDoPaB-CT's own layout: the project's data when there is no network and no licence.

A patient is a list of solids (phantom_anatomy); a slice paints those that its plane cuts, back to front,
each with a soft edge about one pixel wide, and adds fine correlated texture. Everything follows from the seed.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from data_prep import hdf5_slices, lodopab
from data_prep.errors import InputError
from data_prep.hu import AIR_HU
from data_prep.lodopab import IMAGE_SIZE, SLICES_PER_FILE
from data_prep.phantom_anatomy import Patient, make_patient, random_stream
from data_prep.phantom_body import BODY_LENGTH
from data_prep.phantom_solids import Solid
from data_prep.progress import Progress, silent
from data_prep.staging import staged_folder

FLAT_TISSUES = ("air", "fat", "muscle", "liver", "spleen")
AIR_TEXTURE_HU = 3.0
# Keys of the random streams of one seed, besides phantom_anatomy's.
TEXTURE, SLICES, ORDER = 1, 2, 3
# The logistic edge rises from 12 % to 88 % over one pixel with this width; beyond 8 of them it is flat.
EDGE_PIXELS = 0.25
EDGE_REACH = 8.0
SETTINGS_ATTRIBUTE = "phantom_settings"  # of our HDF5 files: what made them


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """A region of one known `hu`, safely inside tissue `name`: `mask` is bool (size, size)."""

    name: str
    hu: float
    mask: np.ndarray


def render_slice(patient: Patient, z: float, size: int = IMAGE_SIZE) -> np.ndarray:
    """Renders the slice at z in [0, 1] (upper chest to kidneys): float32 HU (size, size), upright.

    The same arguments give the same bytes; texture differs from slice to slice, as noise does.
    """
    hu, texture = _paint(patient, z, size, lambda solid: (solid.hu, solid.texture), (AIR_HU, AIR_TEXTURE_HU))
    stream = random_stream(patient.seed, TEXTURE, patient.number, round(z * 1e6))
    noise = stream.standard_normal((size, size), dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, 0.7, mode="wrap", truncate=3)
    return hu + texture * (noise / noise.std())


def flat_regions(patient: Patient, z: float, size: int = IMAGE_SIZE) -> list[Region]:
    """Where the upright slice shows nothing but one tissue, well away from its edges: the tissues it has enough of."""
    hu = {solid.name: solid.hu for solid in patient.solids} | {"air": AIR_HU}
    shares = _paint(
        patient,
        z,
        size,
        lambda solid: [solid.name == tissue for tissue in FLAT_TISSUES],
        [tissue == "air" for tissue in FLAT_TISSUES],
    )
    margin = max(1, size // 120)
    masks = (ndimage.binary_erosion(share > 0.998, iterations=margin) for share in shares)
    regions = [Region(tissue, hu[tissue], mask) for tissue, mask in zip(FLAT_TISSUES, masks, strict=True)]
    return [region for region in regions if region.mask.sum() >= size * size // 400]


def write_phantoms(
    output_dir: Path,
    *,
    patients: Mapping[str, int],
    slices_per_patient: tuple[int, int] = (10, 30),
    seed: int,
    progress: Progress = silent,
) -> None:
    """Writes a population as LoDoPaB-CT's ground truth, transposed.

    Args:
      output_dir: where the files appear, all at once, at the end; must not exist or be empty.
      patients: how many patients each part has, such as {"train": 24, "test": 8}; numbered through the parts.
      slices_per_patient: least and most slices of one patient.
      seed: decides everything.
      progress: called after each slice.

    Raises:
      InputError: an argument is out of range, or `output_dir` is taken or cannot be written.
    """
    _check_arguments(patients, slices_per_patient, seed)
    plan = _plan(patients, slices_per_patient, seed)
    total, done = sum(len(slices) for slices in plan.values()), 0
    attributes = {
        lodopab.SOURCE_ATTRIBUTE: "phantoms",
        lodopab.ORIENTATION_ATTRIBUTE: lodopab.TRANSPOSED,
        SETTINGS_ATTRIBUTE: _settings(patients, slices_per_patient, seed),
    }
    with staged_folder(output_dir) as folder:
        for part, slices in plan.items():
            people = {number: make_patient(seed, number) for number in {number for number, _ in slices}}
            ids = "".join(f"{number}\n" for number, _ in slices)
            (folder / lodopab.patient_ids_name(part)).write_text(ids)
            for first in range(0, len(slices), SLICES_PER_FILE):
                path = folder / lodopab.ground_truth_name(part, first // SLICES_PER_FILE)
                with hdf5_slices.new_images(path, (SLICES_PER_FILE, IMAGE_SIZE, IMAGE_SIZE), attributes) as write:
                    for row, (number, z) in enumerate(slices[first : first + SLICES_PER_FILE]):
                        write(row, lodopab.values_from_hu(render_slice(people[number], z).T))
                        done += 1
                        progress("make phantoms", done, total)


def check_same(input_dir: Path, *, patients: Mapping[str, int], slices_per_patient: tuple[int, int], seed: int) -> None:
    """Raises InputError unless `input_dir` holds what write_phantoms writes for the same arguments."""
    expected = _settings(patients, slices_per_patient, seed)
    for files in lodopab.find_parts(input_dir).values():
        found = hdf5_slices.attribute(files[0], SETTINGS_ATTRIBUTE, "none: not phantoms")
        if found != expected:
            raise InputError(f"{files[0]}: made with {found}, asked for {expected}; take another folder")


def _settings(patients: Mapping[str, int], slices_per_patient: tuple[int, int], seed: int) -> str:
    return json.dumps({"patients": dict(patients), "slices_per_patient": list(slices_per_patient), "seed": seed})


def _check_arguments(patients: Mapping[str, int], slices_per_patient: tuple[int, int], seed: int) -> None:
    unknown = sorted(set(patients) - set(lodopab.PARTS))
    if unknown:
        raise InputError(f"patients={dict(patients)}: unknown part {unknown[0]!r}; take {', '.join(lodopab.PARTS)}")
    if min(patients.values(), default=0) < 0 or sum(patients.values()) == 0:
        raise InputError(f"patients={dict(patients)}: counts must be 0 or more, and one above 0; ask for a patient")
    least, most = slices_per_patient
    if not 1 <= least <= most:
        raise InputError(f"slices_per_patient={least, most}: must be 1 <= least <= most; take (10, 30)")
    if seed < 0:
        raise InputError(f"seed={seed}: must be 0 or more; take 0")


def _plan(
    patients: Mapping[str, int], slices_per_patient: tuple[int, int], seed: int
) -> dict[str, list[tuple[int, float]]]:
    """Patient number and z of every slice of each part, in an order that mixes patients as LoDoPaB's does."""
    plan = {}
    first = 0
    for part_number, part in enumerate(lodopab.PARTS):
        slices: list[tuple[int, float]] = []
        for number in range(first, first + patients.get(part, 0)):
            rng = random_stream(seed, SLICES, number)
            count = rng.integers(slices_per_patient[0], slices_per_patient[1], endpoint=True)
            slices += [(number, float(z)) for z in (np.arange(count) + rng.random()) / count]
        first += patients.get(part, 0)
        if slices:
            plan[part] = [slices[i] for i in random_stream(seed, ORDER, part_number).permutation(len(slices))]
    return plan


def _paint(
    patient: Patient, z: float, size: int, values: Callable[[Solid], Sequence[float]], background: Sequence[float]
) -> np.ndarray:
    """Paints what `values` gives for each solid over `background`: float32 (number of values, size, size)."""
    x, y, left, top, pixel = _body_frame(patient, z, size)
    depth = z * BODY_LENGTH
    slack = patient.bend[:, :, 0].sum(axis=1).max()  # how far the bent frame may carry a point out of its box
    planes = np.tile(np.reshape(background, (-1, 1, 1)).astype(np.float32), (1, size, size))
    containers = {solid.within for solid in patient.solids}
    shares: dict[str, np.ndarray] = {}
    for solid in patient.solids:
        if solid.within and solid.within not in shares:
            continue
        colour = values(solid)
        edge = EDGE_PIXELS * pixel + solid.blur / 4
        for (x_low, x_high, y_low, y_high), piece in solid.pieces(depth, EDGE_REACH * edge):
            rows = _pixels(y_low - slack, y_high + slack, top, pixel, size)
            columns = _pixels(x_low - slack, x_high + slack, left, pixel, size)
            share = solid.distance(x[rows, columns], y[rows, columns], depth, piece)
            share *= -0.5 / edge
            np.tanh(share, out=share)
            share += 1
            share *= 0.5
            if solid.within:
                share *= shares[solid.within][rows, columns]
            for plane, value in zip(planes, colour, strict=True):
                region = plane[rows, columns]
                change = float(value) - region
                change *= share
                region += change
            if solid.name in containers:
                whole = shares.setdefault(solid.name, np.zeros((size, size), np.float32))[rows, columns]
                np.maximum(whole, share, out=whole)
    return planes


def _body_frame(patient: Patient, z: float, size: int) -> tuple[np.ndarray, np.ndarray, float, float, float]:
    """Body coordinates of every pixel, bent: x and y, float32 (size, size); and of the unbent grid, the left and
    upper border and the size of a pixel."""
    width = patient.width * (1 + patient.belly * (z - 0.5))
    pixel = 2 / (size * width)
    # The back rests on the couch, so that it stays where it is while the body's size changes.
    left, top = -1 / width, -1 / width + patient.build.height * (patient.width / width - 1)
    x = left + pixel * (np.arange(size) + 0.5)
    y = top + pixel * (np.arange(size) + 0.5)
    amplitude, wave_x, wave_y, wave_z, phase_x, phase_y = np.moveaxis(patient.bend[..., None], 2, 0)
    along_x = (amplitude * np.sin(wave_x * x + phase_x + wave_z * z)).astype(np.float32)
    along_y = np.sin(wave_y * y + phase_y - wave_z * z).astype(np.float32)
    bend_x, bend_y = np.einsum("kwx,kwy->kyx", along_x, along_y)
    return x.astype(np.float32) + bend_x, y.astype(np.float32)[:, None] + bend_y, left, top, pixel


def _pixels(low: float, high: float, start: float, pixel: float, size: int) -> slice:
    """The rows or columns that [low, high] touches; the bounds may be infinite."""
    first, last = (min(max((bound - start) / pixel, 0), size) for bound in (low, high))
    return slice(int(first), math.ceil(last))
