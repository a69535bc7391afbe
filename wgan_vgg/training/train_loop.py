"""A training run from its first step to its last, or from where it was left."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from data_prep.progress import Progress, silent
from wgan_vgg import files, models
from wgan_vgg.checkpoint_reader import checkpoint_prefixes, is_whole, newest_step, step_of
from wgan_vgg.config import MODELS, Config, nested, preset
from wgan_vgg.crops import crop_shape
from wgan_vgg.environment import describe_environment
from wgan_vgg.errors import InputError, WorkerLost
from wgan_vgg.evaluation import metrics
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.json_types import Environment, EpochRow, StoredRun
from wgan_vgg.models.vgg import describe_weights, smallest_side
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training import distribute
from wgan_vgg.training.batches import check_batches
from wgan_vgg.training.checkpoints import keep_best
from wgan_vgg.training.distribute import Devices
from wgan_vgg.training.monitor import Monitor
from wgan_vgg.training.multi_step import MAX_STEPS_PER_CALL
from wgan_vgg.training.precision_check import slower_than_float32
from wgan_vgg.training.resume_check import check_same_config
from wgan_vgg.training.rows import best_row, has_ended
from wgan_vgg.training.signals import StopRequest
from wgan_vgg.training.state import create_state
from wgan_vgg.training.trainer import Trainer
from wgan_vgg.training.warm_start import Source, find_source, take_over
from wgan_vgg.training_input import training_input

logger = logging.getLogger(__name__)

_PEER_GONE = (
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError, tf.errors.CancelledError),
    tf.errors.DeadlineExceededError,
)


def train(
    config: Config,
    data: DataSet,
    workdir: Path,
    progress: Progress = silent,
    *,
    devices: Devices | None = None,
    max_steps: int | None = None,
    profile_steps: int = 0,
) -> EpochRow:
    """Trains one model, resuming what `workdir` holds.

    Args:
      config: the run's; its data section gives way to what the records were made with.
      data: records with a train and a test split.
      workdir: the run directory; with several hosts it is on a disk that they share.
      progress: called after each step, now and then with the terms of the losses.
      devices: what to run on; by default what the machine has.
      max_steps: where this call ends at the latest; the same call with a higher one continues.
      profile_steps: how many steps, from the second on, are profiled for TensorBoard.

    Returns:
      The last row of metrics.jsonl. Its `collapsed` is true where the generator's output has died, `stopped_early`
      where the best metric did not improve for `training.early_stopping_steps`.

    Raises:
      InputError: a config that does not fit the data, the devices or the run in `workdir`.
      Diverged: a loss or a gradient is not finite; the last good checkpoint stands.
      Terminated: SIGTERM or Ctrl-C; the state was saved.
      WorkerLost: another host's process has gone.
    """
    config = nested.override(config, nested.flatten_dict({"data": nested.to_dict(data.config)}))
    config = config.fitting(data.splits)
    if (init_from := config.training.init_from) in MODELS:  # a reproduction has put its path there
        if init_from != preset(config.preset).training.init_from:
            raise InputError(
                f"training.init_from={init_from}: a model's name is reproduce's; of a folder give ./{init_from}"
            )
        config = nested.override(config, {"training.init_from": None})
    num_train = data.size("train")
    total = config.total_steps(num_train)
    shape = check_sizes(config, data.image_shape)
    if max_steps is not None and max_steps < 1:
        raise InputError(f"max_steps={max_steps}: must be at least 1")
    if profile_steps < 0:
        raise InputError(f"profile={profile_steps}: must be at least 0")
    devices = devices or Devices()
    per_call = devices.steps_per_call
    if not 1 <= per_call <= MAX_STEPS_PER_CALL:
        raise InputError(f"steps_per_call={per_call}: must be from 1 to {MAX_STEPS_PER_CALL}")
    strategy = distribute.make_strategy(devices)
    if per_call > 1 and not isinstance(strategy, tf.distribute.OneDeviceStrategy):
        raise InputError(f"steps_per_call={per_call}: on one device only; leave it out, or take strategy=one_device")
    distribute.check_batch_size(config.training.batch_size, strategy.num_replicas_in_sync)
    run = RunDir(workdir)
    run.create()
    own = run.of_worker(distribute.worker_index(strategy))
    own.create()
    with own.locked(), data.translate_shard_errors(), _translate_worker_errors(strategy, run), _temporary(own, run):
        if run.config.exists():
            check_same_config(run, config, data.fingerprint)
        elif own is run and newest_step(run) is not None:
            raise InputError(
                f"workdir {run.path}: has checkpoints and no config.json, so nobody knows of what; put it back, or "
                "take another workdir"
            )
        rows = run.rows()
        if rows and has_ended(rows[-1], total) and _is_saved(run, rows[-1]["step"]):
            if own is run:
                keep_best(run, best_row(rows, config.training.best_metric)["step"])
            return rows[-1]
        training = config.training
        if text := slower_than_float32(training.precision):
            logger.warning("%s", text)
        for split in ("train", *training.monitored_splits):
            data.check(split, progress)  # it would be done without showing progress
        images = {split: data.first(split, training.eval_images) for split in training.monitored_splits}
        with strategy.scope():
            state = create_state(config, shape, num_train)
        monitor = Monitor(state, config, images, shape, transposed=data.description["transposed"])
        with StopRequest() as stop:
            trainer = Trainer(config, data, run, own, state, monitor, strategy, stop, 1 if profile_steps else per_call)
            resumed = trainer.restore()
            source = None
            if not resumed:
                check_batches(config, data)
                if training.init_from:
                    source = find_source(training.init_from, config.generator)
                    take_over(state, source)
            # Not before: a run that cannot begin leaves no trace.
            _describe_run(own, config, data, strategy, source, resumed=resumed)
            if resumed:
                trainer.resume()
            else:
                trainer.begin(progress)
            trainer.run_epochs(min(total, max_steps or total), total, progress, profile_steps)
        return trainer.rows[-1]


def _is_saved(run: RunDir, step: int) -> bool:
    newest = checkpoint_prefixes(run.checkpoints)[-1:]
    return [step_of(prefix) for prefix in newest] == [step] and is_whole(newest[0])


def check_sizes(config: Config, image_shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width of what the generator trains on.

    Raises:
      InputError: the images are too small for a patch, SSIM's window, the generator, the critic or VGG.
    """
    metrics.check_size(image_shape)
    shape = crop_shape(config.input, image_shape)
    generator = models.generator_of(config.generator)
    multiple = generator.extent.multiple
    if any(side % multiple for side in shape):
        raise InputError(
            f"training images of {shape[0]}x{shape[1]}: {config.generator.name} trains on sides that are multiples of "
            f"{multiple}; set input.patch_size"
        )
    needs = {
        "generator": generator.extent.smallest_side,
        "critic": models.critic_of(config.critic).smallest_side if config.spec.adversarial else 1,
        "VGG": smallest_side(config.vgg) if config.spec.uses_vgg else 1,
    }
    made = generator.trained_shape(shape)
    for name, least in needs.items():
        if min(made) < least:
            least += shape[0] - made[0]
            raise InputError(f"training images of {shape[0]}x{shape[1]}: the {name} takes {least}x{least} or more")
    return shape


