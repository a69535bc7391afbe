"""The loop over steps and epochs of one training run in this process."""

import dataclasses
import functools
import math
import signal
import time
from collections.abc import Callable, Mapping

import tensorflow as tf

from data_prep.progress import Progress, silent
from wgan_vgg.checkpoint_reader import newest_step
from wgan_vgg.config import Config, nested
from wgan_vgg.errors import Diverged, InputError, Terminated
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.json_types import EpochRow
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training.batches import generator_batches, training_batches
from wgan_vgg.training.checkpoints import Checkpoints, keep_best
from wgan_vgg.training.distribute import any_worker, check_same_run, distributed
from wgan_vgg.training.gradients import CRITIC_GRADIENTS, GENERATOR_GRADIENTS, Terms
from wgan_vgg.training.initialization import initialize_generator, warm_up_critic
from wgan_vgg.training.monitor import Monitor
from wgan_vgg.training.multi_step import MAX_STEPS_PER_CALL, build_train_steps
from wgan_vgg.training.profiling import Profiler
from wgan_vgg.training.rows import behind_since, best_row, has_ended
from wgan_vgg.training.signals import StopRequest
from wgan_vgg.training.state import TrainState
from wgan_vgg.training.train_step import build_train_step

_METRICS_EVERY = MAX_STEPS_PER_CALL
_BLACK = 1.0 - 1e-6  # a sum of shares of 1 is not always 1


@dataclasses.dataclass
class EpochTotals:
    """What the loop knows of the steps since the last evaluation; travels in the checkpoint."""

    seconds: float = 0.0  # of training, over the whole run
    steps: int = 0  # summed
    sums: dict[str, float] = dataclasses.field(default_factory=dict)
    black_steps: int = 0  # consecutive ones up to now whose whole output was zero


