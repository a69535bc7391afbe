"""The report's Figures 1 and 2: the two networks, drawn from the built models."""

from pathlib import Path

import keras
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from wgan_vgg.reporting.style import FULL, INK, new_figure, save_figure

_ACTIVATIONS = {"relu": "ReLU", "sigmoid": "sigmoid", "linear": ""}
_COLOURS = {
    "image": "#eeeeee",
    "convolution": "#9ecae1",
    "transposed": "#c6dbef",
    "pooled": "#dadaeb",
    "joined": "#c7e9c0",
    "dense": "#fdd0a2",
}
_JOINS = {keras.layers.Add: "+", keras.layers.Subtract: "-", keras.layers.Concatenate: "beside"}
_BOXES_A_ROW = 9


def describe_layers(model: keras.Model) -> list[tuple[str, str]]:
    """(kind, label) of each layer that a reader counts: convolutions as n32s1, dense layers, with activations.

    They are in the order in which they are made; what an earlier one is joined with is not shown.
    """
    boxes: list[tuple[str, str]] = [("image", f"{model.inputs[0].name.replace('_', ' ')}")]
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            boxes.append(("convolution", f"n{layer.filters}s{layer.strides[0]}{_activation(layer)}"))
        elif isinstance(layer, keras.layers.Conv2DTranspose):
            boxes.append(("transposed", f"T n{layer.filters}s{layer.strides[0]}{_activation(layer)}"))
        elif type(layer) in _JOINS:
            boxes.append(("joined", _JOINS[type(layer)]))
        elif isinstance(layer, keras.layers.MaxPooling2D):
            boxes.append(("pooled", "max pool"))
        elif isinstance(layer, keras.layers.Dense):
            boxes.append(("dense", f"FC {layer.units}{_activation(layer)}"))
        elif isinstance(layer, keras.layers.LeakyReLU):
            kind, label = boxes[-1]
            boxes[-1] = (kind, f"{label}\nLeakyReLU\nslope {layer.negative_slope:g}")
    return boxes


def draw_network(model: keras.Model, folder: Path, name: str, title: str) -> str:
    """Draws one model as a chain of boxes, one for each layer."""
    boxes = describe_layers(model)
    rows = [boxes[i : i + _BOXES_A_ROW] for i in range(0, len(boxes), _BOXES_A_ROW)]
    figure, axes = new_figure(len(rows), 1, FULL, 1.3 * len(rows))
    for ax, row in zip(axes[:, 0], rows, strict=True):
        _draw_row(ax, row)
    about = f"{title}: n filters, s stride; {model.count_params():,} parameters; drawn from the built Keras model"
    return save_figure(figure, folder, name, about)


def _draw_row(ax: Axes, boxes: list[tuple[str, str]]) -> None:
    for i, (kind, label) in enumerate(boxes):
        ax.add_patch(
            FancyBboxPatch((i + 0.12, 0.1), 0.72, 0.8, boxstyle="round,pad=0.03", fc=_COLOURS[kind], ec="#333333")
        )
        ax.text(i + 0.48, 0.5, label, ha="center", va="center", color="#111111")
        if i:
            ax.annotate("", (i + 0.09, 0.5), (i - 0.13, 0.5), arrowprops={"arrowstyle": "->", "color": INK})
    ax.set_xlim(0, _BOXES_A_ROW)
    ax.set_ylim(0, 1)
    ax.set_axis_off()


def _activation(layer: keras.Layer) -> str:
    name = _ACTIVATIONS[layer.activation.__name__]
    return f"\n{name}" if name else ""
