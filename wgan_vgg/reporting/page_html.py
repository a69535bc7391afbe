"""HTML of what the tables and figures wrote: our own Markdown, our own SVG. Every text is escaped."""

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from wgan_vgg.reporting.markdown import DASH
from wgan_vgg.reporting.style import INK

_BETWEEN_CELLS = re.compile(r"(?<!\\)\|")  # a cell's own | is escaped
_NUMBER = re.compile(rf"[{DASH}+-]?[<\d .]|{DASH}$|$")  # what is set flush right


def from_markdown(markdown: str, label: str, colours: Mapping[str, str]) -> str:
    """Paragraphs and tables, the only two things that our tables are made of.

    Args:
      markdown: blocks with an empty line between them.
      label: what a screen reader calls the tables.
      colours: by method; its rows are marked so.
    """
    return "\n".join(
        _from_rows(block, label, colours) if block.startswith("|") else f'<p class="note">{html.escape(block)}</p>'
        for block in markdown.split("\n\n")
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], label: str, colours: Mapping[str, str]) -> str:
    """A table whose first column names its rows, in a frame of its own that scrolls where it is too wide."""
    numeric = [all(_NUMBER.match(row[i]) for row in rows) for i in range(len(header))]
    classes = ["" if number else ' class="text"' for number in numeric]
    head = "".join(
        f'<th scope="col"{kind}>{html.escape(cell)}</th>' for cell, kind in zip(header, classes, strict=True)
    )
    body = []
    for name, *cells in rows:
        values = zip(cells, classes[1:], strict=True)
        body.append(
            f'<tr><th scope="row">{swatch(name, colours)}{html.escape(name)}</th>'
            + "".join(f"<td{kind}>{_strong(cell)}</td>" for cell, kind in values)
            + "</tr>"
        )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{html.escape(label)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def swatch(name: str, colours: Mapping[str, str]) -> str:
    """The mark in a method's colour; nothing for other names."""
    return f'<i class="swatch" style="background:{colours[name]}"></i>' if name in colours else ""


def inline_svg(path: Path, label: str) -> str:
    """A figure that style.save_figure wrote, for a page: ink in the page's text colour, ids of its own."""
    text = path.read_text()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace(INK, "currentColor")
    prefix = f"{path.stem}-"
    text = re.sub(r'(\bid="|url\(#|href="#)', lambda match: match[1] + prefix, text)
    width = svg_width(path)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1">', text, count=1)
    size = f"min-width:{width:.0f}px;max-width:{1.7 * width:.0f}px"
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" style="{size}" ', 1)


def svg_width(path: Path) -> float:
    """Width in points of a figure that style.save_figure wrote."""
    return float(re.search(r'<svg [^>]*?width="([\d.]+)pt"', path.read_text())[1])


def _from_rows(block: str, label: str, colours: Mapping[str, str]) -> str:
    header, _, *rows = (
        [cell.strip().replace("\\|", "|") for cell in _BETWEEN_CELLS.split(line)[1:-1]] for line in block.split("\n")
    )
    return table(header, rows, label, colours)


def _strong(cell: str) -> str:
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html.escape(cell))
