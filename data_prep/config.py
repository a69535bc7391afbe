"""How records are made: the one home of what decides it, besides the source files and the seed.

Sources, as cited beside the values:
  report    "Final Project Report: Low-Dose CT Image Denoising" (Mbouwe, Mehdaoui, Zeddoun), by section
  notebook  the report's authors' own code, github.com/Ryosaeba8/DLMI
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from data_prep.errors import InputError
from data_prep.geometry import LODOPAB_PHOTONS, MOST_PHOTONS
from data_prep.noise_models import NOISES
from data_prep.rules import check_rules, setting


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """How `experiments.prepare` makes records; a run takes these values from its data's manifest.

    Raises:
      InputError: a value that is not allowed, or none or both of the two strengths of noise "gaussian".
    """

    # Report 6.2: "downsized to the shape (64 x 64)"; 0 keeps the slices' own size
    image_size: int = setting(64, at_least=0)
    num_train: int = setting(6272, at_least=0)  # report 6.1; 0 takes all
    num_validation: int = setting(640, at_least=0)  # the report has none; as many as for test
    num_test: int = setting(640, at_least=0)  # report 6.1
    train_parts: tuple[str, ...] = ("train",)  # LoDoPaB's own parts
    validation_parts: tuple[str, ...] = ("validation",)  # may be those of training, whose patients are then held out
    test_parts: tuple[str, ...] = ("test",)
    # "patients", or "files" as in the notebook, where patients leak
    selection: str = setting("patients", choices=("patients", "files"))
    patient_ids_per_part: bool = False  # True where every part counts its patients anew; LoDoPaB counts through all
    # Report 6.1: "a centered gaussian noise". "poisson": simulated counts, reconstructed; "observations": LoDoPaB's
    # stored sinograms, reconstructed; "none": the source has low-dose scans of its own.
    noise: str = setting("gaussian", choices=NOISES)
    noise_std: float | None = setting(None, at_least=0)  # in units of the [0, 1] image
    # Report 6.1: "with a variance of 0.015", taken at its word
    noise_variance: float | None = setting(0.015, at_least=0)
    shared_noise_field: bool = False  # notebook: the same field in every image
    rescale_low_dose: bool = False  # notebook: the noisy input alone is min-max rescaled
    # LoDoPaB-CT: mean count of an unattenuated ray of its own geometry (noise "poisson"), see Geometry.counts. Several:
    # one dose for each training and validation slice, all for each test slice, see dose_sweep.
    photons: float | tuple[float, ...] = setting(LODOPAB_PHOTONS, at_least=1)
    projection_coarseness: int = setting(1, at_least=1)  # subsampling factor of LoDoPaB's 1000 angles and 513 detectors
    # Of the filtered backprojection: "ram-lak" or "hann"
    reconstruction_filter: str = setting("hann", choices=("ram-lak", "hann"))
    # Noise "modelled": an exported generator of noise, and the records of noise blocks that it was trained on.
    noise_model: str | None = None
    noise_blocks: str | None = None
    shards: int = setting(8, at_least=1)
    # DICOM: side of patches, of which test records are then made too; 0: whole slices, of which training takes patches.
    patch_size: int = setting(0, at_least=0)
    # DICOM: a patch with a larger share of air is left out: our reading of Yang et al. 2018, section III, who excluded
    # patches that were mostly air.
    max_air_fraction: float = setting(0.8, at_least=0, at_most=1)
    # With noise "poisson", instead of a scan simulated anew: this share of the slices' own dose, in (0, 1], by adding
    # the noise that it lacks; `photons` are then those of the normal dose. See noise_insertion.
    dose: float | None = setting(None, above=0, at_most=1)
    electronic_noise: float = setting(0.0, at_least=0)  # standard deviation in counts, there

    def __post_init__(self) -> None:
        check_rules(self, "data.")
        strengths = [name for name in ("noise_std", "noise_variance") if getattr(self, name) is not None]
        if len(strengths) != int(self.noise == "gaussian"):
            wanted = "exactly one" if self.noise == "gaussian" else f"neither with data.noise={self.noise}"
            raise InputError(
                f"data.noise_std and data.noise_variance say the same thing: set {wanted}, got {strengths or 'none'}"
            )
        if np.any(np.asarray(self.photons) > MOST_PHOTONS):
            raise InputError(f"data.photons={self.photons}: must be at most {MOST_PHOTONS:g}")
        if isinstance(self.photons, tuple):
            self._check_doses(self.photons)
        if self.dose is not None:
            self._check_dose(self.dose)
        elif self.electronic_noise:
            raise InputError(f"data.electronic_noise={self.electronic_noise:g}: needs data.dose; give that, too")

    def _check_dose(self, dose: float) -> None:
        if self.noise != "poisson" or isinstance(self.photons, tuple):
            raise InputError(f"data.dose={dose}: needs data.noise=poisson, not {self.noise}, and one data.photons")
        if self.projection_coarseness != 1:
            raise InputError(
                f"data.projection_coarseness={self.projection_coarseness}: noise would be coarser than anatomy; "
                "take 1 with data.dose"
            )
        if dose < 1 and self.single_photons * dose / (1 - dose) > MOST_PHOTONS:
            raise InputError(f"data.dose={dose}: too near to 1 to differ from it by any noise; give 1 or less")

    def _check_doses(self, photons: tuple[float, ...]) -> None:
        text = f"data.photons={','.join(f'{value:g}' for value in photons)}"
        if self.noise != "poisson":
            raise InputError(f"{text}: several doses need data.noise=poisson, not {self.noise}; give one")
        if len(set(photons)) < max(2, len(photons)) or any(value != round(value) for value in photons):
            raise InputError(f"{text}: several doses must be different whole numbers, which name their test splits")

    @property
    def single_photons(self) -> float:
        """`photons` of data that have one dose.

        Raises:
          InputError: they have several.
        """
        if isinstance(self.photons, tuple):
            raise InputError(f"data.photons={self.photons}: one dose is needed here; give one number")
        return self.photons

    @property
    def gaussian_std(self) -> float:
        """Standard deviation of noise "gaussian", in units of the [0, 1] image.

        Raises:
          InputError: another noise.
        """
        if self.noise_std is not None:
            return self.noise_std
        if self.noise_variance is None:
            raise InputError(f"data.noise={self.noise}: has neither noise_std nor noise_variance; only gaussian has")
        return math.sqrt(self.noise_variance)

    def to_manifest(self) -> dict[str, Any]:
        """All values by name, as JSON keeps them."""
        values = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_manifest(cls, values: Mapping[str, Any]) -> "DataConfig":
        """What `to_manifest` gave, perhaps in an older version, where a value that is not there was as by default."""
        # But for the validation split, of which there was none.
        older: dict[str, Any] = {"num_validation": 0, "validation_parts": ()}
        known = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return cls(**(older | known))
