"""A real slice at low dose, denoised by the models that ship with the package: other figures may show phantoms."""

from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle

from data_prep.hu import HuScale
from data_prep.lodopab import HU_INTERCEPT, HU_SLOPE
from wgan_vgg import pretrained
from wgan_vgg.evaluation import baselines, metrics
from wgan_vgg.inference.denoiser import load
from wgan_vgg.reporting.style import FULL, named_window, new_figure, save_figure, show_ct

_WINDOW = named_window("soft_tissue")
_COLUMNS = 4
_TITLE = 0.45  # inches
_INSET = (105, 60, 75)  # first row, first column and side of the detail: gall bladder, liver, bowel


def example_figure(folder: Path) -> str:
    """Low dose, the best tuned baseline, each model and normal dose, each with a detail below it; PSNR and SSIM above.

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
    bands, panel = -(-len(images) // _COLUMNS), FULL / _COLUMNS
    figure, axes = new_figure(2 * bands, _COLUMNS, FULL, bands * (2 * panel + _TITLE))
    for ax in axes.flat:
        ax.set_axis_off()  # where there is no image left
    top, left, side = _INSET
    places = axes.reshape(bands, 2, _COLUMNS).swapaxes(1, 2).reshape(-1, 2)
    for (whole, detail), (name, image) in zip(places, images.items(), strict=False):
        show_ct(whole, image, _WINDOW, f"{name}\n{_quality(normal_dose, image)}")
        whole.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor="white", linewidth=0.8))
        show_ct(detail, image[top : top + side, left : left + side], _WINDOW, "")
    about = (
        f"real CT (CC BY 4.0, see wgan_vgg/pretrained/example.md), simulated dose; {_WINDOW}. "
        "Models that ship with the package, trained on other patients; no result of these runs. Not for diagnostic use."
    )
    return save_figure(figure, folder, "pretrained", about)


def _quality(truth: np.ndarray, image: np.ndarray) -> str:
    """Of images in HU, in the range of LoDoPaB-CT, as in the tables."""
    if image is truth:
        return " "
    truth, image = (HuScale(HU_SLOPE, HU_INTERCEPT).to_values(one) for one in (truth, image))
    return f"{metrics.psnr(truth, image):.2f} dB, SSIM {metrics.ssim(truth, image):.3f}"
