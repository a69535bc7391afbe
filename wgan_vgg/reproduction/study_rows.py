"""A row of a study: what one protocol's trainings come to, over seeds and patients."""

import dataclasses
from collections.abc import Sequence

from wgan_vgg.config import Config, nested
from wgan_vgg.evaluation.json_types import Estimate, Score, Summary
from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.evaluation.statistics import PatientScores, means_of_all, paired_difference
from wgan_vgg.reporting.json_types import StudyRow
from wgan_vgg.reproduction.protocols import Variant, applied
from wgan_vgg.seeds import derive

# Those of an evaluation's means that the study shows: the notebook's two, and those without their flaws.
METRICS = ("report_psnr", "report_ssim", "psnr", "ssim", "rmse_hu")
_ENDINGS = ("done", "collapsed", "diverged")  # a row's status is the worst of its seeds'


@dataclasses.dataclass(frozen=True)
class EvaluatedSeed:
    """One training of a row.

    Attributes:
      own: its evaluation, the content of eval/test.json.
      on_first: that on the first row's test images.
      status: how the training ended, "done", "collapsed" or "diverged".
      message: of a diverged one.
    """

    config: Config
    own: Summary
    on_first: Summary
    status: str
    message: str | None


def study_row(
    name: str, variant: Variant, seeds: Sequence[EvaluatedSeed], first: Sequence[EvaluatedSeed], config: Config
) -> StudyRow:
    """The row's part of study.json: means over its seeds, and two differences of PSNR in dB with intervals.

    Args:
      name: of the row.
      variant: what it changes.
      seeds: its trainings.
      first: those of the first row, with the same seeds.
      config: of the study.

    Returns:
      `above_noisy`: the model minus its own noisy input. `above_first`: this row's networks minus the first row's, on
      the first row's images; None in that row. With one seed their intervals are over patients alone.
    """
    one = seeds[0]
    own, on_first, of_first = (
        [_psnr(summary, config.model) for summary in summaries]
        for summaries in ([s.own for s in seeds], [s.on_first for s in seeds], [s.own for s in first])
    )
    return {
        "name": name,
        "title": variant.title,
        "source": variant.source,
        "overrides": {key: nested.flatten(one.config)[key] for key in applied(variant, one.config)},
        "images": one.own["data"]["images"],
        "patients": one.own["data"]["patients"],
        "patients_in_both": one.own["data"]["patients_in_both"],
        "step": one.own["step"],
        "noisy": _means([one.own], NOISY),
        "model": _means([s.own for s in seeds], config.model),
        "on_first": _means([s.on_first for s in seeds], config.model),
        "above_noisy": _difference(own, [_psnr(one.own, NOISY)], one.own, config),
        "above_first": None if seeds is first else _difference(on_first, of_first, one.on_first, config),
        "by_seed": [s.own["methods"][config.model]["psnr"] for s in seeds],
        "status": max((s.status for s in seeds), key=_ENDINGS.index),
        "message": next((s.message for s in seeds if s.message), None),
    }


def _means(summaries: Sequence[Summary], method: str) -> dict[str, Score]:
    return means_of_all([{name: summary["methods"][method][name] for name in METRICS} for summary in summaries])


def _psnr(summary: Summary, method: str) -> PatientScores:
    return summary["patient_values"][method]["psnr"]


def _difference(
    first: Sequence[PatientScores],
    second: Sequence[PatientScores],
    summary: Summary,
    config: Config,
) -> Estimate | None:
    """Without an interval where the patients are unknown."""
    evaluation = config.evaluation
    found = paired_difference(
        first,
        second,
        seed=derive(config.seed, "bootstrap"),
        confidence=evaluation.confidence,
        resamples=evaluation.resamples,
    )
    known = isinstance(summary["patients"], int)
    return found if known or found is None else {"mean": found["mean"], "low": None, "high": None}
