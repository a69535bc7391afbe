"""Some slices scanned three times: as they are, once more, and with lesions; and what a method makes of them.

Only data whose low dose is simulated can be scanned again. The first and the last scan have the same noise.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.repeated_scans import Scanner, scanner
from wgan_vgg import config_values
from wgan_vgg.config import EvaluationConfig
from wgan_vgg.evaluation import flat_regions, lesions, noise_texture, observers
from wgan_vgg.evaluation.judge import Scale, Truth
from wgan_vgg.evaluation.panel import Batch, batch_size, batches, check_finite
from wgan_vgg.evaluation.samples import spread_over_patients
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import write_via

PLAIN, AGAIN, WITH_LESIONS = range(3)
_STREAM = 6  # keys these scans' noise apart from the records' own


@dataclasses.dataclass(frozen=True)
class Repeats:
    """`scans` (3, images, height, width) of `truths` (images, height, width), in the training range.

    Attributes:
      rows: patient_id, slice_index and source of each image.
      places: of the lesions in each image.
      side: of the square around a lesion, in pixels.
    """

    rows: list[dict[str, Any]]
    truths: np.ndarray
    scans: np.ndarray
    places: list[list[lesions.Place]]
    side: int
    scale: Scale
    config: EvaluationConfig

    def judge(self, name: str, denoise: Callable[[Batch], np.ndarray]) -> dict[str, Any]:
        """What a method makes of the scans.

        Returns:
          `spectra`: noise_texture.Spectra of its noise; `responses`: by lesion, as observers.responses.

        Raises:
          InputError: an image of it has NaN or infinite pixels.
        """
        denoised = np.stack([self._denoised(denoise, scans) for scans in self.scans])
        for images in denoised:
            check_finite(name, images, self.rows)
        spectra = noise_texture.Spectra()
        for row, truth, plain, again in zip(self.rows, self.truths, denoised[PLAIN], denoised[AGAIN], strict=True):
            regions = Truth(truth, self.scale, self.config).regions
            if regions:
                noise = flat_regions.cut((plain - again) * (self.scale.slope / np.sqrt(2)), regions)
                spectra.add(row["patient_id"], flat_regions.detrended(noise))
        return {"spectra": spectra, "responses": [self._responses(denoised, kind) for kind in self._kinds]}

    def describe(self) -> dict[str, Any]:
        """What the tables say of the scans."""
        return {
            "images": len(self.rows),
            "lesions": [
                dataclasses.asdict(kind) | {"count": sum(p.kind == number for there in self.places for p in there)}
                for number, kind in enumerate(lesions.kinds(self.config))
            ],
        }

    @property
    def _kinds(self) -> range:
        return range(len(lesions.kinds(self.config)))

    def _responses(self, denoised: np.ndarray, kind: int) -> dict[str, Any] | None:
        squares = [
            lesions.cut(denoised[number], self.places, kind, self.side) for number in (WITH_LESIONS, PLAIN, AGAIN)
        ]
        patients = [
            row["patient_id"]
            for row, there in zip(self.rows, self.places, strict=True)
            for place in there
            if place.kind == kind
        ]
        return observers.responses(*squares, patients)

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
    pixel, patients = data.manifest["pixel_spacing_mm"], data.manifest["patients"][split]
    if scan is None or not config.repeated_images or not isinstance(pixel, float) or not isinstance(patients, list):
        return None
    scale = Scale(data.hu_slope, data.manifest["hu_intercept"], pixel)
    rows, truths = _chosen(data, split, config.repeated_images)
    side = lesions.roi_side(config, pixel)
    count = len(lesions.kinds(config))
    places = [
        lesions.find_places(scale.to_hu(truth), config, side, number % count) for number, truth in enumerate(truths)
    ]
    key = f"{data.fingerprint} {split} {config_values.to_dict(config)}"
    stored = dict(np.load(kept)) if kept.is_file() else {}
    if stored.get("key") != key:
        stored = {"key": np.array(key), "scans": _scanned(scan, truths, places, _contrasts(config, side, scale), data)}
        write_via(kept, lambda file: np.savez(file, **stored))
    return Repeats(rows, truths, stored["scans"], places, side, scale, config)


def _chosen(data: DataSet, split: str, count: int) -> tuple[list[dict[str, Any]], np.ndarray]:
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


def _contrasts(config: EvaluationConfig, side: int, scale: Scale) -> np.ndarray:
    """What each kind of lesion adds to its square, in the training range: (kinds, side, side)."""
    return np.stack(
        [
            lesions.disc(side, kind.diameter_mm / scale.pixel_mm) * (kind.contrast_hu / scale.slope)
            for kind in lesions.kinds(config)
        ]
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
        return scan(image, np.random.default_rng(stream))

    jobs = [(kind, number) for kind in (PLAIN, AGAIN, WITH_LESIONS) for number in range(len(truths))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        scans = np.stack(list(pool.map(scan_one, jobs)))
    return scans.reshape(3, *truths.shape).astype(np.float32)


def statistics(
    responses: Mapping[str, list[dict[str, Any] | None]], reference: str, confidence: float
) -> list[dict[str, Any] | None]:
    """observers.detectability of each lesion by observer; None where an observer could not be built of a method.

    Args:
      responses: by method, see Repeats.judge.
      reference: see observers.detectability.
      confidence: of the intervals.
    """
    found: list[dict[str, Any] | None] = []
    for of_methods in zip(*responses.values(), strict=True):
        known = {name: one for name, one in zip(responses, of_methods, strict=True) if one is not None}
        found.append(
            {
                observer: observers.detectability(
                    {name: one[observer] for name, one in known.items()}, reference, confidence=confidence
                )
                for observer in (observers.CHO, observers.NPW)
            }
            if reference in known
            else None
        )
    return found
