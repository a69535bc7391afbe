"""The figures as report.html holds them: the SVG that style.save_figure wrote, made part of the page."""

import dataclasses
import re
from pathlib import Path

from markupsafe import Markup

from wgan_vgg.reporting.figures import TITLES
from wgan_vgg.reporting.style import HALF, INK

_PIXELS_PER_POINT = 96 / 72  # of CSS
_POINTS_PER_INCH = 72
# matplotlib has all images drawn pixel by pixel. That is right where a pixel is large; where it is about a pixel of the
# screen some would be left out, or be drawn twice, and noise would look another.
_IMAGE = re.compile(r'(transform="matrix\((?P<points>[\d.]+) [^>]*?) style="image-rendering:[^"]*"')
_PIXELATED = 2.0  # CSS pixels at least
# Where the page is a little too narrow a figure shrinks so far that its text, of 13 pixels, has 12; then it scrolls.
_SHRINKS_TO = 12 / 13


@dataclasses.dataclass(frozen=True)
class PageFigure:
    """What the template draws.

    Attributes:
      name, title: see figures.TITLES.
      caption: without the line that says of which data, which the page says at its head.
      view_box, content: of the SVG; its ids are its own, its ink is the page's text colour.
      width, min_width: in CSS pixels.
      wide: it takes a row of its own.
    """

    name: str
    title: str
    caption: str
    view_box: str
    content: Markup
    width: float
    min_width: float
    wide: bool


def page_figure(svg: Path, caption: str) -> PageFigure:
    """A figure from its file and the caption that write_figures gave."""
    text = svg.read_text(encoding="utf-8")
    root, content = _found(r"(<svg [^>]*>)(.*)</svg>", text)
    points = float(*_found(r' width="([\d.]+)pt"', root))
    (view_box,) = _found(r' viewBox="([^"]*)"', root)
    content = re.sub(r"<metadata>.*?</metadata>", "", content, flags=re.DOTALL).replace(INK, "currentColor")
    content = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{svg.stem}-", content)
    content = _IMAGE.sub(lambda image: image[0] if _is_pixelated(image["points"]) else image[1], content)
    return PageFigure(
        name=svg.stem,
        title=TITLES[svg.stem],
        caption=caption.partition("\n")[0],
        view_box=view_box,
        content=Markup(content),
        width=round(points * _PIXELS_PER_POINT),
        min_width=round(points * _PIXELS_PER_POINT * _SHRINKS_TO),
        wide=points > HALF * _POINTS_PER_INCH,
    )


def _found(pattern: str, svg: str) -> tuple[str, ...]:
    """The groups of what matplotlib writes into every SVG."""
    match = re.search(pattern, svg, flags=re.DOTALL)
    assert match is not None, f"no {pattern} in an SVG of matplotlib's"
    return match.groups()


def _is_pixelated(points: str) -> bool:
    """Whether a pixel of an image is drawn as such, being that large."""
    return float(points) * _PIXELS_PER_POINT >= _PIXELATED