def _describe_run(
    own: RunDir,
    config: Config,
    data: DataSet,
    strategy: tf.distribute.Strategy,
    source: Source | None,
    *,
    resumed: bool,
) -> None:
    began = source.description if source else None
    if resumed and own.config.exists():  # what it began with is kept: its source may have been trained further
        began = own.stored().get("init_from")
    described: StoredRun = {
        "init_from": began,
        "config": nested.to_dict(config),
        "vgg_weights": describe_weights(config.vgg) if config.spec.uses_vgg else None,
        "training_input": training_input(data),
        "data": {"path": str(data.path), "fingerprint": data.fingerprint, **data.description},
    }
    files.write_json(own.config, described)
    launches = files.read_json(own.environment) if own.environment.exists() else []
    launch: Environment = {
        **describe_environment(),
        "seed": config.seed,
        "strategy": type(strategy).__name__,
        "replicas": strategy.num_replicas_in_sync,
    }
    files.write_json(own.environment, [*launches, launch])


@contextlib.contextmanager
def _temporary(own: RunDir, run: RunDir) -> Iterator[None]:
    """Removes what a worker other than the chief has written; the chief's is the run's."""
    try:
        yield
    finally:
        if own is not run:
            shutil.rmtree(own.path, ignore_errors=True)


@contextlib.contextmanager
def _translate_worker_errors(strategy: tf.distribute.Strategy, run: RunDir) -> Iterator[None]:
    """Turns TensorFlow's errors over a peer that has gone into one that says what to do.

    Raises:
      WorkerLost: so it is.
    """
    try:
        yield
    except _PEER_GONE as error:
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            raise
        raise WorkerLost(
            f"another worker has gone ({str(error).splitlines()[0][-120:]}); the last checkpoint of {run.path} is step "
            f"{newest_step(run)}; start all workers again with the same commands"
        ) from error
