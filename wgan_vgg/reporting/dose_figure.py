"""The figure of PSNR and of the lesions' detectability against dose."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from wgan_vgg.reporting.dose_tables import Dose, lesions_of, shown_methods
from wgan_vgg.reporting.style import FULL, HALF, legend_above, method_style, new_figure, save_figure

_COLUMNS = 3


def against_dose(results: Mapping[str, Any], folder: Path) -> str | None:
    """PSNR and each lesion's d' against photons, with intervals; the caption, or None without several doses."""
    doses = results.get("doses")
    if not doses:
        return None
    panels = {"PSNR (dB)": lambda dose: dose["psnr"]}
    panels |= {f"d', {name}": lambda dose, name=name: dose["lesions"].get(name, {}) for name in lesions_of(doses)}
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure, axes = new_figure(rows, columns, FULL if columns > 1 else HALF, 3.2 * rows + 0.8)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, (label, values) in zip(axes.flat, panels.items(), strict=False):
        _draw(ax, doses, values)
        ax.set_ylabel(label)
    legend_above(figure, 4 if columns > 1 else 2)
    confidence = f"{doses[0]['confidence']:.0%}"
    text = f"PSNR and d' of a channelized Hotelling observer at each dose, {confidence} intervals over patients"
    return save_figure(figure, folder, "dose", f"{text}\n{results['caption']}")


def _draw(ax: Axes, doses: Sequence[Dose], values: Callable[[Dose], Mapping[str, Any]]) -> None:
    """One curve for each method, its points a little apart so that their intervals do not overlap."""
    methods, baselines = shown_methods(doses), doses[0]["baselines"]
    for number, name in enumerate(methods):
        points = [(dose["photons"], values(dose)[name]) for dose in doses if name in values(dose)]
        points = [(photons, one) for photons, one in points if one["mean"] is not None]
        if not points:
            continue
        shift = 1.06 ** (number - (len(methods) - 1) / 2)
        means = [one["mean"] for _, one in points]
        bounded = all(one["low"] is not None for _, one in points)
        bars = [[abs(one[end] - one["mean"]) for _, one in points] for end in ("low", "high")] if bounded else None
        style = method_style(name, baselines) | {"linewidth": 1.2, "markersize": 5, "capsize": 2}
        ax.errorbar([photons * shift for photons, _ in points], means, bars, label=name, **style)
    ax.set_xscale("log", base=2)
    ax.set_xticks([dose["photons"] for dose in doses], [f"{dose['photons']:,.0f}" for dose in doses])
    ax.minorticks_off()
    ax.set_xlabel("photons per unattenuated ray")
    ax.grid(alpha=0.3)
