"""A few steps under TensorFlow's profiler, for TensorBoard's Profile page."""

from pathlib import Path

import tensorflow as tf


class Profiler:
    """Profiles `count` steps from `first` on; does nothing with a count of 0."""

    def __init__(self, folder: Path, first: int, count: int) -> None:
        self._folder, self._first, self._last = folder, first, first + count
        self._running = False

    def before(self, step: int) -> None:
        """To be called before each step."""
        if self._running and step == self._last:
            self._stop()
        elif step == self._first < self._last:
            tf.profiler.experimental.start(str(self._folder))
            self._running = True

    def _stop(self) -> None:
        tf.profiler.experimental.stop()
        self._running = False

    def __enter__(self) -> "Profiler":
        return self

    def __exit__(self, *_: object) -> None:
        if self._running:
            self._stop()
