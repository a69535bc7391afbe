"""Progress of a job with several stages: a bar on a terminal, a few lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import rich.console
import rich.progress

from data_prep.progress import NO_TERMS

_QUIET_SECONDS = 15.0  # between two lines of one stage where there is no terminal


class Reporter:
    """Shows it; see data_prep.progress.Progress."""

    def __init__(self) -> None:
        self._console = rich.console.Console(stderr=True)
        self._bars = rich.progress.Progress(
            rich.progress.TextColumn("{task.description:<28}"),
            rich.progress.BarColumn(bar_width=24),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(elapsed_when_finished=True),
            rich.progress.TextColumn("{task.fields[terms]}"),
            console=self._console,
        )
        self._tasks: dict[str, rich.progress.TaskID] = {}
        self._shown: dict[str, float] = {}
        self._started: dict[str, tuple[float, int]] = {}
        self._done: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int, terms: Mapping[str, float] = NO_TERMS, /) -> None:
        """Shows how far a stage is, and a few of its terms."""
        text = "  ".join(f"{name} {value:.4g}" for name, value in terms.items())
        if done <= self._done.get(stage, 0):  # it has begun again, as for another split of the same data
            self._started.pop(stage, None)
            self._shown.pop(stage, None)
            if stage in self._tasks:
                self._bars.reset(self._tasks[stage], total=total)
        self._done[stage] = done
        if not self._console.is_terminal:
            self._line(stage, done, total, text)
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, terms="")
        fields: dict[str, Any] = {"terms": text} if text else {}
        self._bars.update(self._tasks[stage], completed=done, **fields)

    def _line(self, stage: str, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        started, first = self._started.setdefault(stage, (now, done - 1))  # a resumed stage does not begin at 0
        if done < total and now - self._shown.get(stage, started) < _QUIET_SECONDS:
            return
        self._shown[stage] = now
        left = (now - started) / max(1, done - first) * (total - done)
        print(f"{stage}: {done}/{total}, {left:.0f} s left  {text}".rstrip(), file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def shown(self) -> Iterator["Reporter"]:
        """Draws the bars while the block runs."""
        with self._bars if self._console.is_terminal else contextlib.nullcontext():
            yield self
