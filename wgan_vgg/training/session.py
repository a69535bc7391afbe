"""The loop over steps and epochs of one training run in this process."""

import dataclasses
import math
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from data_prep.errors import InputError
from wgan_vgg.config import Config
from wgan_vgg.endings import Diverged, Terminated
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import RunDir
from wgan_vgg.trained_model import newest_step
from wgan_vgg.training.batches import generator_batches, training_batches
from wgan_vgg.training.checkpoints import Checkpoints
from wgan_vgg.training.distribute import any_worker, check_same_step, distributed
from wgan_vgg.training.monitor import Monitor
from wgan_vgg.training.profiling import Profiler
from wgan_vgg.training.signals import StopRequest
from wgan_vgg.training.start import initialise_generator, warm_up_critic
from wgan_vgg.training.train_step import (
    CRITIC_GRADIENTS,
    GENERATOR_GRADIENTS,
    Terms,
    TrainState,
    build_train_step,
)

# Called as progress(step, total, terms); terms only now and then, and after a few seconds of a single step.
Progress = Callable[[int, int, dict[str, float]], None]
_LOOK_EVERY = 10


def has_ended(row: Mapping[str, Any], total: int) -> bool:
    """Whether the row of metrics.jsonl is a run's last."""
    return row["collapsed"] or row["stopped_early"] or row["step"] >= total


