"""Which patients give an unpaired training its low-dose images, and which others its normal-dose ones."""

import numpy as np

from wgan_vgg.errors import InputError
from wgan_vgg.input_pipeline import DataSet


def disjoint_patients(data: DataSet, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The training images of one half of the patients, drawn by the seed, and those of the other half.

    Returns:
      Two masks, bool (training images,), that have no patient in common.

    Raises:
      InputError: the records do not say whose they are, or they are all of one patient.
    """
    known = data.manifest["patients"]["train"]
    if not isinstance(known, list) or len(known) < 2:
        count = "one patient" if isinstance(known, list) else "patients it does not name"
        raise InputError(
            f"data_dir {data.path}: training images of {count}; unpaired models take low and normal dose from "
            "different ones, so they need two or more"
        )
    patients = data.patient_ids("train")
    drawn = np.random.default_rng(seed).permutation(sorted(set(patients)))
    low_dose = np.isin(patients, drawn[: len(drawn) // 2])
    return low_dose, ~low_dose
