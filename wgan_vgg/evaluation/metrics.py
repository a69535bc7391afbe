"""Image quality, per image and as the report's notebook computes it. NaN in gives NaN out."""

import numpy as np

from data_prep.hu import WINDOWS
from wgan_vgg.errors import InputError
from wgan_vgg.evaluation import structural_similarity

NOISY = "noisy input"  # its name as a method, in every table and figure
TRUTH = "normal dose"
DATA_RANGE = 1.0  # the training range, LoDoPaB's [0, 1]; outputs are not clipped


def check_size(image_shape: tuple[int, int]) -> None:
    """Raises InputError for images (height, width) that are smaller than the window of SSIM."""
    height, width = image_shape
    if min(image_shape) < structural_similarity.SIDE:
        raise InputError(f"images of {height}x{width}: SSIM takes {structural_similarity.SIDE} or more")


def psnr(truth: np.ndarray, image: np.ndarray, data_range: float = DATA_RANGE) -> float:
    """10 log10(data_range^2 / MSE) in dB of images of one shape, or of some of their pixels; infinite if equal."""
    error = np.mean(np.square(truth.astype(np.float64) - image))
    return float(10 * np.log10(data_range**2 / error)) if error else float("inf")


def dival_psnr(truth: np.ndarray, image: np.ndarray) -> float | None:
    """PSNR as dival and the LoDoPaB-CT challenge have it, with the truth's own max - min as data range.

    None for a constant truth, which has no range.
    """
    data_range = float(np.ptp(truth))
    return psnr(truth, image, data_range) if data_range else None


def ssim(truth: np.ndarray, image: np.ndarray) -> float:
    """SSIM of one image (height, width), 11x11 or larger, data range 1: see structural_similarity.ssim_map."""
    return float(np.mean(structural_similarity.ssim_map(*(structural_similarity.scales(i, 1) for i in (truth, image)))))


def rmse_hu(truth: np.ndarray, image: np.ndarray, hu_slope: float) -> float:
    """Root mean squared error in HU of one image in the training range."""
    return float(hu_slope * np.sqrt(np.mean(np.square(truth.astype(np.float64) - image))))


def in_window(image_hu: np.ndarray, window: str) -> np.ndarray:
    """An image in HU, clipped to one of WINDOWS, which becomes [0, 1]: what the metrics then take as their range."""
    level, width = WINDOWS[window]
    return np.clip((image_hu.astype(np.float64) - level) / width + 0.5, 0.0, 1.0)


def report_batch_psnr(truth: np.ndarray, images: np.ndarray) -> float:
    """The notebook's PSNR: of the whole batch's MSE, with a maximum of 1; (batch, height, width)."""
    return psnr(truth, images)


def report_global_ssim(truth: np.ndarray, images: np.ndarray) -> float:
    """The notebook's SSIM: one window over the whole batch, and C1 = .01, C2 = .03, not squared."""
    truth, images = truth.astype(np.float64), images.astype(np.float64)
    covariance = np.mean((truth - truth.mean()) * (images - images.mean()))
    luminance = (2 * truth.mean() * images.mean() + 0.01) / (truth.mean() ** 2 + images.mean() ** 2 + 0.01)
    structure = (2 * covariance + 0.03) / (truth.var() + images.var() + 0.03)
    return float(luminance * structure)


def gradient_energy(image: np.ndarray) -> float:
    """Mean squared gradient of one image: the measure of detail by which Figure 5's slice is chosen."""
    return float(np.mean(np.square(np.gradient(image.astype(np.float64)))))
