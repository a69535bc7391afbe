"""Reporting progress: one protocol for every long job."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

NO_TERMS: Mapping[str, float] = MappingProxyType({})


class Progress(Protocol):
    """Called now and then: of a job's stage, `done` of `total` is done (0 in all: unknown)."""

    def __call__(self, stage: str, done: int, total: int, terms: Mapping[str, float] = NO_TERMS, /) -> None:
        """`terms`: values to show beside it, such as the losses of a training."""


def silent(stage: str, done: int, total: int, terms: Mapping[str, float] = NO_TERMS, /) -> None:
    """Shows nothing."""


def prefixed(progress: Progress, prefix: str) -> Progress:
    """Reports every stage under a prefix, which distinguishes the parts of a job."""

    def report(stage: str, done: int, total: int, terms: Mapping[str, float] = NO_TERMS, /) -> None:
        progress(f"{prefix}: {stage}", done, total, terms)

    return report
