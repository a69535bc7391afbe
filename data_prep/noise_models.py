"""The noises by name, where each is made, and what it is made of.

A new one is one file with its maker, and one line here; see docs/extending.md.
"""

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

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

# Makers, or where they are, "module:function": they need more than the names of what there is.
NOISES: dict[str, str | Maker] = {
    "gaussian": "data_prep.low_dose:gaussian",
    "poisson": "data_prep.low_dose:poisson",
    "observations": "data_prep.observations:stored",
    "modelled": "data_prep.modelled_noise:modelled",
    "none": "data_prep.low_dose:none",  # the source has low-dose scans of its own
}


def make(config: "DataConfig", slices: Slices) -> Models:
    """The model that `data.noise` names, for each of several doses or, under None, for all slices.

    Raises:
      InputError: this noise cannot be had for these slices; known before the first record.
    """
    maker: Any = NOISES[config.noise]
    if isinstance(maker, str):
        module, name = maker.split(":")
        maker = getattr(importlib.import_module(module), name)
    return maker(config, slices)
