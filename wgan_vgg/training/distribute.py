"""The one place that picks a tf.distribute strategy, and what workers and replicas need to know of each other."""

import dataclasses
import functools
import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from wgan_vgg.errors import InputError, reason
from wgan_vgg.shares import WHOLE, Share

logger = logging.getLogger(__name__)

_LONG_WAIT_SECONDS = 15.0
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")


@dataclasses.dataclass(frozen=True)
class Devices:
    """What a run runs on. By the global batch its result does not depend on it, rounding apart.

    `strategy` is one of STRATEGIES; "auto" takes several hosts where TF_CONFIG names them, else all GPUs of this one,
    else its one device. `virtual_devices` splits the CPU into this many, to try several devices.
    `steps_per_call` steps follow each other without Python between them; a profiled run takes one at a time.
    """

    strategy: str = "auto"
    virtual_devices: int = 0
    steps_per_call: int = 1


def make_strategy(devices: Devices) -> tf.distribute.Strategy:
    """The strategy for `devices`; to be called before anything else of TensorFlow's.

    Raises:
      InputError: an unknown strategy, one that this machine has no devices for, or a TF_CONFIG that is not understood.
    """
    name = devices.strategy
    if name not in STRATEGIES:
        raise InputError(f"strategy={name!r}: unknown; take one of {', '.join(STRATEGIES)}")
    if devices.virtual_devices:
        _split_cpu(devices.virtual_devices)
    workers = _check_cluster() if os.environ.get("TF_CONFIG") else 0
    if name == "auto" and workers > 1:
        name = "multi_worker"
    if name == "multi_worker":
        if not workers:
            raise InputError("strategy=multi_worker: TF_CONFIG is not set; see docs/training.md")
        if devices.virtual_devices:
            raise InputError("virtual_devices: a worker has one CPU; start more workers, or take strategy=mirrored")
        return _join_workers(os.environ["TF_CONFIG"])
    if name == "tpu":
        return _tpu_strategy()
    places = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")[: devices.virtual_devices]
    if name == "mirrored" or (name == "auto" and len(places) > 1):
        return _mirrored(tuple(place.name for place in places) or ("/cpu:0",))
    return tf.distribute.OneDeviceStrategy("/gpu:0" if tf.config.list_logical_devices("GPU") else "/cpu:0")


@functools.cache  # a second one would number its sums from 1 again, and TensorFlow takes them for the first one's
def _mirrored(places: tuple[str, ...]) -> tf.distribute.Strategy:
    return tf.distribute.MirroredStrategy(list(places))


def _split_cpu(count: int) -> None:
    if count < 0:
        raise InputError(f"virtual_devices={count}: must be at least 0")
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:  # TensorFlow has begun with other devices
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise InputError(f"virtual_devices={count}: TensorFlow runs already, with fewer; start anew") from error


def _check_cluster() -> int:
    """The number of workers in TF_CONFIG."""
    try:
        content = json.loads(os.environ["TF_CONFIG"])
        workers = content["cluster"].get("chief", []) + content["cluster"]["worker"]
        task = content["task"]
        known = task["type"] in ("chief", "worker") and 0 <= task["index"] < len(content["cluster"][task["type"]])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"TF_CONFIG: not understood ({error!r}); it needs cluster.worker, task.type, task.index"
        ) from error
    if not known:
        raise InputError(f"TF_CONFIG: task {task} is not in its cluster; task.index counts from 0")
    return len(workers)


@functools.cache
def _join_workers(cluster: str) -> tf.distribute.Strategy:
    waiting = threading.Timer(
        _LONG_WAIT_SECONDS, logger.warning, ("still waiting for the workers of TF_CONFIG=%s", cluster)
    )
    waiting.daemon = True
    waiting.start()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise InputError(f"TF_CONFIG={cluster}: {reason(error)}; take a free address") from error
    finally:
        waiting.cancel()


def _tpu_strategy() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError) as error:
        raise InputError(f"strategy=tpu: no TPU answers ({reason(error)}); take another strategy") from error
    return tf.distribute.TPUStrategy(resolver)


def check_batch_size(batch_size: int, replicas: int) -> None:
    """Raises InputError, with the near sizes, unless the global batch divides over the replicas."""
    if batch_size % replicas:
        near = batch_size // replicas * replicas
        sizes = " or ".join(str(size) for size in (near, near + replicas) if size)
        raise InputError(f"training.batch_size={batch_size}: does not divide over {replicas} replicas; take {sizes}")


def worker_index(strategy: tf.distribute.Strategy) -> int:
    """This process's place among the workers; the one with 0 is the chief, whose files are the run's."""
    resolver = strategy.cluster_resolver
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver is None:
        return 0
    cluster = resolver.cluster_spec().as_dict()
    return resolver.task_id + (len(cluster.get("chief", [])) if resolver.task_type == "worker" else 0)


def distributed(batches: Callable[[Share], tf.data.Dataset], strategy: tf.distribute.Strategy) -> Iterator[Any]:
    """Deals global batches out: each replica of each worker gets its own slice of the same batch.

    `batches` makes the data set of a share of them, so that every worker reads its own part and no more.
    """
    if isinstance(strategy, tf.distribute.OneDeviceStrategy) and not tf.config.list_logical_devices("GPU"):
        # What a strategy's iterator adds, TensorFlow tunes: its end waits for a thread that sleeps up to a minute.
        return iter(batches(WHOLE))

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        replicas = context.num_replicas_in_sync
        here = replicas // context.num_input_pipelines
        share = Share(context.input_pipeline_id * here, here, replicas)

        def split(*parts: tf.Tensor) -> tuple:
            return tf.nest.map_structure(lambda part: tf.stack(tf.split(part, here)), parts)

        return batches(share).map(split).unbatch().prefetch(2 * here)

    return iter(strategy.distribute_datasets_from_function(of_worker))


def any_worker(strategy: tf.distribute.Strategy, flag: bool) -> bool:
    """Whether the flag is set on any worker; all workers must call this."""
    return _sum(strategy, float(flag)) > 0


def check_same_run(strategy: tf.distribute.Strategy, what: str) -> None:
    """Raises InputError on every worker unless `what`, which describes its run, is the same on all of them."""
    number = float(int.from_bytes(hashlib.sha256(what.encode()).digest()[:3]))  # its square is exact in float64
    if strategy.num_replicas_in_sync * _sum(strategy, number**2) != _sum(strategy, number) ** 2:
        raise InputError(
            f"workers: their runs differ ({what} here); give all the same flags, data and a shared workdir"
        )


def _sum(strategy: tf.distribute.Strategy, value: float) -> float:
    return float(_summing(strategy)(tf.constant(value, tf.float64)))


@functools.lru_cache(maxsize=1)  # traced once, not at every question
def _summing(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], tf.Tensor]:
    @tf.function(autograph=False)
    def total(value: tf.Tensor) -> tf.Tensor:
        return strategy.reduce("SUM", strategy.run(lambda: tf.identity(value)), axis=None)

    return total
