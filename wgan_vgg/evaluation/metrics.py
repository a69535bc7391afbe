"""Image quality, per image and as the report's notebook computes it. NaN in gives NaN out."""

import numpy as np
import skimage.metrics

NOISY = "noisy input"  # its name as a method, in every table and figure
SSIM_WINDOW = 11  # pixels
DATA_RANGE = 1.0  # the training range, LoDoPaB's [0, 1]; outputs are not clipped
# Level and width in HU, as radiologists set them.
WINDOWS = {"lung": (-600, 1500), "soft_tissue": (40, 400), "bone": (400, 1800), "brain": (40, 80)}


def psnr(truth: np.ndarray, image: np.ndarray) -> float:
    """10 log10(DATA_RANGE^2 / MSE) in dB of one image (height, width); infinite for equal images."""
    error = np.mean(np.square(truth.astype(np.float64) - image))
    return float(10 * np.log10(DATA_RANGE**2 / error)) if error else float("inf")


def ssim(truth: np.ndarray, image: np.ndarray) -> float:
    """SSIM of one image (height, width), 11x11 or larger (Wang et al. 2004).

    A gaussian window of standard deviation 1.5, population covariance, data range 1; equals tf.image.ssim.
    """
    return float(
        skimage.metrics.structural_similarity(
            truth, image, data_range=DATA_RANGE, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


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
