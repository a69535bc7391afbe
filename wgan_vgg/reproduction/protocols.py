"""What the protocol study compares: the report's protocol with one change at a time towards what its authors ran.

Sources as in config.sections: "notebook" is the report's authors' own code, whose every choice differs from the
report's text or from good practice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from data_prep.config import DataConfig
from data_prep.lodopab import SLICES_PER_FILE
from wgan_vgg.config import Config, PhantomConfig, override
from wgan_vgg.errors import InputError


@dataclass(frozen=True)
class Variant:
    """One row of the study: `overrides` are the keys of the config in which it differs from the first row."""

    title: str
    source: str
    overrides: Mapping[str, object] = field(default_factory=dict)
    leaks: bool = False  # patients may be in training and in test


REPORT = "report"
_CHANGES = {
    "noise-std": Variant("noise of std .015", "notebook: normal(0, 0.015)", {"data.noise_std": 0.015}),
    "one-noise-field": Variant(
        "one noise field for all", "notebook: the seed is reset for every item", {"data.shared_noise_field": True}
    ),
    "min-max-input": Variant(
        "min-max rescaled input", "notebook: the noisy input alone is rescaled", {"data.rescale_low_dose": True}
    ),
    "sigmoid-critic": Variant(
        "sigmoid critic", "notebook: a sigmoid after the last layer", {"critic.sigmoid_output": True}
    ),
    "leaking-split": Variant(
        "leaking split",
        "notebook: trains on the validation files and the test files but the last, tests on those",
        {"data.train_parts": ("validation", "test")},
        leaks=True,
    ),
}
PROTOCOL = {
    REPORT: Variant("the report's protocol", "report 6.1 and 6.2"),
    **_CHANGES,
    "all-at-once": Variant(
        "all of them",
        "notebook",
        {key: value for change in _CHANGES.values() for key, value in change.overrides.items()},
        leaks=True,
    ),
}
STUDIES = {"protocol": PROTOCOL}

# Of every row. Whole files of LoDoPaB-CT's disjoint parts: all rows, leaking or not, have the same test slices, which
# are the notebook's. The classical denoisers, the distance in VGG features and HU windows stand in `reproduce`'s own
# tables.
COMMON = {
    "data.selection": "files",
    "data.validation_parts": (),
    "evaluation.baselines": (),
    "evaluation.perceptual": False,
    "evaluation.windows": (),
}
# Instead of the default phantoms: two full files per part, so that a file is left to train on when the last one is
# tested on, with as many patients to train on in the leaking split as in the other.
PHANTOMS = {
    "phantoms.train_patients": 22,
    "phantoms.test_patients": 22,
    "phantoms.min_slices": 12,
    "phantoms.max_slices": 12,
}


def variant_configs(study: str, config: Config, source: str) -> dict[str, Config]:
    """The config of every row that the config's model can have: without a critic nothing is changed in it.

    Args:
      study: one of STUDIES.
      config: what all rows have in common, but for COMMON and, with source "phantoms", PHANTOMS.
      source: "phantoms" or "lodopab".

    Raises:
      InputError: no such study, or a row would not differ from the first.
    """
    if study not in STUDIES:
        raise InputError(f"study={study}: unknown; take one of {', '.join(STUDIES)}")
    own_phantoms = source == "phantoms" and config.phantoms == PhantomConfig()
    base = override(config, COMMON | (PHANTOMS | _of_phantoms(config.data) if own_phantoms else {}))
    changes_noise = any(
        key.startswith("data.noise") for variant in STUDIES[study].values() for key in variant.overrides
    )
    if changes_noise and base.data.noise != "gaussian":
        raise InputError(
            f"data.noise={base.data.noise}: the study changes gaussian noise; take --preset=report or demo"
        )
    configs = {}
    for name, variant in STUDIES[study].items():
        overrides = applied(variant, base)
        if variant.overrides and not overrides:
            continue
        configs[name] = override(base, overrides)
        if overrides and configs[name] == base:
            values = ", ".join(f"{key}={value}" for key, value in overrides.items())
            raise InputError(
                f"{values}: so it is already, and the study changes it; begin from the report's protocol with "
                "--preset=report or demo"
            )
    return configs


def _of_phantoms(data: DataConfig) -> dict[str, object]:
    """One file to train on and one to test on, unless there are other counts than a preset's."""
    counts = {"data.num_train": data.num_train, "data.num_test": data.num_test}
    of_report = {"data.num_train": DataConfig().num_train, "data.num_test": DataConfig().num_test}
    return dict.fromkeys(counts, SLICES_PER_FILE) if counts == of_report else {}


def applied(variant: Variant, config: Config) -> dict[str, object]:
    """A row's overrides; those of the critic only where the config's model has one."""
    return {
        key: value
        for key, value in variant.overrides.items()
        if config.spec.adversarial or not key.startswith("critic.")
    }
