"""A benchmark's rows as a table and as a plot, and the machine they were measured on."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from benchmark.rows import Row
from wgan_vgg.reporting.markdown import DASH, markdown_table
from wgan_vgg.reporting.style import new_figure

_HEADER = ("", "", "rate", "spread", "share", "of the limit", "fastest peer", "times it", "besides")


def describe_machine() -> str:
    """Processor, cores, devices and versions, in one line."""
    names = [line.partition(": ")[2] for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    parts = [
        names[0] if names else platform.processor(),
        f"{os.cpu_count()} cores",
        f"GPUs: {len(tf.config.list_physical_devices('GPU'))}",
    ]
    return ", ".join([*parts, f"Python {platform.python_version()}", f"TensorFlow {tf.__version__}"])


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    return markdown_table(_HEADER, [_cells(row) for row in rows])


def _cells(row: Row) -> list[str]:
    fastest = max(row.peers, key=row.peers.__getitem__) if row.peers else None
    return [
        row.part,
        row.case,
        f"{_short(row.rate)} {row.unit}",
        DASH if row.spread is None else f"{row.spread:.0%}",
        DASH if row.share is None else f"{row.share:.2f}",
        row.limit or DASH,
        f"{fastest} {_short(row.peers[fastest])}" if fastest else DASH,
        DASH if row.ratio is None else f"{row.ratio:.2f}",
        ", ".join(f"{name} {_short(value)}" for name, value in row.details.items()) or DASH,
    ]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def plot_input(rows: Sequence[Row], path: Path) -> None:
    """Microseconds an image, in the first pass and in later ones, by the number of records and of shards."""
    rows = [row for row in rows if row.part == "input"]
    figure, axes = new_figure(1, 2, 9.0, 3.2)
    for ax, name, other in ((axes[0, 0], "records", "shards"), (axes[0, 1], "shards", "records")):
        for kind, mark in (("first", "o"), ("later", "s")):
            mine = [row for row in rows if row.case.startswith(kind)]
            fixed = sorted(row.details[other] for row in mine)[len(mine) // 2]
            line = sorted((row.details[name], 1e6 / row.rate) for row in mine if row.details[other] == fixed)
            ax.plot(*zip(*line, strict=True), marker=mark, label=f"{kind} pass")
        ax.set_xscale("log")
        ax.set_ylim(bottom=0)
        ax.set_xlabel(f"{name} ({fixed:,.0f} {other})")
        ax.set_ylabel("µs an image")
        ax.legend()
    figure.savefig(path, dpi=150)
