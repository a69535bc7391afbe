"""The types of what an evaluation says: of eval/<split>.json, of its CSV, and of the parts that methods pass on."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from data_prep.json_types import DataSummary, Unknown

Score = float | None  # None where it is not defined
Means = Mapping[str, Score]  # by metric
Row = dict[str, Any]  # of the CSV: the keys of Place, `method`, and a Score for each of image_measures.per_image
Windows = Mapping[str, tuple[float, float]]  # by name, level and width in HU


class Place(TypedDict):
    """Which slice it is."""

    patient_id: str
    slice_index: int
    source: str


class Estimate(TypedDict):
    """A mean and the ends of its interval, None where it has none."""

    mean: Score
    low: Score
    high: Score


class Bounded(TypedDict):
    """A value with the ends of its interval."""

    mean: float
    low: float
    high: float


class Rise(Estimate):
    """An edge rise in pixels, see sharpness.Profiles.rise."""

    edges: int


class NoisePower(TypedDict):
    """A radial noise-power spectrum, see noise_texture.Spectra.radial."""

    frequency: list[float]
    power: list[float]


class MethodSummary(TypedDict):
    """See Accumulator.summary."""

    means: dict[str, Score]
    patients: dict[str, dict[str, Score]]  # by metric and patient
    edges: list[Rise]
    noise_power: NoisePower | None


class TruthSummary(TypedDict):
    """The same of the normal dose itself."""

    means: dict[str, Score]
    edges: list[Rise]
    noise_power: NoisePower | None


class Tuned(TypedDict):
    """What tuning chose for a baseline, see baselines.tune; `psnr` in dB on the images of `split`."""

    parameters: dict[str, float]
    psnr: float
    split: NotRequired[str]  # earlier versions took "train"


class Squares(TypedDict):
    """An observer's responses to one patient's squares with and without a lesion."""

    present: list[float]
    absent: list[float]


Responses = Mapping[str, Squares]  # by patient
LesionResponses = dict[str, Responses]  # of one lesion, by observer


class DPrime(Bounded):
    """How well one lesion is detected, see observers.detectability."""

    above_reference: Bounded
    false_calls: float


Detectability = dict[str, dict[str, DPrime]]  # of one lesion, by observer and method


class Lesion(TypedDict):
    """A kind of inserted lesion, and how many there are."""

    diameter_mm: float
    contrast_hu: float
    count: int


class RepeatedScans(TypedDict):
    """See repeats.Repeats.describe."""

    images: int
    lesions: list[Lesion]


class Statistics(TypedDict):
    """See statistics.summarize."""

    patients: int | None
    seeds: int
    confidence: float
    reference: str
    means: dict[str, dict[str, Estimate]]
    no_test: str | None
    against_reference: dict[str, dict[str, float]]
    best_baseline: str | None
    against_baselines: dict[str, dict[str, Estimate | None]]
    further_against_baselines: NotRequired[dict[str, dict[str, dict[str, Estimate | None]]]]  # not of older versions
    against_best: dict[str, float]
    between_networks: dict[str, dict[str, Estimate | None]]


class EdgeRises(TypedDict):
    """By method the rise for each class of contrast; where each class begins in HU."""

    contrasts_hu: list[float]
    methods: dict[str, list[Rise]]


class NoisePowers(TypedDict):
    """By method, in `unit`."""

    unit: str
    methods: dict[str, NoisePower | None]


class SampleMetrics(TypedDict):
    """Of one image."""

    psnr: float
    ssim: float
    report_ssim: Score


class Sample(TypedDict):
    """The slice of Table 2 and Figure 5, and the baseline that is shown beside it."""

    rule: str
    patient_id: str
    slice_index: int
    methods: dict[str, SampleMetrics]
    baseline: str | None


class EvaluatedData(DataSummary):
    """What tables, captions and the HU of figures need of the data."""

    image_shape: list[int]
    pixel_spacing_mm: float | Unknown
    settings: dict[str, Any]  # see DataConfig.to_manifest
    fingerprint: str  # see DataSet.fingerprint


class Evaluation(TypedDict):
    """What tables and figures need: of eval/<split>.json, or of several runs' together, see reporting.combined."""

    report_batch_size: int
    images: int
    patients: int | Unknown
    windows: Windows
    perceptual: str | None
    baselines: dict[str, Tuned]
    missing_baselines: list[str]
    truth: dict[str, Score]
    methods: dict[str, dict[str, Score]]  # by method and metric
    statistics: Statistics
    patient_values: dict[str, dict[str, dict[str, Score]]]  # by method, metric and patient
    repeats: RepeatedScans | None
    detectability: list[Detectability | None]  # of each lesion
    edges: EdgeRises
    noise_power: NoisePowers


class Summary(Evaluation):
    """All of eval/<split>.json."""

    version: int  # see repeats.VERSION; of earlier versions none
    model: str
    split: str
    step: int | None
    steps: dict[str, int | None]  # of it and of other weights of its run; evaluations of earlier versions have none
    settings: dict[str, Any]  # of the evaluation's config
    data: EvaluatedData
    data_range: float
    beside: list[str]
    responses: dict[str, list[LesionResponses | None]]  # by method, of each lesion
    sample: Sample
