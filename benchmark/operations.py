"""Where a training step's time goes, by kind of operation: what keeps it from the convolution peak."""

import collections
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmark.rows import Row
from benchmark.train import training_step
from data_prep.progress import Progress
from wgan_vgg.config import Config, override

_STEPS = 3
_LEAST_SHARE = 0.02  # smaller ones are added up
_OPERATION = re.compile(r".+:(?:_Mkl)?(?:Native)?_?(?:Fused)?(\w+)")  # NAME:KIND, with the prefixes of fast versions


def operation_rows(
    config: Config, models: Sequence[str], precisions: Sequence[str], progress: Progress
) -> Iterator[Row]:
    """Profiles a few training steps; a row for each kind of operation that takes 2 % or more of their time.

    Operations run at a time where they can, so that the sum of their times exceeds the step's.
    """
    cases = [(model, precision) for precision in precisions for model in models]
    for number, (model, precision) in enumerate(cases, start=1):
        step = training_step(override(config, {"model": model, "training.precision": precision}))
        step()
        with tempfile.TemporaryDirectory() as folder:
            tf.profiler.experimental.start(folder)
            started = time.perf_counter()
            for _ in range(_STEPS):
                step()
            taken = time.perf_counter() - started
            tf.profiler.experimental.stop()
            (path,) = Path(folder).rglob("*.xplane.pb")
            seconds = seconds_by_kind(xplane_pb2.XSpace.FromString(path.read_bytes()))
        total = sum(seconds.values())
        shown = {kind: value for kind, value in seconds.items() if value >= _LEAST_SHARE * total}
        shown["all others"] = total - sum(shown.values())
        for kind, value in sorted(shown.items(), key=lambda item: -item[1]):
            case = f"{model} {precision}: {kind}"
            limit = f"{total / _STEPS:.3g} s of all operations in a step of {taken / _STEPS:.3g} s"
            yield Row("operations", case, 1e3 * value / _STEPS, "ms per step", limit=limit, share=value / total)
        progress("operations", number, len(cases))


def seconds_by_kind(profile: xplane_pb2.XSpace) -> dict[str, float]:
    """Seconds of each kind of operation on the CPU, over all threads that run operations."""
    picoseconds: collections.Counter[str] = collections.Counter()
    for plane in profile.planes:
        if plane.name != "/host:CPU":
            continue
        for line in plane.lines:
            for event in line.events if line.name.startswith("tf_Compute") else ():
                match = _OPERATION.fullmatch(plane.event_metadata[event.metadata_id].name)
                if match and "::" not in match[0]:
                    picoseconds[match[1]] += event.duration_ps
    return {kind: value / 1e12 for kind, value in picoseconds.items()}
