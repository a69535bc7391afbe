"""The types of what a run directory's JSON files say."""

from typing import Any, NotRequired, TypedDict

from data_prep.json_types import Unknown

# Of metrics.jsonl, see Trainer: epoch, step, seconds, by split what Monitor measured, and how the run ended.
EpochRow = dict[str, Any]


class Origin(TypedDict):
    """The weights that a run began with, see training.warm_start."""

    source: str
    step: int | None  # None of a file
    sha256: str


class NoiseRange(TypedDict, total=False):
    """Where there are several `photons`, the lowest and the highest noise of the images measured."""

    noise_range_hu: list[float]


class TrainingInput(NoiseRange):
    """The low-dose images that a network is trained on, None being unknown.

    Keys:
      noise_std_hu: the median over some images, by the estimator that `denoise` applies to its input.
      noise: its model.
      photons: per unattenuated ray.
    """

    pixel_spacing_mm: float | None
    noise_std_hu: float | None
    noise: str
    photons: float | tuple[float, ...] | None
    image_shape: list[int]


class StoredData(TypedDict, total=False):
    """What a run was trained on: earlier versions said no more than path and fingerprint, an import has no images."""

    path: str
    file: str  # of an import
    fingerprint: str
    source: str
    hu_slope: float
    hu_intercept: float
    low_dose_clip: list[float] | None
    transposed: bool
    images: dict[str, int]
    patients: dict[str, int | Unknown]
    patients_in_both: list[str] | Unknown
    test_photons: dict[str, float]


class ValueRange(TypedDict):
    """Of StoredData, what an import knows: the HU and the orientation of the values that its network takes."""

    hu_slope: float
    hu_intercept: float
    low_dose_clip: list[float] | None
    transposed: bool


class StoredRun(TypedDict):
    """The content of config.json."""

    init_from: NotRequired[Origin | None]
    config: dict[str, Any]  # see config.nested.to_dict
    vgg_weights: str | None
    training_input: NotRequired[TrainingInput]
    data: StoredData


class HuDescription(TypedDict):
    """See hu.HuMapping.describe."""

    slope: float
    intercept: float
    rescaled: bool
    clip: list[float] | None
    transposed: bool
    range: list[float]  # the HU of 0 and of 1


class QualityCost(TypedDict, total=False):
    """Where the truth is known, the mean PSNR in dB of both precisions, and their difference."""

    psnr_float32: float
    psnr: float
    psnr_cost_db: float


class Cost(QualityCost):
    """What less precision costs: the absolute difference of all pixels; of how many images, and of which."""

    hu_mean: float
    hu_p99_9: float
    hu_max: float
    images: int
    of: str


class Written(TypedDict, total=False):
    """What the writer of a format adds to the metadata, or replaces in them."""

    optimize: str
    precision: str
    cost: Cost
    fingerprint: str


class Metadata(TypedDict):
    """What travels with an exported model, see exporters.exportable; earlier versions say less."""

    name: str
    version: str
    model: str
    preset: str
    seed: int
    step: int | None
    weights: str
    precision: str
    fingerprint: str
    hu: HuDescription
    warnings: list[str]
    vgg_weights: str | None
    training_data: StoredData
    training_input: TrainingInput | None
    data_config: dict[str, Any]
    generator: dict[str, Any]  # see config.GeneratorConfig
    extent: NotRequired[dict[str, int]]
    metrics: dict[str, Any]  # by split; of a run that was not evaluated its last EpochRow
    optimize: NotRequired[str]
    cost: NotRequired[Cost]


class Environment(TypedDict):
    """One launch of a run, in environment.json."""

    wgan_vgg: str
    date: str
    command: list[str]
    python: str
    platform: str
    cpu_count: int | None
    devices: list[str]
    packages: dict[str, str]
    git: str | None
    seed: NotRequired[int]
    strategy: NotRequired[str]
    replicas: NotRequired[int]
