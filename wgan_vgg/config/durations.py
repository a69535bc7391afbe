"""Quantities that have two spellings, such as NAME_steps and NAME_epochs: both at once are an error."""

from collections.abc import Mapping
from typing import Any

from wgan_vgg.config import nested
from wgan_vgg.errors import InputError

# Overriding one clears the other. One must be given ...
LENGTH = ("training.epochs", "training.steps")
NOISE = ("data.noise_std", "data.noise_variance")  # see DataConfig
# ... or none need be.
OPTIONAL = tuple(
    (f"{name}_epochs", f"{name}_steps")
    for name in (
        *("optimizer.warmup", "optimizer.decay", "training.critic_warmup", "training.checkpoint"),
        *("training.early_stopping", "training.collapse", "training.evaluation"),
    )
)


def check(config: Any) -> None:
    """Raises InputError where a duration has two values, or one that must have a value has none."""
    for first, second in (LENGTH, *OPTIONAL):
        given = [key for key in (first, second) if nested.get(config, key) is not None]
        least = int((first, second) == LENGTH)
        if not least <= len(given) <= 1:
            wanted = "exactly one" if least else "at most one"
            raise InputError(f"{first} and {second} say the same thing: set {wanted}, got {given or 'none'}")
    has_decay = (config.optimizer.decay_epochs, config.optimizer.decay_steps) != (None, None)
    if (config.optimizer.schedule == "step") != has_decay:
        raise InputError(
            "optimizer.schedule='step' needs optimizer.decay_steps or decay_epochs, and no other schedule takes them"
        )


def cleared_by(values: Mapping[str, object]) -> dict[str, None]:
    """The keys that overriding with `values` makes obsolete: the other spelling, the strength of another noise."""
    cleared = {
        other: None
        for pair in (LENGTH, NOISE, *OPTIONAL)
        for key, other in (pair, pair[::-1])
        if values.get(key) is not None and other not in values
    }
    if values.get("data.noise", "gaussian") != "gaussian":
        cleared |= dict.fromkeys(NOISE)
    return cleared
