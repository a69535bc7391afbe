"""The rows of the relatives' table: every generator, every loss, and training without pairs."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from wgan_vgg.config import Config, for_model, override
from wgan_vgg.config.networks import GENERATORS
from wgan_vgg.errors import InputError
from wgan_vgg.reproduction.reproduce import seeded


@dataclasses.dataclass(frozen=True)
class Relative:
    """One row.

    Attributes:
      model: its loss.
      overrides: the keys of the config in which it differs from its model's.
      begins_with: the row whose weights it begins with; None: random ones.
    """

    model: str
    overrides: Mapping[str, object] = dataclasses.field(default_factory=dict)
    begins_with: str | None = None


FIRST = next(iter(GENERATORS))
_GENTLE: dict[str, object] = {"optimizer.generator_lr": 1e-4}
RELATIVES = {
    **{name: Relative("generator-mse", {"generator.name": name}) for name in GENERATORS},
    # Its sigmoid went black at the rate of the others.
    "dcgan": Relative("generator-mse", {"generator.name": "dcgan"} | _GENTLE),
    # As long as one row may train, a critic from random weights teaches a generator from random weights nothing.
    **{name: Relative(name, _GENTLE, FIRST) for name in ("generator-vgg", "wgan-vgg", "wgan", "wgan-mse")},
    **{name: Relative(name) for name in ("unpaired-kl", "unpaired-wasserstein")},
}


# What rows differ in, or `with_steps` decides.
_DECIDED = {"training.init_from", "training.steps", "training.epochs"}
_DECIDED |= {"training.evaluation_steps", "training.evaluation_epochs"}
_DECIDED |= {key for row in RELATIVES.values() for key in row.overrides}


def check_given(given: Collection[str]) -> None:
    """Raises InputError where a given key of the config is one that the rows decide."""
    for key in given:
        if key in _DECIDED:
            raise InputError(f"{key}: not used with --study=relatives, whose rows decide it; leave it out")


def check_rows(names: Sequence[str]) -> None:
    """Raises InputError unless `names` are rows of the table, each once, after those whose weights they begin with."""
    text = f"models={','.join(names)}"
    for place, name in enumerate(names):
        if name not in RELATIVES:
            raise InputError(f"{text}: {name} is no row; take of {', '.join(RELATIVES)}")
        if name in names[:place]:
            raise InputError(f"{text}: {name} is named twice; name each once")
        before = RELATIVES[name].begins_with
        if before and before not in names[:place]:
            raise InputError(f"{text}: {name} begins with the weights of {before}; name that before it")


def row_config(
    config: Config, name: str, repetition: int = 0, before: Path | None = None, given: Collection[str] = ()
) -> Config:
    """The config of a row.

    Args:
      config: what all rows have in common.
      name: of RELATIVES.
      repetition: which seed, see reproduce.seeded.
      before: the run whose weights it begins with.
      given: see for_model.
    """
    row = RELATIVES[name]
    start = {"training.init_from": None if before is None else str(before)}
    return seeded(override(for_model(config, row.model, given), dict(row.overrides) | start), repetition)


def with_steps(config: Config, seconds_a_step: float, row_seconds: float) -> Config:
    """The config with as many steps as fit into the time, at least one, and four evaluations of the run."""
    steps = max(1, int(row_seconds / seconds_a_step))
    return override(config, {"training.steps": steps, "training.evaluation_steps": -(-steps // 4)})
