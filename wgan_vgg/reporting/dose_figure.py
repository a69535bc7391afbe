"""The figure of PSNR and of the lesions' detectability against dose."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from wgan_vgg.evaluation.json_types import Bounded, Estimate
from wgan_vgg.reporting.dose_tables import lesions_of, shown_methods
from wgan_vgg.reporting.json_types import Dose, Results
from wgan_vgg.reporting.style import FULL, HALF, legend_above, method_style, new_figure, save_figure

_COLUMNS = 3


def against_dose(results: Results, folder: Path) -> str | None:
    """PSNR and each lesion's d' against photons, with intervals; the caption, or None without several doses."""
    doses = results.get("doses")
    if not doses:
        return None
    panels: dict[str, list[Mapping[str, Estimate | Bounded]]] = {"PSNR (dB)": [dose["psnr"] for dose in doses]}
    panels |= {f"d', {name}": [dose["lesions"].get(name, {}) for dose in doses] for name in lesions_of(doses)}
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
    shown = "PSNR" if len(panels) == 1 else "PSNR and d' of a channelized Hotelling observer"
    intervals = f", {confidence} intervals over patients" if isinstance(results["test_patients"], int) else ""
    text = f"{shown} at each dose{intervals}"
    return save_figure(figure, folder, "dose", f"{text}\n{results['caption']}")


def _draw(ax: Axes, doses: Sequence[Dose], values: Sequence[Mapping[str, Estimate | Bounded]]) -> None:
    """One curve for each method, its points a little apart so that their intervals do not overlap."""
    methods, baselines = shown_methods(doses), doses[0]["baselines"]
    for number, name in enumerate(methods):
        shift = 1.06 ** (number - (len(methods) - 1) / 2)
        points = [
            (dose["photons"] * shift, one["mean"], one["low"], one["high"])
            for dose, of_dose in zip(doses, values, strict=True)
            if (one := of_dose.get(name)) and one["mean"] is not None
        ]
        if not points:
            continue
        bars = [
            (abs(low - mean), abs(high - mean)) for _, mean, low, high in points if low is not None and high is not None
        ]
        ax.errorbar(
            [place for place, *_ in points],
            [mean for _, mean, *_ in points],
            np.transpose(bars) if len(bars) == len(points) else None,
            label=name,
            linewidth=1.2,
            markersize=5,
            capsize=2,
            **method_style(name, baselines),
        )
    ax.set_xscale("log", base=2)
    ax.set_xticks([dose["photons"] for dose in doses], [f"{dose['photons']:,.0f}" for dose in doses])
    ax.minorticks_off()
    ax.set_xlabel("photons per unattenuated ray")
    ax.grid(alpha=0.3)
