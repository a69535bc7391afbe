"""The models by name: which terms each one's loss has (report, Table 1)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSpec:
    """One row of the report's Table 1: which terms a model's generator loss has."""

    adversarial: bool
    content: str | None  # "mse", "vgg" or None


MODELS = {
    "generator-mse": ModelSpec(adversarial=False, content="mse"),
    "generator-vgg": ModelSpec(adversarial=False, content="vgg"),
    "wgan": ModelSpec(adversarial=True, content=None),  # the paper's plain WGAN; not in the report
    "wgan-mse": ModelSpec(adversarial=True, content="mse"),
    "wgan-vgg": ModelSpec(adversarial=True, content="vgg"),
}
REPORT_MODELS = ("generator-mse", "generator-vgg", "wgan-mse", "wgan-vgg")
