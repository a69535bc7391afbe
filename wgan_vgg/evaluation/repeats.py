"""Some slices scanned three times: as they are, once more, and with lesions; and what a method does with them.

Only data whose low dose is simulated can be scanned again. The first and the last scan have the same noise.
"""

import dataclasses
import logging
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.repeated_scans import Scanner, SteadyGenerator, scanner
from wgan_vgg.config import EvaluationConfig, nested
from wgan_vgg.errors import reason
from wgan_vgg.evaluation import lesions, observers
from wgan_vgg.evaluation.evaluator import Batch, batch_size, batches, check_finite, scale_of
from wgan_vgg.evaluation.json_types import Detectability, LesionResponses, Place, RepeatedScans
from wgan_vgg.evaluation.parallel import workers
from wgan_vgg.evaluation.samples import spread_over_patients
from wgan_vgg.files import write_via
from wgan_vgg.input_pipeline import DataSet

logger = logging.getLogger(__name__)

PLAIN, AGAIN, WITH_LESIONS = range(3)
_STREAM = 6  # keys these scans' noise apart from the records' own
# Of how they are made, and what is measured in them, for what is kept. Before 2 Poisson counts with lesions had other
# noise, and noise power was that of the difference of two scans.
VERSION = 2


@dataclasses.dataclass(frozen=True)
class Repeats:
    """`scans` (3, images, height, width) of `truths` (images, height, width), in the training range.

    Attributes:
      rows: patient_id, slice_index and source of each image.
      places: of the lesions in each image.
      side: of the square around a lesion, in pixels.
    """

    rows: list[Place]
    truths: np.ndarray
    scans: np.ndarray
    places: list[list[lesions.Place]]
    side: int
    config: EvaluationConfig

    def evaluate(self, name: str, denoise: Callable[[Batch], np.ndarray]) -> list[LesionResponses | None]:
        """What observers see of each lesion in a method's images of the scans, see observers.responses.

        Raises:
          InputError: an image of it has NaN or infinite pixels.
        """
        denoised = np.stack([self._denoised(denoise, scans) for scans in self.scans])
        for images in denoised:
            check_finite(name, images, self.rows)
        return [self._responses(denoised, kind) for kind in range(len(lesions.kinds(self.config)))]

    def describe(self) -> RepeatedScans:
        """What the tables say of the scans."""
        return {
            "images": len(self.rows),
            "lesions": [
                {
                    "diameter_mm": kind.diameter_mm,
                    "contrast_hu": kind.contrast_hu,
                    "count": sum(place.kind == number for there in self.places for place in there),
                }
                for number, kind in enumerate(lesions.kinds(self.config))
            ],
        }

    def _responses(self, denoised: np.ndarray, kind: int) -> LesionResponses | None:
        present, absent, repeated = (
            lesions.cut(denoised[number], self.places, kind, self.side) for number in (WITH_LESIONS, PLAIN, AGAIN)
        )
        patients = [
            row["patient_id"]
            for row, there in zip(self.rows, self.places, strict=True)
            for place in there
            if place.kind == kind
        ]
        return observers.responses(present, absent, repeated, patients)

    def _denoised(self, denoise: Callable[[Batch], np.ndarray], scans: np.ndarray) -> np.ndarray:
        size = batch_size(scans.shape[1:])
        parts = [slice(first, first + size) for first in range(0, len(scans), size)]
        return np.concatenate([denoise(Batch(self.rows[part], scans[part], self.truths[part])) for part in parts])


