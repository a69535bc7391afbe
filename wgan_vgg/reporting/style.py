"""How every figure looks: colours, the CT window, sizes, saving."""

import dataclasses
import textwrap
import zlib
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from data_prep.hu import WINDOWS
from wgan_vgg.config.baselines import BASELINES
from wgan_vgg.evaluation.metrics import NOISY, TRUTH
from wgan_vgg.files import write_via

INK = "#222222"  # text and axes; the report's page turns it into the text colour of its theme
# Colour and marker; a method has the same in every figure and on the page. Models have Okabe and Ito's palette, which
# colour-blind readers can distinguish. The colours of baselines and unpaired models are as far from these and from each
# other as could be found: CIEDE2000 differences of 9.6 at least, to normal, red-, green- and blue-blind eyes.
_MODELS = {
    NOISY: ("#7f7f7f", "x"),
    "generator-mse": ("#0072B2", "o"),
    "generator-vgg": ("#E69F00", "s"),
    "wgan": ("#CC79A7", "v"),
    "wgan-mse": ("#D55E00", "^"),
    "wgan-vgg": ("#009E73", "D"),
    "unpaired-kl": ("#7c75fe", "d"),
    "unpaired-wasserstein": ("#543d8f", "H"),
}
_BASELINES = [  # in the registry's order
    ("#805611", "P"),
    ("#6d557b", "X"),
    ("#076c4f", "p"),
    ("#9fb373", "h"),
    ("#c8a39e", "<"),
    ("#ad2d4a", ">"),
]
_OTHER = ("#56B4E9", "*")  # Okabe and Ito's last: a third-party method
_VERSIONS = "*P8Xh<>"  # markers of a model's versions, such as wgan-vgg-lodopab, which have its colour

# Inches. The page shows figures at their own size, an inch being 96 of its pixels: two half ones side by side fill it.
FULL, HALF = 12.2, 5.9
_CAPTION, _CAPTION_LINE = 8, 0.14  # points, and inches of a line
_TEXT = 9.75  # points, 13 pixels of the page: all text of all figures
# What is labelled on a logarithmic axis whose ends have at most this ratio.
_LABELLED = ((4.0, range(1, 10)), (30.0, (1, 2, 5)), (np.inf, (1,)))
_ROUNDING = 1e-9
_PLAIN_EXPONENT = 3  # beyond it a number has its power of ten
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_STYLE: dict[Any, Any] = {  # matplotlib's type has every key that it knows
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "none"),
    **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize", "legend.fontsize"), _TEXT),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), _TEXT),
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.06,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "wgan-vgg",
}


@dataclasses.dataclass(frozen=True)
class Window:
    """What a figure shows in greys: black at `low` HU and below, white at `high` and above."""

    name: str
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.name} window [{self.low:.0f}, {self.high:.0f}] HU"


def named_window(name: str) -> Window:
    """One of data_prep.hu.WINDOWS."""
    level, width = WINDOWS[name]
    return Window(name.replace("_", " "), level - width / 2, level + width / 2)


def method_style(name: str, baselines: Collection[str]) -> dict[str, Any]:
    """Colour, marker and line of a method, the same in every figure: models solid, what is not trained broken."""
    if name == TRUTH:
        return {"color": INK, "marker": "", "linestyle": "-"}
    of_baselines = dict(zip(BASELINES, _BASELINES, strict=False))
    color, marker = of_baselines.get(name, _OTHER) if name in baselines else _of_network(name)
    line = ":" if name == NOISY else "--" if name in baselines else "-"
    return {"color": color, "marker": marker, "linestyle": line}


def _of_network(name: str) -> tuple[str, str]:
    """Colour and marker of what is no baseline."""
    if name in _MODELS:
        return _MODELS[name]
    models = [model for model in _MODELS if name.startswith(f"{model}-")]
    if not models:
        return _OTHER
    return _MODELS[max(models, key=len)][0], _VERSIONS[zlib.crc32(name.encode()) % len(_VERSIONS)]


def show_ct(axes: Axes, image_hu: np.ndarray, window: Window, title: str) -> None:
    """Draws a slice (height, width) in HU in a window."""
    axes.imshow(image_hu, cmap="gray", vmin=window.low, vmax=window.high, interpolation="none")
    axes.set_title(title)
    axes.set_axis_off()


def log_scale(axes: Axes) -> None:
    """Makes the vertical axis logarithmic. Its labels are text of one size: matplotlib's exponents are small."""
    axes.set_yscale("log")
    for set_formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        set_formatter(FuncFormatter(lambda value, _: log_label(value, *axes.get_ylim())))


def log_label(value: float, low: float, high: float) -> str:
    """The label of a tick of a logarithmic axis from `low` to `high`; empty but for few, which do not touch."""
    exponent = int(np.floor(np.log10(value) + _ROUNDING))
    factor = round(value / 10.0**exponent)
    if factor not in next(factors for ratio, factors in _LABELLED if high <= ratio * low):
        return ""
    if abs(exponent) <= _PLAIN_EXPONENT:
        return f"{value:g}"
    power = f"10{str(exponent).translate(_SUPERSCRIPTS)}"
    return power if factor == 1 else f"{factor}·{power}"


def legend_above(figure: Figure, columns: int) -> None:
    """One legend above all panels, each label once: within a panel it would cover curves."""
    labels = {
        label: handle for ax in figure.axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(labels.values(), labels.keys(), loc="outside upper left", ncols=columns)


def figure_style() -> AbstractContextManager[None]:
    """Within it, figures look as they should; to be held while they are drawn and saved."""
    return plt.rc_context(_STYLE)


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """A figure of `rows` x `columns` axes, sizes in inches, the axes always as a 2-D array."""
    return plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained")


def save_figure(figure: Figure, folder: Path, name: str, caption: str) -> str:
    """Writes name.svg, transparent and without the caption; name.png and name.pdf, on white, the caption below.

    Args:
      figure: closed afterwards.
      folder: where the files go.
      name: of the files, see figures.TITLES.
      caption: what is shown and, on a line of its own, of which data: PNG and PDF may be seen away from the page.

    Returns:
      The caption, its first letter a capital.
    """
    caption = caption[:1].upper() + caption[1:]
    _save(figure, folder / f"{name}.svg", metadata={"Date": None}, transparent=True)
    columns = int(figure.get_figwidth() * 16)
    lines = [line for part in caption.split("\n") for line in textwrap.wrap(part, columns)]
    figure.set_figheight(figure.get_figheight() + _CAPTION_LINE * (len(lines) + 1))
    figure.supxlabel("\n".join(lines), fontsize=_CAPTION, color="#444444")
    _save(figure, folder / f"{name}.png", dpi=150, facecolor="white")
    _save(figure, folder / f"{name}.pdf", metadata={"CreationDate": None}, facecolor="white")
    plt.close(figure)
    return caption


def _save(figure: Figure, path: Path, **options: Any) -> None:
    write_via(path, lambda file: figure.savefig(file, format=path.suffix[1:], **options))
