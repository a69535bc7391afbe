"""What a data set's `manifest.json` says: the types of its content; tfrecords writes it, manifest reads it."""

from collections.abc import Mapping
from typing import Any, Final, Literal, NotRequired, TypedDict

Unknown = Literal["unknown"]
UNKNOWN: Final = "unknown"


class Shard(TypedDict):
    """One file of records."""

    file: str
    records: int
    bytes: int
    sha256: str


class Split(TypedDict):
    """The records of one split, in the order of its shards."""

    records: int
    shards: list[Shard]


class Photons(TypedDict, total=False):
    """What it says of simulated counts: none of it where there are none."""

    photon_factor: float  # see Geometry.counts
    test_photons: dict[str, float]  # by test split, of data of several doses


class Description(Photons):
    """What the maker of a data set knows of it. Keys that are not required came with later versions or kinds of data.

    HU = hu_slope * value + hu_intercept; see manifest.low_dose_clip and manifest.transposed for older manifests.
    """

    source: str
    input_files: dict[str, int]  # bytes by name
    seed: int
    data: dict[str, Any]  # see DataConfig.to_manifest
    hu_slope: float
    hu_intercept: float
    low_dose_clip: NotRequired[list[float] | None]
    transposed: NotRequired[bool]
    pixel_spacing_mm: float | Unknown
    scanned_side: NotRequired[int | Unknown]  # of LoDoPaB-CT's form: pixels of the slices, of which records were made
    patients: Mapping[str, list[str] | Unknown]
    patients_in_both: list[str] | Unknown
    block_deviations: NotRequired[list[float]]  # of noise blocks: standard deviations, in units of the [0, 1] image


class DataSummary(TypedDict):
    """What runs and evaluations keep of it, see wgan_vgg.input_pipeline.DataSet.description."""

    source: str
    hu_slope: float
    hu_intercept: float
    low_dose_clip: list[float] | None
    transposed: bool
    images: dict[str, int]  # by split
    patients: dict[str, int | Unknown]
    patients_in_both: list[str] | Unknown
    test_photons: NotRequired[dict[str, float]]


class Manifest(Description):
    """All of it."""

    image_shape: list[int]  # height, width
    splits: dict[str, Split]
    files: NotRequired[dict[str, str]]  # sha256 by name
    sha256: NotRequired[str]  # of the manifest itself, but for this
