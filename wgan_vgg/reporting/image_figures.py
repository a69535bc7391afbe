"""Figures of slices: the report's Figures 3 and 5, errors, and a detail."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle
from scipy import ndimage

from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.evaluation.references import TRUTH
from wgan_vgg.evaluation.samples import slice_name
from wgan_vgg.reporting.style import WINDOW_TEXT, new_figure, save_figure, show_ct

Samples = Mapping[str, Mapping[str, np.ndarray]]  # by model, see samples.load_samples
Results = Mapping[str, Any]

_PANEL = 2.4  # inches
_DETAIL = 3  # the detail is a third of the image
_ERROR_STEP = 50.0  # HU; to which the error's range is rounded up


def methods_on_slice(samples: Samples, baseline: str | None, index: int = 0) -> dict[str, np.ndarray]:
    """By method, one slice (height, width) in the training range: noisy, truth, the best baseline, the models."""
    first = next(iter(samples.values()))
    images = {NOISY: first["low_dose"], TRUTH: first["normal_dose"]}
    if baseline:
        images[baseline] = first["baseline"]
    images |= {model: arrays["denoised"] for model, arrays in samples.items()}
    return {name: slices[index] for name, slices in images.items()}


def sample_pair(samples: Samples, results: Results, folder: Path) -> str:
    """Figure 3: the noisy image at left and the real one at right."""
    images = methods_on_slice(samples, None)
    figure, axes = new_figure(1, 2, 7.0, 4.0)
    for ax, name, title in zip(axes[0], (NOISY, TRUTH), ("Noisy image", "Real image"), strict=True):
        show_ct(ax, images[name], *_mapping(results), title)
    return save_figure(figure, folder, "figure3", f"{_place(samples)}; {WINDOW_TEXT}\n{results['caption']}")


def comparison(samples: Samples, results: Results, folder: Path) -> str:
    """Figure 5: noisy, truth, the best baseline and each model's output on the slice with the most detail."""
    images = methods_on_slice(samples, results["sample_baseline"])
    figure, axes = _grid(len(images))
    for ax, (name, image) in zip(axes.flat, images.items(), strict=False):
        show_ct(ax, image, *_mapping(results), f"{name}\n{_quality(results, name)}")
    rule = f"in the test split {results['sample_rule']}"
    return save_figure(figure, folder, "figure5", f"{_place(samples)}, {rule}; {WINDOW_TEXT}\n{results['caption']}")


def differences(samples: Samples, results: Results, folder: Path) -> str:
    """What each method leaves and what it takes away: its image minus the truth in HU."""
    images = methods_on_slice(samples, results["sample_baseline"])
    truth = images.pop(TRUTH)
    if results["data"]["settings"]["rescale_low_dose"]:
        del images[NOISY]  # it has no HU
    errors = {name: results["data"]["hu_slope"] * (image - truth) for name, image in images.items()}
    strongest = max(np.quantile(np.abs(error), 0.99) for name, error in errors.items() if name != NOISY)
    limit = max(_ERROR_STEP, _ERROR_STEP * np.ceil(strongest / _ERROR_STEP))
    figure, axes = _grid(len(errors))
    for ax, (name, error) in zip(axes.flat, errors.items(), strict=False):
        drawn = ax.imshow(error, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="none")
        ax.set_title(f"{name}\nRMSE {np.sqrt(np.mean(np.square(error))):.0f} HU")
    figure.colorbar(drawn, ax=axes, label="minus truth, HU", shrink=0.6, extend="both")
    text = f"{_place(samples)}; each image minus the truth, colours from {-limit:g} to {limit:g} HU"
    return save_figure(figure, folder, "differences", f"{text}\n{results['caption']}")


def detail(samples: Samples, results: Results, folder: Path) -> str:
    """The part of the slice with the most detail, enlarged; the truth's whole slice says where it is."""
    images = methods_on_slice(samples, results["sample_baseline"])
    rows, columns = most_detailed_part(images[TRUTH])
    figure, axes = _grid(len(images) + 1)
    show_ct(axes.flat[0], images[TRUTH], *_mapping(results), "where")
    corner = (columns.start - 0.5, rows.start - 0.5)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    axes.flat[0].add_patch(Rectangle(corner, *size, fill=False, edgecolor="#F0E442", linewidth=1.5))
    for ax, (name, image) in zip(axes.flat[1:], images.items(), strict=False):
        show_ct(ax, image[rows, columns], *_mapping(results), name)
    text = f"{_place(samples)}, the part with the highest mean squared gradient; {WINDOW_TEXT}"
    return save_figure(figure, folder, "detail", f"{text}\n{results['caption']}")


def most_detailed_part(truth: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the square, a third of the image (height, width), with the highest mean squared gradient."""
    side = max(1, min(truth.shape) // _DETAIL)
    energy = sum(np.square(part) for part in np.gradient(truth.astype(np.float64)))
    height, width = (length - side + 1 for length in truth.shape)
    # A filter's mean around its centre, as that of the square from its first row and column on.
    means = ndimage.uniform_filter(energy, side)[side // 2 :, side // 2 :][:height, :width]
    row, column = (int(place) for place in np.unravel_index(np.argmax(means), means.shape))
    return slice(row, row + side), slice(column, column + side)


def _grid(count: int) -> tuple[Any, np.ndarray]:
    columns = 4 if count > 6 else 3 if count > 4 else min(count, 2)
    rows = -(-count // columns)
    figure, axes = new_figure(rows, columns, _PANEL * columns, (_PANEL + 0.3) * rows)
    for ax in axes.flat:
        ax.set_axis_off()
    return figure, axes


def _quality(results: Results, name: str) -> str:
    if name == TRUTH:
        return ""
    values = results["samples"][name]
    return f"{values['psnr']:.2f} dB, SSIM {values['ssim']:.3f}"


def _mapping(results: Results) -> tuple[float, float]:
    return results["data"]["hu_slope"], results["data"]["hu_intercept"]


def _place(samples: Samples) -> str:
    return slice_name(next(iter(samples.values())))
