"""Several methods evaluated on the same images, in the order of the records and batch by batch."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor

import numpy as np

from wgan_vgg.config import EvaluationConfig
from wgan_vgg.errors import InputError
from wgan_vgg.evaluation.accumulator import Accumulator
from wgan_vgg.evaluation.image_measures import Scale, Truth, measure
from wgan_vgg.evaluation.json_types import MethodSummary, Place, Row
from wgan_vgg.evaluation.perceptual import PerceptualDistance
from wgan_vgg.input_pipeline import DataSet

# At most this many images and pixels per batch, so that VGG's first features of it stay below about 1 GB.
_BATCH_IMAGES, _BATCH_PIXELS = 16, 2**20


@dataclasses.dataclass(frozen=True)
class Batch:
    """Some records of a split: which slices, and images (batch, height, width)."""

    rows: list[Place]
    low_dose: np.ndarray
    normal_dose: np.ndarray


def batch_size(image_shape: tuple[int, int]) -> int:
    """Images that are denoised and measured at once."""
    height, width = image_shape
    return max(1, min(_BATCH_IMAGES, _BATCH_PIXELS // (height * width)))


def batches(data: DataSet, split: str) -> Iterator[Batch]:
    """Every record of a split, in the order of conversion.

    Raises:
      InputError: no such split, or a corrupt shard.
    """
    with data.translate_shard_errors():
        for records in data.records(split).batch(batch_size(data.image_shape)).as_numpy_iterator():
            names = zip(records["patient_id"], records["slice_index"], records["source"], strict=True)
            rows: list[Place] = [
                {"patient_id": patient.decode(), "slice_index": int(index), "source": source.decode()}
                for patient, index, source in names
            ]
            yield Batch(rows, records["low_dose"][..., 0], records["normal_dose"][..., 0])


class Evaluator:
    """One Accumulator for each method, and the rows of the CSV."""

    def __init__(
        self,
        data: DataSet,
        config: EvaluationConfig,
        perceptual: PerceptualDistance | None,
        methods: Mapping[str, bool],
        pool: Executor,
    ) -> None:
        """`methods`: by name, whether its images have HU (a min-max rescaled one has none); `pool` measures images."""
        self._scale = scale_of(data)
        self._config, self._perceptual, self._pool = config, perceptual, pool
        self._accumulators = {name: Accumulator(self._scale, config, in_hu=in_hu) for name, in_hu in methods.items()}
        self.rows: list[Row] = []
        self._measured = 0

    def add(self, batch: Batch, images: Mapping[str, np.ndarray]) -> list[Truth]:
        """Measures each method's images (batch, height, width) of one batch; returns the truths.

        Raises:
          InputError: a method's image has NaN or infinite pixels.
        """
        for name, outputs in images.items():
            check_finite(name, outputs, batch.rows)
        truths = list(self._pool.map(lambda image: Truth(image, self._scale, self._config), batch.normal_dose))
        distances = self._distances(batch, images)
        jobs = [(name, number) for name in images for number in range(len(truths))]
        measured = self._pool.map(
            lambda job: measure(
                truths[job[1]],
                images[job[0]][job[1]],
                in_hu=self._accumulators[job[0]].in_hu,
                perceptual=distances.get(job),
            ),
            jobs,
        )
        for (name, number), found in zip(jobs, measured, strict=True):
            row = batch.rows[number]
            self._accumulators[name].add(truths[number], images[name][number], row["patient_id"], found)
            self.rows.append({**row, "method": name, **found.values})
        return truths

    def _distances(self, batch: Batch, images: Mapping[str, np.ndarray]) -> dict[tuple[str, int], float]:
        """In VGG features, by method and number in the batch, of every perceptual_every-th image."""
        first = -self._measured % self._config.perceptual_every
        chosen = range(first, len(batch.rows), self._config.perceptual_every)
        self._measured += len(batch.rows)
        if not (self._perceptual and chosen):
            return {}
        features = self._perceptual.features(batch.normal_dose[chosen])
        return {
            (name, number): distance
            for name, outputs in images.items()
            for number, distance in zip(chosen, self._perceptual.distances(features, outputs[chosen]), strict=True)
        }

    def summaries(self) -> dict[str, MethodSummary]:
        """See Accumulator.summary; by method."""
        return {name: one.summary() for name, one in self._accumulators.items()}


def scale_of(data: DataSet) -> Scale:
    """The HU and the pixels of a data set."""
    return Scale(data.hu.slope, data.hu.intercept, data.pixel_mm)


def check_finite(name: str, outputs: np.ndarray, rows: Sequence[Place]) -> None:
    """Raises InputError, naming the method and the record, where an image has NaN or infinite pixels."""
    for row, output in zip(rows, outputs, strict=True):
        if not np.all(np.isfinite(output)):
            raise InputError(
                f"{name}: NaN or infinite pixels in its image of patient {row['patient_id']}, slice "
                f"{row['slice_index']}; it cannot be scored; correct the method"
            )
