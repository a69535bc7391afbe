"""A real slice at low dose, denoised by the models that ship with the package: other figures may show phantoms."""

from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle

from wgan_vgg import pretrained
from wgan_vgg.evaluation import baselines, metrics
from wgan_vgg.inference.denoiser import load
from wgan_vgg.reporting.style import FULL, named_window, new_figure, save_figure, show_ct

_WINDOW = named_window("soft_tissue")
_FEWEST_PANELS = 4  # that share the full width
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
        scale = denoiser.mapping.scale
        baseline = entry.get("best_baseline")
        if baseline and baseline["name"] not in images and not baselines.missing([baseline["name"]]):
            values = scale.to_values(low_dose)[np.newaxis].astype(np.float32)
            with baselines.workers() as pool:
                denoised = baselines.apply(baseline["name"], baseline["parameters"], values, pool)[0]
            images[baseline["name"]] = scale.to_hu(denoised)
        images[name] = denoiser(low_dose)
    images["normal dose"] = normal_dose
    panel = FULL / max(_FEWEST_PANELS, len(images))
    figure, axes = new_figure(2, len(images), panel * len(images), 2 * panel + 0.7)
    top, left, side = _INSET
    for (whole, detail), (name, image) in zip(axes.T, images.items(), strict=True):
        narrow = "-\n".join(name.rsplit("-", 1))
        show_ct(whole, image, _WINDOW, f"{narrow}\n{_quality(normal_dose, image, scale.slope)}")
        whole.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor="white", linewidth=0.8))
        show_ct(detail, image[top : top + side, left : left + side], _WINDOW, "")
    about = (
        f"real CT (CC BY 4.0, see wgan_vgg/pretrained/example.md), simulated dose; {_WINDOW}. "
        "Models that ship with the package, trained on other patients; no result of these runs. Not for diagnostic use."
    )
    return save_figure(figure, folder, "pretrained", about)


def _quality(truth: np.ndarray, image: np.ndarray, slope: float) -> str:
    if image is truth:
        return " \n"
    truth, image = truth / slope, image / slope
    return f"{metrics.psnr(truth, image):.2f} dB\nSSIM {metrics.ssim(truth, image):.3f}"
