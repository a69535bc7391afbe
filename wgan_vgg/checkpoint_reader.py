"""What a run's checkpoints hold, for all who only read them."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from wgan_vgg.errors import InputError, reason
from wgan_vgg.models import build_generator
from wgan_vgg.run_dir import RunDir

logger = logging.getLogger(__name__)

WEIGHTS = ("raw", "average", "best")

# What TensorFlow raises for a missing index, a truncated file and a flipped bit.
_DAMAGE = (tf.errors.OpError, IndexError, ValueError, AssertionError)


def checkpoint_prefixes(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first; the index gets its name last, so its presence means a whole one."""
    return sorted(
        file.with_suffix("") for file in folder.glob("step-*.index") if re.fullmatch(r"step-\d{9}", file.stem)
    )


def step_of(prefix: Path) -> int:
    """The step of a checkpoint."""
    return int(prefix.name.removeprefix("step-"))


def checkpoint_files(prefix: Path) -> list[Path]:
    """A checkpoint's files, the index first."""
    return [prefix.with_suffix(".index"), *sorted(prefix.parent.glob(f"{prefix.name}.data-*"))]


def newest_step(run: RunDir) -> int | None:
    """The step of a run's newest checkpoint; None where there is none."""
    return saved_step(run, "raw")


def is_whole(prefix: Path) -> bool:
    """Whether every tensor of a checkpoint can be read; TensorFlow checks their sums."""
    try:
        _read_all(str(prefix))
    except _DAMAGE:
        return False
    return True


def _read_all(prefix: str) -> None:
    reader = tf.train.load_checkpoint(prefix)
    for name in reader.get_variable_to_shape_map():
        reader.get_tensor(name)


def read_newest(folder: Path, read: Callable[[str], object]) -> Path | None:
    """Calls `read` with checkpoint prefixes, newest first, until one is whole; None where none is left."""
    for prefix in reversed(checkpoint_prefixes(folder)):
        try:
            # What `read` does not want counts, too: a run's parts are of one step, see saved_step.
            _read_all(str(prefix))
            read(str(prefix))
        except _DAMAGE as error:
            logger.warning("%s: damaged (%s), falling back", prefix, reason(error))
        else:
            return prefix
    return None


def saved_step(run: RunDir, weights: str) -> int | None:
    """The step of the checkpoint that load_generator takes, the newest that is whole; None where there is none."""
    prefixes = reversed(checkpoint_prefixes(run.best if weights == "best" else run.checkpoints))
    return next((step_of(prefix) for prefix in prefixes if is_whole(prefix)), None)


def load_generator(run: RunDir, weights: str = "raw") -> keras.Model:
    """A run's generator, in float32.

    Args:
      run: a trained run.
      weights: "raw", those of the newest checkpoint; "average", their moving average there; "best", those of the
        checkpoint that `training.best_metric` chose.

    Raises:
      InputError: no run, no checkpoint that can be read, or a run without a moving average.
    """
    config = run.load_config()
    if weights not in WEIGHTS:
        raise InputError(f"weights={weights}: unknown; take one of {', '.join(WEIGHTS)}")
    if weights == "average" and not config.training.ema_decay:
        raise InputError(f"weights=average: {run.path} was trained without; train with --ema_decay=0.999, say")
    generator = build_generator(config.generator)
    name = "average" if weights == "average" else "generator"

    def read(prefix: str) -> None:
        status = tf.train.Checkpoint(**{name: generator}).read(prefix)
        status.assert_existing_objects_matched().expect_partial()

    if read_newest(run.best if weights == "best" else run.checkpoints, read) is None:
        if weights == "best" and run.checkpoints.is_dir():
            raise InputError(
                f"weights=best: {run.path} has none that can be read; an imported run has none, nor has one before its "
                "first evaluation; take weights=raw"
            )
        raise InputError(f"workdir {run.path}: no checkpoint that can be read; train it with experiments.train")
    return generator
