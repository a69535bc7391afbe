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
    """Microseconds an image: whole ones in memory, by records and shards; patches by range, by records and side."""
    rows = [row for row in rows if row.part == "input"]
    figure, axes = new_figure(2, 2, 9.0, 6.4)
    whole = {f"{kind} pass": [row for row in rows if row.case.startswith(kind)] for kind in ("first", "later")}
    by_range = {"64x64 patches by range": [row for row in rows if "hosts" in row.details and row.details["hosts"] == 1]}
    for ax, lines, name, other in (
        (axes[0, 0], whole, "records", "shards"),
        (axes[0, 1], whole, "shards", "records"),
        (axes[1, 0], by_range, "records", "side"),
        (axes[1, 1], by_range, "side", "records"),
    ):
        for label, mine in lines.items():
            fixed = sorted(row.details[other] for row in mine)[len(mine) // 2]
            line = sorted((row.details[name], 1e6 / row.rate) for row in mine if row.details[other] == fixed)
            ax.plot(*zip(*line, strict=True), marker="o", label=label)
        if name != "side":
            ax.set_xscale("log")
        ax.set_ylim(0, 1.25 * ax.get_ylim()[1])  # room for the legend
        ax.set_xlabel(f"{name} ({other}: {fixed:,.0f})")
        ax.set_ylabel("µs an image")
        ax.legend()
    figure.savefig(path, dpi=150)