def best_row(rows: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    """The row, the earliest of equals, with the highest PSNR or SSIM, or the lowest error, as "split/metric" says."""
    split, name = metric.split("/")
    sign = -1.0 if name == "mse" else 1.0
    return max(rows, key=lambda row: sign * row[split][name])


@dataclasses.dataclass
class Notes:
    """What the loop knows of an epoch that has not ended; travels in the checkpoint."""

    seconds: float = 0.0  # of training, over the whole run
    steps: int = 0  # summed
    sums: dict[str, float] = dataclasses.field(default_factory=dict)
    black_steps: int = 0  # on end, up to now, in which the whole output was zero


@dataclasses.dataclass
class Session:
    """One training run in this process."""

    config: Config
    data: DataSet
    run: RunDir
    state: TrainState
    checkpoints: Checkpoints
    monitor: Monitor
    strategy: tf.distribute.Strategy
    notes: Notes = dataclasses.field(default_factory=Notes)
    step: int = 0
    progress: Progress | None = None

    def restore(self, source: RunDir) -> dict[str, Any] | None:
        """Reads the newest checkpoint and the rows up to it, before anything is written.

        Returns:
          The notes in the checkpoint; None where the run has not begun.

        Raises:
          InputError: the rows are gone, or the workers see different runs.
        """
        notes = self.checkpoints.restore()
        self.step = int(self.state.step.numpy())
        self._rows = [row for row in source.rows() if row["step"] <= self.step] if notes is not None else []
        if notes is not None and not self._rows:
            raise InputError(f"{source.metrics}: its rows are gone; restore it, or take another workdir")
        check_same_step(self.strategy, self.step if notes is not None else -1)
        return notes

    def begin(self, notes: dict[str, Any] | None) -> None:
        """Drops later rows; without a checkpoint, initialises, warms the critic up and judges the start."""
        self.run.write_rows(self._rows)
        if notes is not None:
            self.notes = Notes(**notes)
            self._keep_best()
            return
        first_batch = next(iter(generator_batches(self.config, self.data, 0)))
        means = initialise_generator(self.state, self.config, first_batch[0])
        warm_up_critic(self.state, self.config, self.data, self.strategy)
        self._close_epoch({"epoch": 0, "step": 0, "seconds": 0.0, "initialisation_means": means})

    def run_epochs(
        self, stop_at: int, total: int, progress: Progress | None = None, profile_steps: int = 0
    ) -> dict[str, Any]:
        """Trains to step `stop_at` of `total`, or to an earlier end; returns the last row."""
        self.progress = progress and (lambda step, terms: progress(step, total, terms))
        per_epoch = self.config.steps_per_epoch(self.data.size("train"))
        self._train_step = build_train_step(self.state, self.config, self.strategy)
        self._batches = distributed(training_batches(self.config, self.data, self.step), self.strategy)
        self._profiler = Profiler(self.run.tensorboard, self.step + 1, profile_steps)
        with StopRequest() as self._stop, self._profiler:
            while not has_ended(self._rows[-1], total) and self.step < stop_at:
                epoch_end = min(total, (self.step // per_epoch + 1) * per_epoch)
                self._train_until(min(epoch_end, stop_at))
                if self.step == epoch_end or self._is_black():
                    self._close_epoch(
                        {
                            "epoch": -(-self.step // per_epoch),
                            "step": self.step,
                            "seconds": self.notes.seconds,
                            "losses": {name: value / self.notes.steps for name, value in self.notes.sums.items()},
                        }
                    )
                else:
                    self.checkpoints.save(dataclasses.asdict(self.notes))
        return self._rows[-1]

    def _train_until(self, last: int) -> None:
        """Trains to step `last`, unless the output stays black; a step's terms are read while the next one runs."""
        save_every = self.config.in_steps("training.checkpoint_", self.data.size("train"))
        started, unread = time.monotonic(), None
        while self.step < last and not self._is_black():
            self._profiler.before(self.step)
            remark = tf.constant(float(self._stop.number is not None))
            terms = self._train_step(*next(self._batches), remark)
            self.step += 1
            asked_to_stop = unread is not None and self._take(*unread)
            unread = (self.step, terms)
            save = save_every and self.step % save_every == 0
            if save or asked_to_stop or self.step == last or self.step % _LOOK_EVERY == 0:
                asked_to_stop = self._take(*unread) or asked_to_stop
                unread = None
            if (save and self.step < last) or asked_to_stop:
                now = time.monotonic()
                self.notes.seconds += now - started
                started = now
                self.checkpoints.save(dataclasses.asdict(self.notes))
            if asked_to_stop:
                number = self._stop.number or signal.SIGTERM
                raise Terminated(f"stopped at step {self.step}, which is saved; the same command goes on", number)
        self.notes.seconds += time.monotonic() - started

    def _take(self, step: int, tensors: Terms) -> bool:
        """Reads a step's terms into the notes; returns whether a worker was asked to stop.

        Raises:
          Diverged: one is NaN or infinite.
        """
        terms = {name: float(value) for name, value in tensors.items()}
        self._check_finite(step, {"training": terms})
        remarks = terms.pop("remarks")
        for name in (CRITIC_GRADIENTS, GENERATOR_GRADIENTS):
            terms.pop(name, None)
        sums = self.notes.sums
        self.notes.sums = {name: sums.get(name, 0.0) + value for name, value in terms.items()}
        self.notes.steps += 1
        self.notes.black_steps = self.notes.black_steps + 1 if terms["zero_share"] == 1.0 else 0
        if self.progress:
            self.progress(step, terms if step % _LOOK_EVERY == 0 else {})
        return remarks > 0

    def _is_black(self) -> bool:
        """Looked at where all terms are read, however often the run was interrupted."""
        return self.step % _LOOK_EVERY == 0 and self.notes.black_steps >= self.config.training.collapse_steps

    def _close_epoch(self, row: dict[str, Any]) -> None:
        """Judges the state and saves it; a run killed after the row and before the checkpoint takes both again."""
        values = self.monitor.evaluate()
        self._check_finite(row["step"], values)
        self.monitor.write_summaries(self.run.tensorboard, row["step"], values)
        training = self.config.training
        black = values["train"]["brightness"] < training.collapse_ratio or self._is_black()
        self._rows.append(row | values)
        patience = self.config.in_steps("training.early_stopping_", self.data.size("train"))
        waited = row["step"] - best_row(self._rows, training.best_metric)["step"]
        self._rows[-1] |= {
            "collapsed": any_worker(self.strategy, row["step"] > 0 and black),
            "stopped_early": any_worker(self.strategy, patience is not None and waited >= patience),
        }
        self.run.append_row(self._rows[-1])
        self.notes = Notes(seconds=self.notes.seconds, black_steps=self.notes.black_steps)
        self.checkpoints.save(dataclasses.asdict(self.notes))
        self._keep_best()

    def _keep_best(self) -> None:
        self.checkpoints.keep_best(best_row(self._rows, self.config.training.best_metric)["step"])

    def _check_finite(self, step: int, terms: Mapping[str, Mapping[str, float]]) -> None:
        """Raises Diverged, before anything is saved, where a term is NaN or infinite."""
        for where, values in terms.items():
            for name, value in values.items():
                if not math.isfinite(value) and not name.endswith("psnr"):  # equal images have an infinite PSNR
                    raise Diverged(
                        f"step {step}: {name} ({where}) is {value}; the last good checkpoint is step "
                        f"{newest_step(self.run)}; lower optimizer.generator_lr or critic_lr in a new workdir"
                    )
