"""A lower dose for images that exist at their normal dose only: the noise that it would add, reconstructed and added.

The image is projected, each ray is given the noise that a lower dose has beyond the normal one, and the noise alone is
reconstructed: the image keeps its anatomy and its own noise to the last bit. The variance added to a ray's logarithm is
that of Yu et al. 2012 (J Comput Assist Tomogr 36, 477-487), see also Zeng et al. 2015 (IEEE Trans Nucl Sci 62,
2226-2233), here without a bowtie filter, tube current modulation or scatter, in a parallel beam of one energy.
"""

import dataclasses
import math

import numpy as np

from data_prep import projection
from data_prep.config import DataConfig
from data_prep.errors import InputError
from data_prep.geometry import Geometry
from data_prep.projection import LEAST_COUNT, MU_MAX, MU_WATER

VALUE_PER_HU = MU_WATER / 1000 / MU_MAX  # in LoDoPaB-CT's unit, where air is 0 here (.00025 there)


@dataclasses.dataclass(frozen=True)
class NoiseInsertion:
    """What a share of the normal dose adds in noise.

    Attributes:
      dose: that share, in (0, 1].
      photons: mean count of an unattenuated ray at the normal dose, in LoDoPaB's geometry, see Geometry.counts.
      electronic_noise: standard deviation of a ray's electronic noise, in counts.
      filter_name: of the reconstruction, see projection.
    """

    dose: float
    photons: float
    electronic_noise: float = 0.0
    filter_name: str = "hann"

    @classmethod
    def of(cls, config: DataConfig) -> "NoiseInsertion":
        """What a config with a `dose` describes.

        Raises:
          InputError: it has none.
        """
        if config.dose is None:
            raise InputError("data.dose=None: noise is inserted for a share of the normal dose; give one, such as 0.25")
        return cls(config.dose, config.single_photons, config.electronic_noise, config.reconstruction_filter)

    def add_to_hu(self, hu: np.ndarray, spacing_mm: float, rng: np.random.Generator) -> np.ndarray:
        """A slice at the lower dose.

        The field of view is the circle in the square; what lies outside is taken for air and left as it is.

        Args:
          hu: float32 (n, n) in HU; what is below -1000 counts as air.
          spacing_mm: side of a pixel.
          rng: source of the noise.

        Returns:
          float32 (n, n) in HU, unclipped.
        """
        middle = np.arange(len(hu)) - (len(hu) - 1) / 2
        seen = np.hypot(middle[:, None], middle) <= len(hu) / 2
        values = np.where(seen, VALUE_PER_HU * (hu + 1000), 0).astype(np.float32)
        return hu + np.where(seen, self.noise(values, spacing_mm, rng) / VALUE_PER_HU, 0).astype(np.float32)

    def noise(self, image: np.ndarray, spacing_mm: float, rng: np.random.Generator) -> np.ndarray:
        """The noise alone: float32 (n, n) in the unit of `image`, whose values are attenuation / MU_MAX."""
        if self.dose == 1:
            return np.zeros_like(image)
        geometry = Geometry.of_image(len(image), spacing_mm)
        lines = self.line_noise(projection.forward_projection(np.maximum(image, 0), geometry), geometry, rng)
        return projection.filtered_backprojection(lines / MU_MAX, geometry, len(image), self.filter_name)

    def line_noise(self, lines: np.ndarray, geometry: Geometry, rng: np.random.Generator) -> np.ndarray:
        """What the lower dose adds to line integrals: float32 of their shape, without unit, of mean zero.

        A ray that counts N at the normal dose counts dose * N at the lower one, so its logarithm has the variances
        1 / N + e^2 / N^2 and 1 / (dose N) + e^2 / (dose N)^2, e being the electronic noise. Their difference is added:
        1 / L with L = N dose / (1 - dose), as the relative deviation of Poisson counts of mean L, which keeps the skew
        of few photons; and normally distributed e^2 (1 / dose^2 - 1) / N^2. N is taken to be LEAST_COUNT at least.

        Args:
          lines: without unit (num_angles, num_detectors).
          geometry: where they run.
          rng: source of the noise.
        """
        unattenuated = geometry.counts(self.photons)
        counts = np.maximum(unattenuated * np.exp(-lines.astype(np.float64)), LEAST_COUNT)
        mean = counts * (self.dose / (1 - self.dose))
        noise = 1 - rng.poisson(mean) / mean
        if self.electronic_noise:
            # A ray as wide as n of LoDoPaB's is n readings together, whose variances add.
            electronic = self.electronic_noise * math.sqrt(unattenuated / self.photons)
            noise += rng.standard_normal(lines.shape) * (electronic * math.sqrt(1 / self.dose**2 - 1)) / counts
        return noise.astype(np.float32)
