"""What the models that ship with the package make of a real slice at low dose: all else here may be phantoms."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from data_prep.hu import WINDOWS
from wgan_vgg import pretrained
from wgan_vgg.evaluation import baselines, metrics
from wgan_vgg.inference.denoiser import load
from wgan_vgg.reporting.style import INK, save_figure

_WINDOW = "soft_tissue"
_INSET = (105, 60, 75)  # first row, first column and side of the detail: gall bladder, liver, bowel


def example_figure(folder: Path) -> str:
    """Low dose, the best tuned baseline, each model and normal dose, with a detail below; PSNR and SSIM above.

    Args:
      folder: where the figure goes.

    Returns:
      The caption.
    """
    low_dose, normal_dose = pretrained.example()
    images = {"low dose": low_dose}
    for name, entry in pretrained.index().items():
        denoiser = load(name)
        slope, intercept = denoiser.mapping.slope, denoiser.mapping.intercept
        baseline = entry.get("best_baseline")
        if baseline and baseline["name"] not in images and not baselines.missing([baseline["name"]]):
            values = ((low_dose - intercept) / slope)[np.newaxis].astype(np.float32)
            with baselines.workers() as pool:
                denoised = baselines.apply(baseline["name"], baseline["parameters"], values, pool)[0]
            images[baseline["name"]] = slope * denoised + intercept
        images[name] = denoiser(low_dose)
    images["normal dose"] = normal_dose
    figure, axes = plt.subplots(2, len(images), figsize=(2.6 * len(images), 5.4), layout="constrained", squeeze=False)
    top, left, side = _INSET
    for (whole, detail), (name, image) in zip(axes.T, images.items(), strict=True):
        shown = metrics.in_window(image, _WINDOW)
        whole.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="none")
        whole.add_patch(plt.Rectangle((left, top), side, side, fill=False, edgecolor="white", linewidth=0.8))
        whole.set_title(f"{name}\n{_quality(normal_dose, image, slope)}", color=INK, fontsize=8)
        detail.imshow(shown[top : top + side, left : left + side], cmap="gray", vmin=0, vmax=1, interpolation="none")
        for ax in (whole, detail):
            ax.set_axis_off()
    level, width = WINDOWS[_WINDOW]
    about = (
        f"real CT (CC BY 4.0, see wgan_vgg/pretrained/example.md), simulated dose; soft tissue window: level {level}, "
        f"width {width} HU. Models that ship with the package, trained on other patients. Not for diagnostic use."
    )
    return save_figure(figure, folder, "pretrained", about)


def _quality(truth: np.ndarray, image: np.ndarray, slope: float) -> str:
    if image is truth:
        return " "
    pair = [array / slope for array in (truth, image)]
    return f"{metrics.psnr(*pair):.2f} dB, SSIM {metrics.ssim(*pair):.3f}"
