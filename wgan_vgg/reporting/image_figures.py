"""Figures of slices: the report's Figures 3 and 5, a detail, and errors."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import ndimage

from data_prep.hu import HuScale
from wgan_vgg.evaluation.metrics import NOISY, TRUTH
from wgan_vgg.evaluation.samples import slice_name
from wgan_vgg.reporting.json_types import Results
from wgan_vgg.reporting.style import FULL, HALF, Window, named_window, new_figure, save_figure, show_ct

Samples = Mapping[str, Mapping[str, np.ndarray]]  # by model, see samples.load_samples

_COLUMNS = 4  # of images, at most
_LINE = 0.2  # inches of a title's line
_DETAIL = 3  # the detail is a third of the image
_SCALE = 0.9  # inches of the scale of errors
_WINDOW_STEP = 10  # HU; to which the full window is rounded outwards
_ERROR_STEP = 50.0  # HU; to which the error's range is rounded up
_SOFT_TISSUE = named_window("soft_tissue")
# The detail is shown in that window where the best image's RMSE is below this: a quarter of the window's width.
_SOFT_TISSUE_RMSE_HU = (_SOFT_TISSUE.high - _SOFT_TISSUE.low) / 4


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
    images, window = _in_hu(samples, results, None), full_window(samples, results)
    figure, axes = _grid({NOISY: images[NOISY], TRUTH: images[TRUTH]}, HALF, lines=1)
    for ax, name, title in zip(axes.flat, (NOISY, TRUTH), ("Noisy image", "Real image"), strict=True):
        show_ct(ax, images[name], window, title)
    return save_figure(figure, folder, "figure3", f"{_place(samples)}; {window}\n{results['caption']}")


def comparison(samples: Samples, results: Results, folder: Path) -> str:
    """Figure 5: noisy, truth, the best baseline and each model's output on the slice with the most detail."""
    images, window = _in_hu(samples, results, results["sample_baseline"]), full_window(samples, results)
    figure, axes = _grid(images)
    for ax, (name, image) in zip(axes.flat, images.items(), strict=False):
        show_ct(ax, image, window, f"{name}\n{_quality(results, name)}")
    rule = f"in the {results['split']} split {results['sample_rule']}"
    return save_figure(figure, folder, "figure5", f"{_place(samples)}, {rule}; {window}\n{results['caption']}")


def detail(samples: Samples, results: Results, folder: Path) -> str:
    """The part of the slice with the most detail, enlarged; the truth's whole slice says where it is."""
    images = _in_hu(samples, results, results["sample_baseline"])
    window = detail_window(images, full_window(samples, results), results)
    rows, columns = most_detailed_part(images[TRUTH])
    figure, axes = _grid({"where": images[TRUTH], **images}, lines=1)
    show_ct(axes.flat[0], images[TRUTH], window, "where")
    corner = (columns.start - 0.5, rows.start - 0.5)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    axes.flat[0].add_patch(Rectangle(corner, *size, fill=False, edgecolor="#F0E442", linewidth=1.5))
    for ax, (name, image) in zip(axes.flat[1:], images.items(), strict=False):
        show_ct(ax, image[rows, columns], window, name)
    text = f"{_place(samples)}, the part with the highest mean squared gradient; {window}"
    return save_figure(figure, folder, "detail", f"{text}\n{results['caption']}")


