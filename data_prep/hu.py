"""Hounsfield units: the linear scale from stored values, air, and the windows in which radiologists look."""

import dataclasses
from collections.abc import Mapping
from typing import Any

AIR_HU = -1000.0
PADDING_HU = -1024.0  # what pixels outside a scanner's field of view become, and the lowest that it gives
DICOM_RANGE_HU = (PADDING_HU, 3072.0)  # what becomes 0 and 1 unless another range is given; the TF1 repository's
# Level and width in HU, as radiologists set them.
WINDOWS = {"lung": (-600, 1500), "soft_tissue": (40, 400), "bone": (400, 1800), "brain": (40, 80)}


@dataclasses.dataclass(frozen=True)
class HuScale:
    """HU = slope * value + intercept."""

    slope: float
    intercept: float

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "HuScale":
        """The scale of a data set, from its manifest or from what evaluations and runs keep of that."""
        return HuScale(manifest["hu_slope"], manifest["hu_intercept"])

    def to_hu(self, values: Any) -> Any:
        """Values, numpy arrays or tensors, in HU; of the values' type."""
        return self.slope * values + self.intercept

    def to_values(self, hu: Any) -> Any:
        """HU as values; of the type of `hu`."""
        return (hu - self.intercept) / self.slope

    @property
    def range(self) -> tuple[float, float]:
        """The HU of 0 and of 1."""
        return self.intercept, self.intercept + self.slope

    def __str__(self) -> str:
        return f"HU = {self.slope:g} * value {self.intercept:+g}"
