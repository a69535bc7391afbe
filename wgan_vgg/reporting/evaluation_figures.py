"""Figures of the summary: noise power, each patient's PSNR, the distribution over the images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wgan_vgg.evaluation.json_types import Row
from wgan_vgg.evaluation.metrics import NOISY, TRUTH
from wgan_vgg.reporting.json_types import Results
from wgan_vgg.reporting.style import FULL, HALF, INK, legend_above, log_scale, method_style, new_figure, save_figure

_HEIGHT = 4.4  # inches
_NAMES_LENGTH = 30  # characters that fit below an axis side by side
_MANY_PATIENTS = 40  # more than can be named below an axis


def noise_power(results: Results, folder: Path) -> str | None:
    """Noise-power spectra of the truth, the noisy input, the best baseline and the models.

    Returns:
      The caption; None where there is no figure: nothing is flat, or HU are not defined.
    """
    evaluation = results["evaluation"]
    found = evaluation["noise_power"]["methods"]
    curves = {name: curve for name in (TRUTH, *_shown(results)) if (curve := found.get(name))}
    if not curves:
        return None
    power_unit, frequency_unit = evaluation["noise_power"]["unit"].split(", ")
    figure, axes = new_figure(1, 1, HALF, _HEIGHT)
    ax = axes[0, 0]
    for name, curve in curves.items():
        style = method_style(name, evaluation["baselines"])
        ax.plot(curve["frequency"], curve["power"], markersize=5, label=name, **style)
    log_scale(ax)
    ax.set_xlabel(f"frequency ({frequency_unit})")
    ax.set_ylabel(f"noise power ({power_unit.replace('^2', '²')})")
    ax.grid(alpha=0.3)
    legend_above(figure, 3)
    text = "radial mean of the noise-power spectrum in squares of tissue without a step"
    return save_figure(figure, folder, "noise_power", f"{text}\n{results['caption']}")


def psnr_by_patient(results: Results, folder: Path) -> str | None:
    """Each patient's mean PSNR, patients ordered by that of the noisy input; None where they are unknown."""
    evaluation = results["evaluation"]
    if not isinstance(evaluation["patients"], int):
        return None
    values = {name: evaluation["patient_values"][name]["psnr"] for name in _shown(results)}
    of_noisy = {patient: psnr for patient, psnr in values[NOISY].items() if psnr is not None}
    patients = sorted(of_noisy, key=of_noisy.__getitem__)
    figure, axes = new_figure(1, 1, HALF, _HEIGHT)
    ax = axes[0, 0]
    for name, of_patient in values.items():
        style = method_style(name, evaluation["baselines"])
        ax.plot(range(len(patients)), [of_patient[p] for p in patients], lw=0.8, ms=5, label=name, **style)
    if len(patients) <= _MANY_PATIENTS:
        ax.set_xticks(range(len(patients)), patients, rotation=90 if sum(map(len, patients)) > _NAMES_LENGTH else 0)
    else:
        ax.set_xticks([])
    ax.set_xlabel(f"patient (n = {evaluation['patients']})")
    ax.set_ylabel("PSNR (dB)")
    ax.grid(alpha=0.3)
    legend_above(figure, 3)
    text = "mean PSNR of each patient's images, patients ordered by that of the noisy input"
    return save_figure(figure, folder, "psnr_by_patient", f"{text}\n{results['caption']}")


def distributions(results: Results, rows: Sequence[Row], folder: Path) -> str:
    """Box plots of every method's PSNR and SSIM over the images."""
    evaluation = results["evaluation"]
    methods = list(evaluation["methods"])
    figure, axes = new_figure(1, 2, FULL, 0.3 * len(methods) + 1.0)
    for ax, metric, label in zip(axes[0], ("psnr", "ssim"), ("PSNR (dB)", "SSIM"), strict=True):
        columns = [[row[metric] for row in rows if row["method"] == name] for name in methods]
        finite = [[value for value in column if value is not None and np.isfinite(value)] for column in columns]
        boxes = ax.boxplot(
            finite,
            orientation="horizontal",
            tick_labels=methods,
            widths=0.6,
            patch_artist=True,
            flierprops={"marker": ".", "markersize": 3, "markeredgecolor": INK, "alpha": 0.5},
            medianprops={"color": INK, "linewidth": 1.5},
            **{f"{part}props": {"color": INK, "linewidth": 0.8} for part in ("whisker", "cap", "box")},
        )
        for name, box in zip(methods, boxes["boxes"], strict=True):
            box.set_facecolor(method_style(name, evaluation["baselines"])["color"])
            box.set_alpha(0.75)
        ax.set_xlabel(label)
        ax.grid(axis="x", alpha=0.3)
        ax.invert_yaxis()
    axes[0, 1].set_yticklabels([])
    text = f"{evaluation['images']} images: median, quartiles, whiskers to 1.5 times their distance"
    return save_figure(figure, folder, "distributions", f"{text}\n{results['caption']}")


def _shown(results: Results) -> list[str]:
    """The noisy input, the best baseline and the models: eleven curves would not be distinguishable."""
    best = results["sample_baseline"]
    return [name for name in results["evaluation"]["methods"] if name in (NOISY, best, *results["models"])]
