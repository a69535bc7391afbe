"""A run's whole config: its sections, its durations in steps, and what must hold between them."""

import dataclasses
from collections.abc import Sequence

from data_prep.config import DataConfig
from data_prep.rules import check_rules, setting
from wgan_vgg.config import durations, nested, sections
from wgan_vgg.config.models import MODELS, ModelSpec
from wgan_vgg.errors import InputError

MOST_EPOCHS = 1_000_000  # far beyond any training, and finite as steps
MIN_EVALUATION_STEPS = 200  # between two evaluations, where an epoch is shorter and the config names no interval


@dataclasses.dataclass(frozen=True)
class Config:
    """All that decides a run's result, together with the data and the machine.

    Raises:
      InputError: a value that is not allowed, or two spellings of one quantity.
    """

    preset: str = "report"
    model: str = "wgan-vgg"
    seed: int = setting(0, at_least=0)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    phantoms: sections.PhantomConfig = dataclasses.field(default_factory=sections.PhantomConfig)
    input: sections.InputConfig = dataclasses.field(default_factory=sections.InputConfig)
    generator: sections.GeneratorConfig = dataclasses.field(default_factory=sections.GeneratorConfig)
    critic: sections.CriticConfig = dataclasses.field(default_factory=sections.CriticConfig)
    vgg: sections.VggConfig = dataclasses.field(default_factory=sections.VggConfig)
    loss: sections.LossConfig = dataclasses.field(default_factory=sections.LossConfig)
    optimizer: sections.OptimizerConfig = dataclasses.field(default_factory=sections.OptimizerConfig)
    training: sections.TrainingConfig = dataclasses.field(default_factory=sections.TrainingConfig)
    evaluation: sections.EvaluationConfig = dataclasses.field(default_factory=sections.EvaluationConfig)

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise InputError(f"model={self.model!r}: unknown; take one of {', '.join(MODELS)}")
        check_rules(self)
        for section in dataclasses.fields(self):
            if dataclasses.is_dataclass(value := getattr(self, section.name)):
                check_rules(value, f"{section.name}.")
        contrasts = self.evaluation.edge_contrasts_hu
        if list(contrasts) != sorted(set(contrasts)):
            raise InputError(
                f"evaluation.edge_contrasts_hu={contrasts}: must rise, each class ends where the next begins"
            )
        durations.check(self)

    @property
    def spec(self) -> ModelSpec:
        """The terms of this run's model."""
        return MODELS[self.model]

    def total_steps(self, num_train: int) -> int:
        """Generator updates of the whole run."""
        steps = self.in_steps("training.", num_train)
        assert steps is not None, "durations.check demands one"
        return steps

    def in_steps(self, name: str, num_train: int) -> int | None:
        """A duration in steps; the only place where epochs become steps.

        Args:
          name: what precedes `steps` and `epochs` in the duration's two keys, such as "training.checkpoint_".
          num_train: training images.

        Returns:
          At least 1, or None where neither key is set.

        Raises:
          InputError: more epochs than MOST_EPOCHS.
        """
        steps, epochs = (nested.get(self, name + unit) for unit in ("steps", "epochs"))
        if epochs is not None and epochs > MOST_EPOCHS:
            raise InputError(f"{name}epochs={epochs:g}: must be at most {MOST_EPOCHS:,}")
        return steps if epochs is None else max(1, round(epochs * self.steps_per_epoch(num_train)))

    def steps_per_epoch(self, num_train: int) -> int:
        """Full batches in one pass over the training images (report: 6272 / 32 = 196), patches_per_image of each.

        Raises:
          InputError: fewer patches than one batch.
        """
        patches = num_train * self.input.patches_per_image
        if patches < self.training.batch_size:
            raise InputError(
                f"training.batch_size={self.training.batch_size}: the data has only {num_train} training images, with "
                f"input.patches_per_image={self.input.patches_per_image}; take {patches} or less"
            )
        return patches // self.training.batch_size

    def evaluation_interval(self, num_train: int) -> int:
        """Steps between two evaluations of the run."""
        longer = max(self.steps_per_epoch(num_train), MIN_EVALUATION_STEPS)
        return self.in_steps("training.evaluation_", num_train) or longer

    def fitting(self, splits: Sequence[str]) -> "Config":
        """This config for data with these splits only: without a validation split, training is watched alone.

        Raises:
          InputError: none of the monitored splits is there, or the best metric's is and is not monitored.
        """
        training = self.training
        kept = tuple(split for split in training.monitored_splits if split in splits)
        if not kept:
            raise InputError(
                f"training.monitored_splits={','.join(training.monitored_splits)}: the data has {', '.join(splits)}; "
                "take some of these"
            )
        split, metric = training.best_metric.split("/")
        if split in splits and split not in kept:
            raise InputError(
                f"training.best_metric={training.best_metric}: {split} is not monitored; give "
                f"--set=training.monitored_splits={','.join([*kept, split])}, or another metric"
            )
        best = training.best_metric if split in kept else f"{kept[0]}/{metric}"
        return dataclasses.replace(
            self, training=dataclasses.replace(training, monitored_splits=kept, best_metric=best)
        )
