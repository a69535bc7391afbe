"""What is measured in one image against its truth: the values of a row, and what only averages determine."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from data_prep.hu import HuScale
from wgan_vgg.config import EvaluationConfig
from wgan_vgg.evaluation import flat_regions, information_fidelity, metrics, sharpness, structural_similarity
from wgan_vgg.evaluation.body import body_mask

IN_HU = ("rmse_hu", "bias_hu", "std_hu", "rmse_hu_body")


def per_image(config: EvaluationConfig) -> list[str]:
    """The names of the metrics that every image has, in the order of the CSV's columns."""
    windowed = [f"{name}_{window}" for window in config.windows for name in ("psnr", "ssim")]
    return ["psnr", "ssim", *IN_HU, *METRICS, "perceptual", *windowed]


@dataclasses.dataclass(frozen=True)
class Scale(HuScale):
    """HU of the training range, and a pixel's side in mm (None: unknown; frequencies are then per pixel)."""

    pixel_mm: float | None

    def to_hu(self, values: np.ndarray) -> np.ndarray:
        """An image of the training range in HU, float64."""
        return super().to_hu(values.astype(np.float64))


class Truth:
    """A normal-dose image (height, width) of the training range: where to measure, and what every comparison needs."""

    def __init__(self, image: np.ndarray, scale: Scale, config: EvaluationConfig) -> None:
        self.image, self.scale, self.config = image, scale, config
        self.hu = scale.to_hu(image)
        self.body = body_mask(self.hu)
        self.regions = find_regions(self.hu, config)
        self.edges = sharpness.find_edges(
            image,
            contrasts=[contrast / scale.slope for contrast in config.edge_contrasts_hu],
            count=config.edges,
            reach=config.edge_reach,
            within=ndimage.binary_dilation(self.body, iterations=2),  # the skin's own edge, too
        )
        self.ssim_scales = structural_similarity.scales(image)
        self.vif_scales = information_fidelity.scales(image)
        self.in_windows = {name: metrics.in_window(self.hu, name) for name in config.windows}
        self.window_scales = {name: structural_similarity.scales(view, 1) for name, view in self.in_windows.items()}


class Compared:
    """An image (height, width) beside its truth, with what several metrics need of it."""

    def __init__(self, truth: Truth, image: np.ndarray) -> None:
        self.truth, self.image = truth, image
        self.ssim_scales = structural_similarity.scales(image)

    @functools.cached_property
    def ssim_map(self) -> np.ndarray:
        """SSIM of each window that lies within the image."""
        return structural_similarity.ssim_map(self.truth.ssim_scales, self.ssim_scales)


def _body_psnr(pair: Compared) -> float | None:
    body = pair.truth.body
    return metrics.psnr(pair.truth.image[body], pair.image[body]) if body.any() else None


def _body_ssim(pair: Compared) -> float | None:
    margin = slice(structural_similarity.MARGIN, -structural_similarity.MARGIN)
    inner = pair.truth.body[margin, margin]
    return float(pair.ssim_map[inner].mean()) if inner.any() else None


# Metrics in the training range by the names of their columns; None: not defined for this image.
METRICS: dict[str, Callable[[Compared], float | None]] = {
    "psnr_body": _body_psnr,
    "ssim_body": _body_ssim,
    "dival_psnr": lambda pair: metrics.dival_psnr(pair.truth.image, pair.image),
    "ms_ssim": lambda pair: structural_similarity.multiscale_ssim(pair.truth.ssim_scales, pair.ssim_scales),
    "vif": lambda pair: information_fidelity.vif(pair.truth.vif_scales, information_fidelity.scales(pair.image)),
}


@dataclasses.dataclass(frozen=True)
class Measured:
    """One image's values by name (None: not defined), and its parts that are averaged before anything is computed.

    Attributes:
      noise: squares (regions, side, side) of flat tissue in HU, detrended; None where nothing is flat.
      profiles: across edges, (edges, samples) for each class of contrast.
    """

    values: dict[str, float | None]
    noise: np.ndarray | None
    profiles: list[np.ndarray]


def find_regions(truth_hu: np.ndarray, config: EvaluationConfig) -> list[flat_regions.Region]:
    """The flat squares of a normal-dose image (height, width) in HU that the config asks for."""
    return flat_regions.find_flat_regions(
        truth_hu,
        count=config.flat_regions,
        side=max(config.flat_smallest_side, min(truth_hu.shape) // config.flat_divisor),
        min_hu=config.flat_min_hu,
        max_step_hu=config.flat_max_step_hu,
    )


def measure(truth: Truth, image: np.ndarray, *, in_hu: bool, perceptual: float | None = None) -> Measured:
    """Measures an image (height, width) against its truth.

    Args:
      truth: its normal-dose image.
      image: in the training range; not changed.
      in_hu: whether it is in the truth's range; a min-max rescaled one has no HU.
      perceptual: its distance in VGG features.
    """
    pair = Compared(truth, image)
    values: dict[str, float | None] = dict.fromkeys(per_image(truth.config))
    values |= {"psnr": metrics.psnr(truth.image, image), "ssim": float(pair.ssim_map.mean()), "perceptual": perceptual}
    values |= {name: metric(pair) for name, metric in METRICS.items()}
    if in_hu:
        values |= _in_hu(truth, image)
    noise = flat_regions.cut(truth.scale.to_hu(image), truth.regions) if truth.regions else None
    return Measured(
        values,
        noise if noise is None else flat_regions.detrended(noise),
        sharpness.profiles(image, truth.edges),
    )


def measure_truth(truth: Truth) -> Measured:
    """A truth's own noise and edges."""
    values = dict.fromkeys(per_image(truth.config))
    noise = flat_regions.cut(truth.hu, truth.regions) if truth.regions else None
    if noise is not None:
        values["std_hu"] = flat_regions.standard_deviation(noise)
        noise = flat_regions.detrended(noise)
    return Measured(values, noise, sharpness.profiles(truth.image, truth.edges))


def _in_hu(truth: Truth, image: np.ndarray) -> dict[str, float]:
    """The values in HU, and those in HU windows."""
    image_hu, body, slope = truth.scale.to_hu(image), truth.body, truth.scale.slope
    values = {"rmse_hu": metrics.rmse_hu(truth.image, image, slope)}
    if body.any():
        values["rmse_hu_body"] = metrics.rmse_hu(truth.image[body], image[body], slope)
    if truth.regions:
        true_squares, squares = (flat_regions.cut(part, truth.regions) for part in (truth.hu, image_hu))
        values["bias_hu"] = flat_regions.bias(true_squares, squares)
        values["std_hu"] = flat_regions.standard_deviation(squares)
    for name, view in truth.in_windows.items():
        if not np.ptp(view):  # nothing of this slice lies in the window: the two may well be equal there
            continue
        seen = metrics.in_window(image_hu, name)
        similarity = structural_similarity.ssim_map(truth.window_scales[name], structural_similarity.scales(seen, 1))
        values |= {f"psnr_{name}": metrics.psnr(view, seen), f"ssim_{name}": float(similarity.mean())}
    return values
