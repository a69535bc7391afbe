"""Timing several functions in turn, so that other load on the machine affects all of them equally."""

import dataclasses
import gc
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from data_prep.progress import Progress, silent

Name = TypeVar("Name", bound=Hashable)


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of one thing over several rounds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the rounds, in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median."""
        return (max(self.seconds) - min(self.seconds)) / self.median


def time_in_turn(
    functions: Mapping[Name, Callable[[], object]],
    rounds: int,
    warmups: int = 1,
    *,
    pause: float = 0.0,
    progress: Progress = silent,
) -> dict[Name, Timing]:
    """Calls each function once per round, after `warmups` rounds that do not count.

    Each must return only when its work is done: a TensorFlow result has to be read by it.

    Args:
      functions: what to time, by name.
      rounds, warmups: how often.
      pause: seconds before each call.
      progress: called in every round.
    """
    seconds: dict[Name, list[float]] = {name: [] for name in functions}
    for number in range(warmups + rounds):
        for name, function in functions.items():
            gc.collect()
            time.sleep(pause)
            started = time.perf_counter()
            function()
            taken = time.perf_counter() - started
            if number >= warmups:
                seconds[name].append(taken)
        progress("timing", number + 1, warmups + rounds)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}
