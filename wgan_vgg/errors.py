"""Every error that a user sees as one line, without a traceback.

InputError and NotAnImage are data_prep's, which knows nothing of this package.
"""

from data_prep.errors import InputError, NotAnImage, install, module_of_extra, reason

__all__ = ["Diverged", "InputError", "NotAnImage", "Terminated", "WorkerLost", "install", "module_of_extra", "reason"]


class Diverged(Exception):
    """A loss or a gradient is NaN or infinite; nothing was saved since it was finite."""


class Terminated(Exception):
    """A signal asked the run to stop; its state was saved; rerun to resume."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


class WorkerLost(Exception):
    """Another worker of a distributed run has gone; the last checkpoint stands."""
