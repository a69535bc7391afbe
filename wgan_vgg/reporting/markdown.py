"""Cells and tables of Markdown, written for results.md and read again for the page."""

import dataclasses
import re
from collections.abc import Sequence

from wgan_vgg.evaluation.json_types import Bounded, Estimate

DASH = "–"
# What the report calls PSNR and SSIM: of a batch's MSE, and with one window over the whole batch. In tables that have
# PSNR and SSIM proper, of each image and of Wang et al. 2004, they stand under these names.
BATCH_PSNR, GLOBAL_SSIM = "batch PSNR", "global SSIM"
_BETWEEN_CELLS = re.compile(r"(?<!\\)\|")  # a cell's own | is escaped
_NUMBER = re.compile(rf"[{DASH}+-]?[<\d .]|{DASH}$|$")  # what is set flush right


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose first column names its rows; `**` in another cell is strong."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def numeric(self) -> list[bool]:
        """Of each column, whether all its cells are numbers, dashes or empty."""
        return [all(_NUMBER.match(row[i]) for row in self.rows) for i in range(len(self.header))]


def number(value: float | None, digits: int) -> str:
    """A number for a table; a dash where there is none."""
    return DASH if value is None else f"{value:.{digits}f}"


def with_interval(estimate: Estimate | Bounded | None, digits: int, sign: str = "") -> str:
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


def blocks(markdown: str) -> list[str | Table]:
    """What stands between empty lines: tables that markdown_table wrote, and paragraphs; there is nothing else."""
    return [_table(block) if block.startswith("|") else block for block in markdown.split("\n\n")]


def _table(block: str) -> Table:
    header, _, *rows = (
        [cell.strip().replace("\\|", "|") for cell in _BETWEEN_CELLS.split(line)[1:-1]] for line in block.split("\n")
    )
    return Table(header, rows)
