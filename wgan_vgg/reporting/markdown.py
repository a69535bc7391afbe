"""Cells and tables of Markdown."""

from collections.abc import Mapping, Sequence

DASH = "–"


def number(value: float | None, digits: int) -> str:
    """A number for a table; a dash where there is none."""
    return DASH if value is None else f"{value:.{digits}f}"


def with_interval(estimate: Mapping[str, float | None] | None, digits: int, sign: str = "") -> str:
    """A mean and its interval (`mean`, `low`, `high`); `sign` is "+" where a sign is always to be shown."""
    if estimate is None or estimate["mean"] is None:
        return DASH
    bounds = "" if estimate["low"] is None else f" [{estimate['low']:.{digits}f}, {estimate['high']:.{digits}f}]"
    return f"{estimate['mean']:{sign}.{digits}f}{bounds}"


def duration(seconds: float) -> str:
    """Seconds as a reader says them."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns stand under each other in plain text too; a `|` in a cell is escaped."""
    header, *rows = ([cell.replace("|", "\\|") for cell in row] for row in (header, *rows))
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(header), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)])
