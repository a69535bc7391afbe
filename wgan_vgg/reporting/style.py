"""How every figure looks: colours, the CT window, saving."""

import textwrap
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.evaluation.references import TRUTH
from wgan_vgg.files import write_via

# Okabe and Ito's palette, which colour-blind readers tell apart; a model has the same colour in every figure.
COLOURS = {
    NOISY: "#7f7f7f",
    "generator-mse": "#0072B2",
    "generator-vgg": "#E69F00",
    "wgan": "#CC79A7",
    "wgan-mse": "#D55E00",
    "wgan-vgg": "#009E73",
}
OTHER_COLOUR = "#56B4E9"  # that palette's last: somebody else's method
BASELINE_COLOUR = "#8c7b6b"  # one for all: they are told apart by their names
MARKERS = {NOISY: "x", "generator-mse": "o", "generator-vgg": "s", "wgan": "v", "wgan-mse": "^", "wgan-vgg": "D"}
WINDOW_HU = (-1000.0, 1000.0)
WINDOW_TEXT = "window [-1000, 1000] HU"
INK = "#222222"  # text and axes; the report's page turns it into the text colour of its theme

_STYLE = {
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "none"),
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "wgan-vgg",
}


def method_style(name: str, baselines: Mapping[str, object]) -> dict[str, str]:
    """Colour and marker of a method, the same in every figure."""
    if name == TRUTH:
        return {"color": INK, "marker": ""}
    other = (BASELINE_COLOUR, "P") if name in baselines else (OTHER_COLOUR, "*")
    return {"color": COLOURS.get(name, other[0]), "marker": MARKERS.get(name, other[1])}


def show_ct(axes: Axes, image: np.ndarray, hu_slope: float, hu_intercept: float, title: str) -> None:
    """Draws a slice (height, width) in the training range, in the stated HU window."""
    low, high = WINDOW_HU
    axes.imshow(hu_slope * image + hu_intercept, cmap="gray", vmin=low, vmax=high, interpolation="none")
    axes.set_title(title)
    axes.set_axis_off()


def figure_style() -> AbstractContextManager[None]:
    """Within it, figures look as they should; to be held while they are drawn and saved."""
    return plt.rc_context(_STYLE)


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """A figure of `rows` x `columns` axes, sizes in inches, the axes always as a 2-D array."""
    return plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained")


def save_figure(figure: Figure, folder: Path, name: str, caption: str) -> str:
    """Writes name.svg, transparent and without the caption; name.png and name.pdf, on white, the caption beneath.

    Returns:
      The caption.
    """
    _save(figure, folder / f"{name}.svg", metadata={"Date": None}, transparent=True)
    columns = int(figure.get_figwidth() * 16)
    lines = [line for part in caption.split("\n") for line in textwrap.wrap(part, columns)]
    figure.supxlabel("\n".join(lines), fontsize=8, color="#444444")
    _save(figure, folder / f"{name}.png", dpi=150, facecolor="white")
    _save(figure, folder / f"{name}.pdf", metadata={"CreationDate": None}, facecolor="white")
    plt.close(figure)
    return caption


def _save(figure: Figure, path: Path, **options: object) -> None:
    write_via(path, lambda file: figure.savefig(file, format=path.suffix[1:], **options))
