"""Where the rays of the simulated scanner run: LoDoPaB-CT's parallel beam, or a coarser one.

A point (x, y), x along array axis 0 and y along axis 1, both in metres, growing with the index and zero in the middle
of the image, falls on the detector at s = x cos(angle) + y sin(angle) (Leuschner et al., arXiv:1910.01113).
"""

import dataclasses
import math

import numpy as np

from data_prep.errors import InputError

LODOPAB_PHOTONS = 4096.0  # mean count of an unattenuated ray
MOST_PHOTONS = 1e15  # NumPy's Poisson generator needs means well below 2**63


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Where the rays run; the defaults are LoDoPaB's.

    Attributes:
      num_angles: directions, spread evenly over half a turn.
      num_detectors: cells of equal width, side by side on +-`detector_half_width_m`.
      image_side_m: side of the square image, in metres.
      detector_half_width_m: by default half the image's diagonal, in metres.
    """

    num_angles: int = 1000
    num_detectors: int = 513
    image_side_m: float = 0.26
    detector_half_width_m: float = 0.18384776

    def __post_init__(self) -> None:
        if self.num_angles < 1 or self.num_detectors < 2:
            raise InputError(
                f"{self.num_angles} angles and {self.num_detectors} detectors: at least 1 and 2 are needed"
            )
        if not 0 < self.image_side_m <= self.detector_half_width_m * math.sqrt(2) * (1 + 1e-6):
            raise InputError(
                f"image_side_m={self.image_side_m}: must be above 0, and its diagonal within the detector's "
                f"{2 * self.detector_half_width_m} m"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a projection: (num_angles, num_detectors)."""
        return self.num_angles, self.num_detectors

    @property
    def angles(self) -> np.ndarray:
        """Angle of each direction in radians: float64 (num_angles,) inside (0, pi)."""
        return (np.arange(self.num_angles) + 0.5) * (math.pi / self.num_angles)

    @property
    def detector_spacing(self) -> float:
        """Width of a detector cell in metres."""
        return 2 * self.detector_half_width_m / self.num_detectors

    @property
    def detectors(self) -> np.ndarray:
        """Middle of each detector cell in metres: float64 (num_detectors,)."""
        return (np.arange(self.num_detectors) - (self.num_detectors - 1) / 2) * self.detector_spacing

    def coarser(self, factor: int) -> "Geometry":
        """The same scanner with 1/factor of the angles and of the detectors, rounded up."""
        if factor < 1:
            raise InputError(f"factor={factor}: must be 1 or more; 1 keeps the geometry")
        angles, detectors = math.ceil(self.num_angles / factor), math.ceil(self.num_detectors / factor)
        return dataclasses.replace(self, num_angles=angles, num_detectors=detectors)

    @classmethod
    def of_image(cls, size: int, spacing_mm: float) -> "Geometry":
        """LoDoPaB's angles around a square image of `size` pixels, with as many detector cells a pixel as LoDoPaB."""
        side = size * spacing_mm / 1000
        return cls(
            num_detectors=math.ceil(size * math.sqrt(2)) + 1,
            image_side_m=side,
            detector_half_width_m=side / math.sqrt(2),
        )

    def counts(self, photons: float) -> float:
        """Mean count of an unattenuated ray at the dose at which one of LoDoPaB's own geometry has `photons`.

        The dose being the same, all rays together count as many: cells n times as wide, seen at 1/n of the angles,
        count n * n times as much each. Then the noise stays what it was at all frequencies that the wider cells
        resolve: filtered backprojection has the noise power pi f * width * variance / angles (Riederer et al. 1978,
        Phys Med Biol 23, 446-454); width / angles grows by n * n, and the variance of a ray's logarithm, 1 / its
        count, falls by as much. A factor of n, for the wider cells alone, would lower the dose n times.
        """
        full = Geometry()
        return photons * (full.num_angles / self.num_angles) * (self.detector_spacing / full.detector_spacing)