def scan_again(data: DataSet, split: str, config: EvaluationConfig, kept: Path) -> Repeats | None:
    """The repeated scans of a split, from the file `kept` if they are there for the same data and settings.

    Returns:
      None where the data cannot be scanned again, or its patients or pixels are unknown.
    """
    scan = scanner(data.manifest, split)
    pixel, patients = data.pixel_mm, data.manifest["patients"][split]
    if scan is None or not config.repeated_images or pixel is None or not isinstance(patients, list):
        return None
    scale = scale_of(data)
    rows, truths = _chosen(data, split, config.repeated_images)
    side = lesions.roi_side(config, pixel)
    count = len(lesions.kinds(config))
    places = [
        lesions.find_places(scale.to_hu(truth), config, side, number % count) for number, truth in enumerate(truths)
    ]
    key = f"{VERSION} {data.fingerprint} {split} {nested.to_dict(config)}"
    stored = _stored(kept)
    if stored.get("key") != key:
        contrasts = _contrasts(config, side, pixel, scale.slope)
        stored = {"key": np.array(key), "scans": _scanned(scan, truths, places, contrasts, data)}
        write_via(kept, lambda file: np.savez(file, **stored), shared=True)
    return Repeats(rows, truths, stored["scans"], places, side, config)


def _stored(kept: Path) -> dict[str, Any]:
    """The arrays of a file; none where there is none, or it is damaged."""
    if not kept.is_file():
        return {}
    try:
        with kept.open("rb") as file, np.load(file) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        logger.warning("%s: damaged (%s); its scans are simulated again", kept, reason(error))
        return {}


def _chosen(data: DataSet, split: str, count: int) -> tuple[list[Place], np.ndarray]:
    """Slices that are spread over the patients."""
    patients = [row["patient_id"] for batch in batches(data, split) for row in batch.rows]
    wanted = set(spread_over_patients(patients, count))
    rows, truths, position = [], [], 0
    for batch in batches(data, split):
        for row, truth in zip(batch.rows, batch.normal_dose, strict=True):
            if position in wanted:
                rows.append(row)
                truths.append(truth)
            position += 1
    return rows, np.stack(truths)


def _contrasts(config: EvaluationConfig, side: int, pixel_mm: float, slope: float) -> np.ndarray:
    """What each kind of lesion adds to its square, in the training range: (kinds, side, side)."""
    return np.stack(
        [lesions.disc(side, kind.diameter_mm / pixel_mm) * (kind.contrast_hu / slope) for kind in lesions.kinds(config)]
    ).astype(np.float32)


def _scanned(
    scan: Scanner,
    truths: np.ndarray,
    places: list[list[lesions.Place]],
    contrasts: np.ndarray,
    data: DataSet,
) -> np.ndarray:
    def scan_one(job: tuple[int, int]) -> np.ndarray:
        kind, number = job
        noise = AGAIN if kind == AGAIN else PLAIN
        stream = np.random.SeedSequence(data.manifest["seed"], spawn_key=(_STREAM, noise, number))
        truth = truths[number]
        image = lesions.inserted(truth, places[number], contrasts) if kind == WITH_LESIONS else truth
        return scan(image, SteadyGenerator(np.random.PCG64(stream)))

    jobs = [(kind, number) for kind in (PLAIN, AGAIN, WITH_LESIONS) for number in range(len(truths))]
    with workers() as pool:
        scans = np.stack(list(pool.map(scan_one, jobs)))
    return scans.reshape(3, *truths.shape).astype(np.float32)


def statistics(
    responses: Mapping[str, Sequence[list[LesionResponses | None]]], reference: str, confidence: float
) -> list[Detectability | None]:
    """observers.detectability of each lesion by observer; None where an observer could not be built of a method.

    Args:
      responses: by method, once for each seed, see Repeats.evaluate.
      reference: see observers.detectability.
      confidence: of the intervals.
    """
    found: list[Detectability | None] = []
    for lesion in range(max((len(seeds[0]) for seeds in responses.values()), default=0)):
        built = {
            name: [one for of_seed in seeds if (one := of_seed[lesion]) is not None]
            for name, seeds in responses.items()
        }
        known = {name: of_seeds for name, of_seeds in built.items() if len(of_seeds) == len(responses[name])}
        found.append(
            {
                observer: observers.detectability(
                    {name: [one[observer] for one in of_seeds] for name, of_seeds in known.items()},
                    reference,
                    confidence=confidence,
                )
                for observer in (observers.CHO, observers.NPW)
            }
            if reference in known
            else None
        )
    return found
