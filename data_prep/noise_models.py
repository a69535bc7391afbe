"""The noises by name, where each is made, and what it is made of.

A new one is one file with its maker, and one line here; see docs/extending.md.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from data_prep.late_import import imported

if TYPE_CHECKING:
    import numpy as np

    from data_prep.config import DataConfig
    from data_prep.geometry import Geometry
    from data_prep.lodopab import SliceRef

# Called as model(slice_ref, image, normal_dose): the slice as the source has it, and its resized normal-dose version.
# It returns the low-dose partner of the latter.
Model = Callable[["SliceRef", "np.ndarray", "np.ndarray"], "np.ndarray"]


@dataclasses.dataclass(frozen=True)
class Slices:
    """The slices that get noise.

    Attributes:
      refs: all of them.
      seed: decides the noise, together with the slice.
      geometry: of simulated projections.
      read_observation: gives a slice's stored observation, see observations.reader.
    """

    refs: "Sequence[SliceRef]"
    seed: int
    geometry: "Geometry"
    read_observation: "Callable[[SliceRef], np.ndarray]"


# By photons where `data.photons` has several doses, else the one model under None.
Models = Mapping[float | None, Model]
Maker = Callable[["DataConfig", Slices], Models]


@dataclasses.dataclass(frozen=True)
class Noise:
    """One noise.

    Attributes:
      maker: makes its models; or where that is, "module:function", imported when it is needed.
      says: of DataConfig's values by name, what captions call it.
      counts_photons: it is of scans with `data.photons`, which can be simulated again, see repeated_scans.
      settings: the fields of DataConfig that decide it and not every noise; gaussian's strengths have a rule there.
    """

    maker: str | Maker
    says: Callable[[Mapping[str, Any]], str]
    counts_photons: bool = False
    settings: tuple[str, ...] = ()


def _gaussian(settings: Mapping[str, Any]) -> str:
    if settings["noise_std"] is not None:
        return f"gaussian noise of std {settings['noise_std']:g}"
    return f"gaussian noise of variance {settings['noise_variance']:g}"


def _poisson(settings: Mapping[str, Any]) -> str:
    """Of several doses, tables and figures show the first, but for those against dose."""
    photons = settings["photons"]
    if settings.get("dose") is not None:
        return f"noise of {settings['dose']:g} of the dose added ({photons:g} photons per ray at the normal dose)"
    if isinstance(photons, list):
        several = ", ".join(f"{value:g}" for value in photons)
        return f"simulated counts ({several} photons per ray; tested at {photons[0]:g}), reconstructed"
    return f"simulated counts ({photons:g} photons per ray), reconstructed"


_SCAN = ("photons", "projection_coarseness", "reconstruction_filter")
NOISES = {
    "gaussian": Noise("data_prep.low_dose:gaussian", _gaussian, settings=("shared_noise_field",)),
    "poisson": Noise(
        "data_prep.low_dose:poisson", _poisson, counts_photons=True, settings=(*_SCAN, "dose", "electronic_noise")
    ),
    "observations": Noise(
        "data_prep.observations:stored",
        lambda _: "stored low-dose observations, reconstructed",
        counts_photons=True,
        settings=_SCAN,
    ),
    "modelled": Noise(
        "data_prep.modelled_noise:modelled",
        lambda _: "noise of a trained generator",
        settings=("noise_model", "noise_blocks"),
    ),
    "none": Noise("data_prep.low_dose:none", lambda _: "real low-dose scans"),  # the source has them
}


def make(config: "DataConfig", slices: Slices) -> Models:
    """The model that `data.noise` names, for each of several doses or, under None, for all slices.

    Raises:
      InputError: this noise cannot be had for these slices; known before the first record.
    """
    models: Models = imported(NOISES[config.noise].maker)(config, slices)
    return models
