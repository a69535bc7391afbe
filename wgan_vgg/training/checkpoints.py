"""Checkpoints of everything that training changes; a damaged one falls back to the one before it."""

import json
import shutil
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from data_prep.staging import link_or_copy
from wgan_vgg.checkpoint_reader import checkpoint_files, checkpoint_prefixes, read_newest, step_of
from wgan_vgg.errors import InputError
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training.state import TrainState

_KEEP = 2


class Checkpoints:
    """Saves a TrainState in `own.checkpoints`, keeping the newest two; restores from `run`.

    The two differ for workers other than the chief: they take part in every save, but theirs are not the run's.
    """

    def __init__(self, run: RunDir, own: RunDir, state: TrainState) -> None:
        self._run = run
        self._folder = own.checkpoints
        parts = {name: value for name, value in vars(state).items() if value is not None and name != "vgg"}
        self._epoch = tf.Variable("", dtype=tf.string, trainable=False)  # what the loop knows of an epoch not ended
        self._checkpoint = tf.train.Checkpoint(**parts, epoch=self._epoch)
        self._step = state.step

    def save(self, epoch: Mapping[str, Any]) -> None:
        """Writes the checkpoint of the current step with the loop's own totals, then drops the oldest ones.

        TensorFlow writes the index in place; here the files get their names when they are whole, the index last.

        Raises:
          InputError: it cannot be written; what was there before still is.
        """
        self._epoch.assign(json.dumps(epoch))
        name = f"step-{int(self._step.numpy()):09d}"
        partial = self._folder / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            self._checkpoint.write(str(partial / name))
            for file in sorted(partial.iterdir(), key=lambda file: file.suffix == ".index"):
                file.rename(self._folder / file.name)
        except (tf.errors.OpError, OSError) as error:
            reason = str(error).removesuffix(" [Op:SaveV2]").rpartition("; ")[2]
            raise InputError(
                f"{self._folder / name}: cannot be written ({reason}); make room or the folder writable, the same "
                "command resumes from the checkpoint before"
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        for prefix in checkpoint_prefixes(self._folder)[:-_KEEP]:
            for file in checkpoint_files(prefix):
                file.unlink()

    def restore(self) -> dict[str, Any] | None:
        """Restores the newest checkpoint that is whole.

        Returns:
          The loop's own totals, or None where the run has not begun.

        Raises:
          InputError: the run has begun, and no checkpoint can be read.
        """
        folder = self._run.checkpoints
        if read_newest(folder, lambda prefix: self._checkpoint.read(prefix).assert_consumed()):
            return json.loads(self._epoch.numpy())
        if checkpoint_prefixes(folder) or any(row["step"] > 0 for row in self._run.rows()):
            raise InputError(f"{folder}: no checkpoint there can be read; restore one, or take another workdir")
        return None

    def quarantine_corrupt(self) -> None:
        """Renames the corrupt checkpoints newer than the restored one, which else would displace good ones."""
        for prefix in checkpoint_prefixes(self._folder):
            if step_of(prefix) > int(self._step.numpy()):
                for file in checkpoint_files(prefix):
                    file.rename(file.with_name(f"damaged-{file.name}"))


def keep_best(run: RunDir, step: int) -> None:
    """Makes the checkpoint of `step` the only one in `run.best`, by links; it stays so when it is no longer new."""
    newest = next((prefix for prefix in checkpoint_prefixes(run.checkpoints) if step_of(prefix) == step), None)
    if newest is not None:
        run.best.mkdir(exist_ok=True)
        for file in reversed(checkpoint_files(newest)):  # the index last: its presence means a whole one
            target = run.best / file.name
            if not (target.exists() and target.samefile(file)):
                target.unlink(missing_ok=True)
                link_or_copy(file, target)
    if step in map(step_of, checkpoint_prefixes(run.best)):
        for prefix in checkpoint_prefixes(run.best):
            if step_of(prefix) != step:
                for file in checkpoint_files(prefix):
                    file.unlink()
