"""Low-dose images by noise on the image or by counts simulated in projections; see noise_models for what is made."""

import dataclasses

import numpy as np
import skimage.transform

from data_prep import projection
from data_prep.config import DataConfig
from data_prep.errors import InputError
from data_prep.geometry import Geometry
from data_prep.lodopab import PARTS, SliceRef
from data_prep.noise_insertion import NoiseInsertion
from data_prep.noise_models import Models, Slices


def random_stream(seed: int, ref: SliceRef, *more: int) -> np.random.Generator:
    """The random generator of one slice's noise; `more` separates several of one slice."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(PARTS.index(ref.part), ref.index, *more)))


@dataclasses.dataclass(frozen=True)
class GaussianNoise:
    """Additive centred gaussian noise on the resized image, unclipped (report, section 6.1).

    Attributes:
      std: standard deviation, in the image's own units (the root of a variance, where that is what is known).
      seed: decides every field, together with the slice.
      shared_field: the notebook's variant: one field for all images, since it resets the seed for every item.
    """

    std: float
    seed: int
    shared_field: bool = False

    def __call__(self, ref: SliceRef, image: np.ndarray, normal_dose: np.ndarray) -> np.ndarray:  # noqa: ARG002
        rng = np.random.default_rng(self.seed) if self.shared_field else random_stream(self.seed, ref)
        return normal_dose + np.float32(self.std) * rng.standard_normal(normal_dose.shape, dtype=np.float32)


@dataclasses.dataclass(frozen=True)
class PoissonNoise:
    """LoDoPaB-CT's own simulation: the slice is projected, its counts drawn, and the result reconstructed.

    Attributes:
      photons: mean count of an unattenuated ray of LoDoPaB's own geometry, see Geometry.counts.
      seed: decides the counts, together with the slice.
      geometry, filter_name: see projection.
      stream: separates this noise from that of other noise models on the same slice.
    """

    photons: float
    seed: int
    geometry: Geometry
    filter_name: str
    stream: tuple[int, ...] = ()

    def __call__(self, ref: SliceRef, image: np.ndarray, normal_dose: np.ndarray) -> np.ndarray:
        clean = projection.forward_projection(image, self.geometry)
        counts = self.geometry.counts(self.photons)
        observation = projection.low_dose_observation(clean, counts, random_stream(self.seed, ref, *self.stream))
        return reconstructed(observation, self.geometry, self.filter_name, image.shape[0], normal_dose.shape[0])


@dataclasses.dataclass(frozen=True)
class InsertedNoise:
    """The slice at a lower dose than its own, see noise_insertion; both have the anatomy and the noise of the slice."""

    insertion: NoiseInsertion
    seed: int

    def __call__(self, ref: SliceRef, image: np.ndarray, normal_dose: np.ndarray) -> np.ndarray:
        spacing_mm = 1000 * Geometry().image_side_m / len(image)
        noise = self.insertion.noise(image, spacing_mm, random_stream(self.seed, ref))
        return normal_dose + resized(noise, len(normal_dose))


def gaussian(config: DataConfig, slices: Slices) -> Models:
    """Noise "gaussian"."""
    return {None: GaussianNoise(config.gaussian_std, slices.seed, config.shared_noise_field)}


def poisson(config: DataConfig, slices: Slices) -> Models:
    """Noise "poisson": a scan simulated anew at one or several doses, or the noise of a lower one."""
    if config.dose is not None:
        return {None: InsertedNoise(NoiseInsertion.of(config), slices.seed)}
    scan = slices.seed, slices.geometry, config.reconstruction_filter
    if not isinstance(config.photons, tuple):
        return {None: PoissonNoise(config.photons, *scan)}
    return {photons: PoissonNoise(photons, *scan, (int(photons),)) for photons in config.photons}


def none(config: DataConfig, slices: Slices) -> Models:  # noqa: ARG001
    """Noise "none", which LoDoPaB-CT's form cannot have: it holds one image of a slice."""
    raise InputError(
        f"data.noise={config.noise!r}: LoDoPaB-CT has no low-dose images; take --set=data.noise=gaussian and a "
        "--noise_std or --noise_variance"
    )


def reconstructed(
    observation: np.ndarray, geometry: Geometry, filter_name: str, size: int, resized_to: int
) -> np.ndarray:
    """Filtered backprojection at the slice's own size, then resized as its partner was: float32, unclipped."""
    return resized(projection.filtered_backprojection(observation, geometry, size, filter_name), resized_to)


def resized(image: np.ndarray, size: int) -> np.ndarray:
    """A float32 slice brought to (size, size) as the notebook does it: order 1, anti-aliased; 0 leaves it alone."""
    if size == 0 or image.shape == (size, size):
        return image
    return skimage.transform.resize(image, (size, size), order=1, anti_aliasing=True).astype(np.float32)


def min_max_rescale(image: np.ndarray) -> np.ndarray:
    """The notebook's rescaling of the noisy input alone: (x - min) / (max - min), float32 in [0, 1].

    It makes the input's values depend on its own extremes, so that they have no HU any more.
    """
    low, high = image.min(), image.max()
    return ((image - low) / max(high - low, np.finfo(np.float32).tiny)).astype(np.float32)