def differences(samples: Samples, results: Results, folder: Path) -> str:
    """What each method leaves and what it takes away: its image minus the truth in HU."""
    images = _in_hu(samples, results, results["sample_baseline"])
    truth = images.pop(TRUTH)
    if results["data"]["settings"]["rescale_low_dose"]:
        without_hu = (NOISY, results["sample_baseline"])  # the input, and what is made of it
        images = {name: image for name, image in images.items() if name not in without_hu}
    errors = {name: image - truth for name, image in images.items()}
    strongest = max(np.quantile(np.abs(error), 0.99) for name, error in errors.items() if name != NOISY)
    limit = max(_ERROR_STEP, _ERROR_STEP * np.ceil(strongest / _ERROR_STEP))
    figure, axes = _grid(errors, beside=_SCALE)
    for ax, (name, error) in zip(axes.flat, errors.items(), strict=False):
        drawn = ax.imshow(error, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="none")
        ax.set_title(f"{name}\nRMSE {_rms(error):.0f} HU")
    share = _SCALE / figure.get_figwidth()
    figure.colorbar(drawn, ax=axes, label="minus truth, HU", fraction=share, pad=0.01, aspect=40, extend="both")
    text = f"{_place(samples)}; each image minus the truth, colours from {-limit:g} to {limit:g} HU"
    return save_figure(figure, folder, "differences", f"{text}\n{results['caption']}")


def full_window(samples: Samples, results: Results) -> Window:
    """From the lowest to the highest HU of the samples' normal dose, to tens: nothing of the truth is cut off."""
    truth = next(iter(samples.values()))["normal_dose"]
    low, high = map(HuScale.from_manifest(results["data"]).to_hu, _ends(truth))
    low, high = _WINDOW_STEP * np.floor(low / _WINDOW_STEP), _WINDOW_STEP * np.ceil(high / _WINDOW_STEP)
    return Window("full", low, max(high, low + _WINDOW_STEP))


def detail_window(images_hu: Mapping[str, np.ndarray], full: Window, results: Results) -> Window:
    """The soft-tissue window where some method's image is so near to the truth that it shows more than errors.

    Else, and where a min-max rescaled input has no HU, the full one.
    """
    least = min(_rms(image - images_hu[TRUTH]) for name, image in images_hu.items() if name != TRUTH)
    rescaled = results["data"]["settings"]["rescale_low_dose"]
    return _SOFT_TISSUE if least < _SOFT_TISSUE_RMSE_HU and not rescaled else full


def most_detailed_part(truth: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the square, a third of the image (height, width), with the highest mean squared gradient."""
    side = max(1, min(truth.shape) // _DETAIL)
    energy = sum(np.square(part) for part in np.gradient(truth.astype(np.float64)))
    height, width = (length - side + 1 for length in truth.shape)
    # A filter's mean around its centre, as that of the square from its first row and column on.
    means = ndimage.uniform_filter(energy, side)[side // 2 :, side // 2 :][:height, :width]
    row, column = (int(place) for place in np.unravel_index(np.argmax(means), means.shape))
    return slice(row, row + side), slice(column, column + side)


def _in_hu(samples: Samples, results: Results, baseline: str | None) -> dict[str, np.ndarray]:
    """methods_on_slice in HU."""
    scale, images = HuScale.from_manifest(results["data"]), methods_on_slice(samples, baseline)
    return {name: scale.to_hu(image.astype(np.float64)) for name, image in images.items()}


def _grid(
    images: Mapping[str, np.ndarray], width: float = FULL, *, lines: int = 2, beside: float = 0
) -> tuple[Figure, np.ndarray]:
    """A figure with one axes for each image of one shape, in rows that are as equal as can be.

    Args:
      images: by title.
      width: of the figure in inches, where the images fill a row.
      lines: of the titles.
      beside: inches kept free for a scale.
    """
    rows = -(-len(images) // _COLUMNS)
    columns = -(-len(images) // rows)
    height, across = next(iter(images.values())).shape
    panel = (width - beside) / max(columns, 2 if width == HALF else _COLUMNS - 1)
    size = panel * columns + beside, (panel * height / across + lines * _LINE) * rows
    figure, axes = new_figure(rows, columns, *size)
    for ax in axes.flat:
        ax.set_axis_off()
    return figure, axes


def _ends(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _quality(results: Results, name: str) -> str:
    if name == TRUTH:
        return ""
    values = results["samples"][name]
    return f"{values['psnr']:.2f} dB, SSIM {values['ssim']:.3f}"


def _place(samples: Samples) -> str:
    return slice_name(next(iter(samples.values())))