class Trainer:
    """One training run in this process: `run` is what all workers read, `own` where this one writes."""

    def __init__(
        self,
        config: Config,
        data: DataSet,
        run: RunDir,
        own: RunDir,
        state: TrainState,
        monitor: Monitor,
        strategy: tf.distribute.Strategy,
        stop: StopRequest,
        steps_per_call: int = 1,
    ) -> None:
        self._config, self._data, self._run, self._own = config, data, run, own
        self._state, self._monitor, self._strategy, self._stop = state, monitor, strategy, stop
        self._checkpoints = Checkpoints(run, own, state)
        self._train_steps = build_train_steps(build_train_step(state, config, strategy))
        self._per_call = steps_per_call
        self._totals = EpochTotals()
        self._step = 0
        self._asked_to_stop = False
        self._show: Callable[[int, dict[str, float]], None] = lambda *_: None
        self.rows: list[EpochRow] = []

    def restore(self) -> bool:
        """Reads the newest checkpoint and the rows up to it, before anything is written; False for a new run.

        Raises:
          InputError: the rows are gone, or the workers see different runs.
        """
        totals = self._checkpoints.restore()
        if totals is not None:
            self._totals, self._step = EpochTotals(**totals), int(self._state.step.numpy())
            self.rows = [row for row in self._run.rows() if row["step"] <= self._step]
            if not self.rows:
                raise InputError(f"{self._run.metrics}: its rows are gone; restore it, or take another workdir")
        settings = nested.to_dict(self._config)
        del settings["input"]["memory_gb"]  # a host's own affair
        check_same_run(
            self._strategy,
            f"step {self._step}, data {self._data.fingerprint[:8]}, config {settings}",
        )
        return totals is not None

    def resume(self) -> None:
        """Drops what is later than the restored checkpoint."""
        self._checkpoints.quarantine_corrupt()
        self._own.write_rows(self.rows)
        self._keep_best()

    def begin(self, progress: Progress = silent) -> None:
        """Initialises a new run, warms its critic up and evaluates step 0."""
        self._own.write_rows([])
        first_batch = next(iter(generator_batches(self._config, self._data, 0)))
        means = initialize_generator(self._state, self._config, first_batch[0])
        warmup = warm_up_critic(self._state, self._config, self._data, self._strategy, self._stop_flag)
        for number, count, terms in warmup:
            values = {name: float(value) for name, value in terms.items()}
            check_finite(f"critic warm-up {number}", {"training": values}, self._run)
            if values["stop_requests"]:
                raise Terminated("stopped in the critic's warm-up, nothing saved yet", self._signal())
            progress("critic warm-up", number, count, values if number % _METRICS_EVERY == 0 else {})
        self._evaluate({"epoch": 0, "step": 0, "seconds": 0.0, "initialisation_means": means})

    def run_epochs(self, stop_at: int, total: int, progress: Progress = silent, profile_steps: int = 0) -> None:
        """Trains to step `stop_at` of `total`, or to an earlier end.

        Raises:
          Terminated: a signal asked for it; the state is saved.
        """
        num_train = self._data.size("train")
        evaluate_every = self._config.evaluation_interval(num_train)
        save_every = self._config.in_steps("training.checkpoint_", num_train) or total
        self._batches = distributed(
            functools.partial(training_batches, self._config, self._data, self._step), self._strategy
        )
        stage = f"train {self._config.model}"
        self._show = lambda step, terms: progress(stage, step, total, terms)
        with Profiler(self._own.tensorboard, self._step + 1, profile_steps) as self._profiler:
            while not (has_ended(self.rows[-1], total) or self._step >= stop_at or self._asked_to_stop):
                next_row, next_save = ((self._step // every + 1) * every for every in (evaluate_every, save_every))
                started = time.monotonic()
                self._train_until(min(next_row, next_save, stop_at, total))
                self._totals.seconds += time.monotonic() - started
                if self._step in (next_row, total) or self._is_black():
                    losses = {name: value / self._totals.steps for name, value in self._totals.sums.items()}
                    epoch = round(self._step / self._config.steps_per_epoch(num_train), 4)
                    row = {"epoch": epoch, "step": self._step, "seconds": self._totals.seconds}
                    self._evaluate(row | {"losses": losses})
                else:
                    self._checkpoints.save(dataclasses.asdict(self._totals))
        if self._asked_to_stop and not has_ended(self.rows[-1], total):
            raise Terminated(f"stopped at step {self._step}, which is saved; rerun to resume", self._signal())

    def _train_until(self, last: int) -> None:
        """Trains to step `last`, a black output or a request to stop; reads a call's terms while the next one runs."""
        unread = None
        while not (self._step == last or self._is_black() or self._asked_to_stop):
            self._profiler.before(self._step)
            most = 1 if self._stop.number is not None else self._per_call  # a call cannot be stopped
            count = min(most, last - self._step, _METRICS_EVERY - self._step % _METRICS_EVERY)
            terms = self._train_steps(self._batches, count, tf.constant(self._stop_flag()))
            self._step += count
            if unread:
                self._take(*unread)
            unread = (self._step - count, terms)
            if self._step % _METRICS_EVERY == 0:
                self._take(*unread)
                unread = None
        if unread:
            self._take(*unread)

    def _take(self, before: int, tensors: Terms) -> None:
        """Reads the terms of one call's steps, which follow step `before`, into the totals.

        Raises:
          Diverged: one is NaN or infinite.
        """
        columns = {name: values.numpy().tolist() for name, values in tensors.items()}
        for step, values in enumerate(zip(*columns.values(), strict=True), start=before + 1):
            self._note(step, dict(zip(columns, values, strict=True)))

    def _note(self, step: int, terms: dict[str, float]) -> None:
        check_finite(f"step {step}", {"training": terms}, self._run)
        self._asked_to_stop |= terms.pop("stop_requests") > 0
        for name in (CRITIC_GRADIENTS, GENERATOR_GRADIENTS):
            terms.pop(name, None)
        sums = self._totals.sums
        self._totals.sums = {name: sums.get(name, 0.0) + value for name, value in terms.items()}
        self._totals.steps += 1
        self._totals.black_steps = self._totals.black_steps + 1 if terms["zero_share"] > _BLACK else 0
        self._show(step, terms if step % _METRICS_EVERY == 0 else {})

    def _is_black(self) -> bool:
        """Looked at where all terms are read, however often the run was interrupted."""
        limit = self._config.in_steps("training.collapse_", self._data.size("train")) or math.inf
        return self._step % _METRICS_EVERY == 0 and self._totals.black_steps >= limit

    def _evaluate(self, row: EpochRow) -> None:
        """Evaluates the state and saves it; a run killed after the row and before the checkpoint takes both again."""
        values = self._monitor.evaluate()
        check_finite(f"step {self._step}", values, self._run)
        self._monitor.write_summaries(self._own.tensorboard, self._step, values)
        training = self._config.training
        brightness = max(of_split["brightness"] for of_split in values.values())
        black = brightness < training.collapse_ratio or self._is_black()
        behind = behind_since(self.rows, self._step, values, self._monitor.input_psnr)
        shares = self._monitor.gradient_shares()
        extra = {"behind_input_since": behind} | ({"gradient_shares": shares} if shares else {})
        self.rows.append(row | values | extra)
        patience = self._config.in_steps("training.early_stopping_", self._data.size("train"))
        waited = self._step - best_row(self.rows, training.best_metric)["step"]
        self.rows[-1] |= {
            "collapsed": any_worker(self._strategy, self._step > 0 and black),
            "stopped_early": any_worker(self._strategy, patience is not None and waited >= patience),
        }
        self._own.append_row(self.rows[-1])
        self._totals = EpochTotals(seconds=self._totals.seconds, black_steps=self._totals.black_steps)
        self._checkpoints.save(dataclasses.asdict(self._totals))
        self._keep_best()

    def _keep_best(self) -> None:
        keep_best(self._own, best_row(self.rows, self._config.training.best_metric)["step"])

    def _stop_flag(self) -> float:
        """What this worker reports to the others in each step: 1 if it was asked to stop."""
        return float(self._stop.number is not None)

    def _signal(self) -> int:
        """The signal; where another worker had it, SIGTERM."""
        return self._stop.number or signal.SIGTERM


def check_finite(when: str, terms: Mapping[str, Mapping[str, float]], run: RunDir) -> None:
    """Raises Diverged where a term is NaN or infinite; to be called before anything is saved."""
    for where, values in terms.items():
        for name, value in values.items():
            # Equal images have an infinite PSNR.
            if math.isnan(value) or (math.isinf(value) and not name.endswith("psnr")):
                good = newest_step(run)
                rest = "nothing was saved" if good is None else f"the last good checkpoint is step {good}"
                raise Diverged(
                    f"{when}: {name} ({where}) is {value}; {rest}; lower optimizer.generator_lr or critic_lr in a new "
                    "workdir"
                )
