"""The report's Figures 4 and 6: losses and metrics over the epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from wgan_vgg.config import MODELS
from wgan_vgg.json_types import EpochRow
from wgan_vgg.reporting.style import FULL, HALF, legend_above, log_scale, method_style, new_figure, save_figure
from wgan_vgg.run_dir import held_out_split

Epochs = Mapping[str, list[EpochRow]]  # by model


def losses_over_epochs(epochs: Epochs, folder: Path, caption: str) -> str:
    """Figure 4: content losses, D(x) and D(G(z)) on held-out images, over the epochs; only what some model has."""
    shown = panels(list(epochs))
    columns = min(2, len(shown))
    count = -(-len(shown) // columns)
    figure, axes = new_figure(count, columns, HALF, 1.5 * count + 0.4)
    for ax in axes.flat[len(shown) :]:
        ax.set_axis_off()
    for ax, (name, label, scale, models) in zip(axes.flat, shown, strict=False):
        for model in models:
            _curve(ax, epochs[model], _shown_split(epochs), name, model, "-")
        _finish(ax, label, scale)
    for ax in axes[:-1].flat:
        ax.set_xlabel("")  # that of the row below is in sight
    legend_above(figure, 4)
    return save_figure(figure, folder, "figure4", f"{_shown_split(epochs)} images, at each evaluation\n{caption}")


def panels(models: Sequence[str]) -> list[tuple[str, str, str, list[str]]]:
    """Figure 4's panels for these models: the term's name, its label, the scale, the models that have it."""
    contents = dict.fromkeys(spec.content for spec in MODELS.values() if spec.content)
    having = {content: [model for model in models if MODELS[model].content == content] for content in contents}
    found = [(content, f"{content.upper()} loss", "log", some) for content, some in having.items()]
    critics = [model for model in models if MODELS[model].adversarial]
    found += [("real_score", "D(x)", "linear", critics), ("fake_score", "D(G(z))", "linear", critics)]
    return [panel for panel in found if panel[3]]


def metrics_over_epochs(epochs: Epochs, folder: Path, caption: str) -> str:
    """Figure 6: PSNR and SSIM on the training images over the epochs; dashed, on held-out images, if there are any."""
    split = _shown_split(epochs)
    figure, axes = new_figure(1, 2, FULL, 3.4)
    for ax, (name, label) in zip(axes.flat, (("psnr", "PSNR (dB)"), ("ssim", "SSIM")), strict=True):
        for model, rows in epochs.items():
            _curve(ax, rows, "train", name, model, "-")
            if split != "train":
                _curve(ax, rows, split, name, model, "--")
        _finish(ax, label, "linear")
    legend_above(figure, 4)
    text = "training images" if split == "train" else f"solid: training images, dashed: {split} images"
    return save_figure(figure, folder, "figure6", f"{text}\n{caption}")


def _shown_split(epochs: Epochs) -> str:
    return held_out_split(next(iter(epochs.values()))[-1])


def _curve(ax: Axes, rows: list[EpochRow], split: str, name: str, model: str, line: str) -> None:
    style, solid = method_style(model, {}), line == "-"
    monitored = [row for row in rows if split in row]
    ax.plot(
        [row["epoch"] for row in monitored],
        [row[split][name] for row in monitored],
        color=style["color"],
        linestyle=line,
        marker=style["marker"] if solid else "",
        linewidth=1.5 if solid else 1,
        markersize=4,
        label=model if solid else None,
    )


def _finish(ax: Axes, label: str, scale: str) -> None:
    ax.set_xlabel("epoch")
    ax.set_ylabel(label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(alpha=0.3)
    if scale == "log":
        log_scale(ax)
