"""The slices that figures and the report's page show; which they are does not depend on any method."""

import dataclasses
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_prep.manifest import transposed
from wgan_vgg.errors import InputError, reason
from wgan_vgg.evaluation.evaluator import Batch
from wgan_vgg.evaluation.json_types import Place
from wgan_vgg.evaluation.metrics import gradient_energy
from wgan_vgg.run_dir import RunDir, read_json

RULE = "the slice whose truth has the highest mean squared gradient"
_IMAGES = ("low_dose", "normal_dose", "denoised")


@dataclasses.dataclass(frozen=True)
class Slice:
    """One of them: its position in the split, and images (height, width) in the training range."""

    position: int
    place: Place
    low_dose: np.ndarray
    normal_dose: np.ndarray
    denoised: np.ndarray

    def arrays(self) -> dict[str, Any]:
        """What the .npz holds of it."""
        named = {"patient_id": self.place["patient_id"], "slice_index": self.place["slice_index"]}
        return {"position": self.position, **named, **{name: getattr(self, name) for name in _IMAGES}}


class Samples:
    """Collects them from a split's batches: some that are spread over the patients, and the most detailed one."""

    def __init__(self, patients: Sequence[str], count: int) -> None:
        """`patients`: of each record of the split, in order; `count`: how many are spread over them."""
        self._wanted = set(spread_over_patients(patients, count))
        self._position = 0
        self._spread: list[Slice] = []
        self._most_detailed: Slice | None = None
        self._energy = -1.0

    @property
    def most_detailed(self) -> Slice:
        """The slice of RULE, of those seen up to now."""
        assert self._most_detailed is not None, "of a split without records, which DataSet refuses"
        return self._most_detailed

    def add(self, batch: Batch, denoised: np.ndarray) -> None:
        """Takes the next batch of the split and what was made of it, (batch, height, width)."""
        for row, low_dose, truth, output in zip(batch.rows, batch.low_dose, batch.normal_dose, denoised, strict=True):
            energy, found = gradient_energy(truth), Slice(self._position, row, low_dose, truth, output)
            if energy > self._energy:
                self._energy, self._most_detailed = energy, found
            if self._position in self._wanted:
                self._spread.append(found)
            self._position += 1

    def arrays(self) -> dict[str, np.ndarray]:
        """What the .npz holds, the most detailed slice first.

        Returns:
          `position` in the split, `patient_id` and `slice_index`, each (slices,), and `low_dose`, `normal_dose` and
          `denoised`, each (slices, height, width) in the training range, lying as the records do.
        """
        first = self.most_detailed
        others = [one for one in self._spread if one.position != first.position]
        slices = [one.arrays() for one in (first, *others)]
        return {name: np.stack([one[name] for one in slices]) for name in slices[0]}


def spread_over_patients(patients: Sequence[str], count: int) -> list[int]:
    """Positions of `count` records (or all, if fewer): each patient's middle one first, then at its quarters, ..."""
    by_patient: dict[str, list[int]] = {}
    for position, patient in enumerate(patients):
        by_patient.setdefault(patient, []).append(position)
    queues = [_middles(positions) for positions in by_patient.values()]
    rounds = range(max(map(len, queues), default=0))
    return [queue[i] for i in rounds for queue in queues if i < len(queue)][:count]


def load_samples(run: RunDir, split: str) -> dict[str, np.ndarray]:
    """See Samples.arrays; besides, `baseline`, if any: the output of the baseline that was best in tuning.

    The images are upright, however the records lie.
    """
    try:
        with np.load(run.eval_samples(split), allow_pickle=False) as stored:
            arrays = dict(stored)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{run.eval_samples(split)}: damaged ({reason(error)}); evaluate again") from error
    if transposed(read_json(run.eval_json(split))["data"]):
        arrays |= {name: arrays[name].swapaxes(1, 2) for name in (*_IMAGES, "baseline") if name in arrays}
    return arrays


def slice_name(samples: Mapping[str, np.ndarray], index: int = 0) -> str:
    """What captions call a slice."""
    return f"patient {samples['patient_id'][index]}, slice {samples['slice_index'][index]}"


def _middles(positions: Sequence[int]) -> list[int]:
    """The middle, then the middles of both halves, and so on: an order in which any beginning is spread evenly."""
    parts, order = [positions], list[int]()
    while parts:
        part = parts.pop(0)
        if part:
            middle = len(part) // 2
            order.append(part[middle])
            parts += [part[:middle], part[middle + 1 :]]
    return order
