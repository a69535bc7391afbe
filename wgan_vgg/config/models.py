"""The models by name: which terms each one's loss has, and which data. A new model is one line here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSpec:
    """What a model's losses are made of.

    Attributes:
      distance: between generated and normal-dose images, as a critic estimates it: a name in losses.DISTANCES; None: no
        critic.
      content: the term beside it, or alone: a name in training.content.CONTENT, or None.
      paired: whether each low-dose image comes with its normal-dose partner; without, the two are other patients'.
    """

    distance: str | None
    content: str | None
    paired: bool = True

    @property
    def adversarial(self) -> bool:
        """Whether there is a critic."""
        return self.distance is not None

    @property
    def uses_vgg(self) -> bool:
        """Whether the loss compares VGG19's features."""
        return self.content == "vgg"


MODELS = {
    "generator-mse": ModelSpec(distance=None, content="mse"),  # the report's Table 1, but for `wgan`
    "generator-vgg": ModelSpec(distance=None, content="vgg"),
    "wgan": ModelSpec(distance="wasserstein", content=None),  # the paper's plain WGAN; not in the report
    "wgan-mse": ModelSpec(distance="wasserstein", content="mse"),
    "wgan-vgg": ModelSpec(distance="wasserstein", content="vgg"),
    # Park et al., IEEE Access 7, 110414-110425 (2019), arXiv:1903.06257, report reference 5; the second one is that
    # with the report's distance.
    "unpaired-kl": ModelSpec(distance="kl", content="fidelity", paired=False),
    "unpaired-wasserstein": ModelSpec(distance="wasserstein", content="fidelity", paired=False),
}
REPORT_MODELS = ("generator-mse", "generator-vgg", "wgan-mse", "wgan-vgg")
