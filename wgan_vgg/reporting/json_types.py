"""The types of what reports are made of: evaluated runs, results.json and study.json."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from data_prep.json_types import Unknown
from wgan_vgg.evaluation.json_types import DPrime, Estimate, EvaluatedData, Evaluation, SampleMetrics, Score, Summary
from wgan_vgg.json_types import EpochRow, Origin
from wgan_vgg.run_dir import RunDir

# By model, one for each seed; a third-party method, by its name, has one.
Runs = Mapping[str, Sequence[RunDir]]
Summaries = Mapping[str, Sequence[Summary]]


class Dose(TypedDict):
    """What the evaluations say at one of several doses, see dose_tables.of_dose."""

    photons: float
    baselines: list[str]
    best_baseline: str | None
    confidence: float
    psnr: dict[str, Estimate]
    lesions: dict[str, dict[str, DPrime]]


class SeedOutcome(TypedDict):
    """One training of a model."""

    seed: int | None
    psnr: Score
    ssim: Score
    collapsed: bool
    step: int | None  # the last one; None without training
    behind_input_since: int | None  # since when it is worse than its input


class Published(TypedDict):
    """The report's Table 3."""

    ssim: Score
    psnr: Score


class ModelOutcome(TypedDict):
    """A model's own part of the results; what is of one training is the first seed's."""

    collapsed: bool
    initialisation_means: list[float]
    last_epoch: EpochRow | None  # None where its training is not known
    init_from: Origin | None
    test: Mapping[str, Score]
    by_seed: list[SeedOutcome]
    sample: SampleMetrics
    published: Published


class Results(TypedDict):
    """The content of results.json."""

    preset: str | None
    seeds: list[int]
    caption: str
    provenance: str
    data: EvaluatedData
    split: str  # what was evaluated, as the next two say of it
    test_images: int
    test_patients: int | Unknown
    warnings: list[str]
    noisy: Mapping[str, Score]
    report_batch_size: int
    sample_rule: str
    sample_baseline: str | None
    samples: dict[str, SampleMetrics]
    verdict: str
    evaluation: Evaluation
    models: dict[str, ModelOutcome]
    doses: NotRequired[list[Dose]]  # of data that have several


class StudyRow(TypedDict):
    """One protocol, see reproduction.study_rows."""

    name: str
    title: str
    source: str
    overrides: dict[str, Any]
    images: dict[str, int]
    patients: dict[str, int | Unknown]
    patients_in_both: list[str] | Unknown
    step: int | None
    noisy: dict[str, Score]
    model: dict[str, Score]
    on_first: dict[str, Score]
    above_noisy: Estimate | None
    above_first: Estimate | None
    by_seed: list[Score]
    status: str
    message: str | None


class Study(TypedDict):
    """The content of study.json."""

    study: str
    preset: str
    model: str
    seeds: list[int]
    caption: str
    vgg_weights: str | None
    report_batch_size: int
    left_out: list[str]
    rows: list[StudyRow]


class RelativesRow(TypedDict):
    """One row, see reproduction.relatives."""

    name: str
    model: str
    begins_with: str | None
    parameters: int
    seconds_a_step: float
    seconds_a_slice: float
    steps: int | None
    chosen_steps: list[int | None]  # the checkpoint that is evaluated, for each seed
    ending: str  # "" where the training was done


class Relatives(TypedDict):
    """The content of relatives.json."""

    caption: str
    vgg_weights: str | None
    row_seconds: float
    precision: str  # of the convolutions
    seeds: list[int]
    rows: list[RelativesRow]
    evaluation: Evaluation
