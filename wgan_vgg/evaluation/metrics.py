"""Image quality, per image and as the report's notebook computes it. NaN in gives NaN out."""

import numpy as np
import skimage.measure
import skimage.metrics
from scipy import ndimage

NOISY = "noisy input"  # its name as a method, in every table and figure
SSIM_WINDOW = 11  # pixels
DATA_RANGE = 1.0  # the training range, LoDoPaB's [0, 1]; outputs are not clipped
# Level and width in HU, as radiologists set them.
WINDOWS = {"lung": (-600, 1500), "soft_tissue": (40, 400), "bone": (400, 1800), "brain": (40, 80)}
_BODY_HU = -500.0  # between air and fat
# Wang, Simoncelli and Bovik 2003: the exponents of the five scales.
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_VIF_SCALES = 4
_VIF_NOISE = 2.0  # variance of the eye's noise, for images of 255 gray levels (Sheikh and Bovik 2006)


def psnr(truth: np.ndarray, image: np.ndarray, data_range: float = DATA_RANGE) -> float:
    """10 log10(data_range^2 / MSE) in dB of images of one shape, or of some of their pixels; infinite if equal."""
    error = np.mean(np.square(truth.astype(np.float64) - image))
    return float(10 * np.log10(data_range**2 / error)) if error else float("inf")


def dival_psnr(truth: np.ndarray, image: np.ndarray) -> float:
    """PSNR as dival and the LoDoPaB-CT challenge have it: the data range is the truth's own, max - min."""
    return psnr(truth, image, float(np.ptp(truth)) or DATA_RANGE)


def ssim(truth: np.ndarray, image: np.ndarray) -> float:
    """SSIM of one image (height, width), 11x11 or larger (Wang et al. 2004).

    A gaussian window of standard deviation 1.5, population covariance, data range 1; equals tf.image.ssim.
    """
    return _ssim(truth, image)[0]


def ssim_and_of_body(truth: np.ndarray, image: np.ndarray, body: np.ndarray) -> tuple[float, float | None]:
    """ssim, and the mean of the same map over the body (bool (height, width)); None where there is no body."""
    whole, values = _ssim(truth, image)
    return whole, float(values[body].mean()) if body.any() else None


def body_mask(truth_hu: np.ndarray) -> np.ndarray:
    """The body, its lungs and bowel gas included: bool (height, width), of the truth in HU.

    The largest connected part above -500 HU, its holes filled: couch and clothes are left out.
    """
    parts = skimage.measure.label(ndimage.gaussian_filter(truth_hu, 1.0) > _BODY_HU, connectivity=1)
    if not parts.max():
        return np.zeros(truth_hu.shape, bool)
    return ndimage.binary_fill_holes(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))


def multiscale_ssim(truth: np.ndarray, image: np.ndarray) -> float | None:
    """MS-SSIM of one image (Wang, Simoncelli and Bovik 2003), with the constants of `ssim`; equals tf.image's.

    None for images below 176x176, whose fifth scale is smaller than the window. Negative terms count as 0.
    """
    if min(truth.shape) < SSIM_WINDOW * 2 ** (len(_SCALE_WEIGHTS) - 1):
        return None
    truth, image = truth.astype(np.float64), image.astype(np.float64)
    product = 1.0
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        if scale:
            truth, image = (_halved(part) for part in (truth, image))
        last = scale == len(_SCALE_WEIGHTS) - 1
        similarity = _local_ssim(truth, image, luminance=last)
        product *= max(similarity, 0.0) ** weight
    return float(product)


def vif(truth: np.ndarray, image: np.ndarray) -> float:
    """Visual information fidelity in the pixel domain (Sheikh and Bovik 2006), of one image (height, width).

    The share of the truth's information that the image still has; above 1 where contrast was raised. Of images of
    DATA_RANGE, taken as 255 gray levels; a scale whose window does not fit is left out.
    """
    truth, image = (part.astype(np.float64) * 255 / DATA_RANGE for part in (truth, image))
    seen = there = 0.0
    for scale in range(_VIF_SCALES):
        side = 2 ** (_VIF_SCALES - scale) + 1
        window = _gaussian(side, side / 5)
        if scale:
            truth, image = (_valid(part, window)[::2, ::2] for part in (truth, image))
        if min(truth.shape) < side:
            break
        means = [_valid(part, window) for part in (truth, image)]
        variances = [
            np.maximum(_valid(part**2, window) - mean**2, 0) for part, mean in zip((truth, image), means, strict=True)
        ]
        covariance = _valid(truth * image, window) - means[0] * means[1]
        gain = np.where(variances[0] > 1e-10, np.maximum(covariance, 0) / np.maximum(variances[0], 1e-10), 0.0)
        lost = np.maximum(variances[1] - gain * covariance, 1e-10)
        seen += np.sum(np.log2(1 + gain**2 * variances[0] / (lost + _VIF_NOISE)))
        there += np.sum(np.log2(1 + variances[0] / _VIF_NOISE))
    return float(seen / there) if there else 1.0


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


def _ssim(truth: np.ndarray, image: np.ndarray) -> tuple[float, np.ndarray]:
    mean, values = skimage.metrics.structural_similarity(
        truth, image, data_range=DATA_RANGE, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    return float(mean), values


def _local_ssim(truth: np.ndarray, image: np.ndarray, *, luminance: bool) -> float:
    """The mean of SSIM's map where its window fits, with or without the luminance term."""
    window = _gaussian(SSIM_WINDOW, 1.5)
    means = [_valid(part, window) for part in (truth, image)]
    variances = _valid(truth**2 + image**2, window) - means[0] ** 2 - means[1] ** 2
    covariance = _valid(truth * image, window) - means[0] * means[1]
    values = (2 * covariance + (0.03 * DATA_RANGE) ** 2) / (variances + (0.03 * DATA_RANGE) ** 2)
    if luminance:
        constant = (0.01 * DATA_RANGE) ** 2
        values *= (2 * means[0] * means[1] + constant) / (means[0] ** 2 + means[1] ** 2 + constant)
    return float(values.mean())


def _gaussian(side: int, sigma: float) -> np.ndarray:
    """One axis of a gaussian window; the other is its like."""
    weights = np.exp(-0.5 * ((np.arange(side) - side // 2) / sigma) ** 2)
    return weights / weights.sum()


def _valid(image: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The image's local means where the window fits: (height - side + 1, width - side + 1)."""
    reach = len(window) // 2
    for axis in (0, 1):
        image = ndimage.correlate1d(image, window, axis, mode="nearest")
    return image[reach : image.shape[0] - reach, reach : image.shape[1] - reach]


def _halved(image: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels; a last odd row or column counts twice, as tf.image's MS-SSIM has it."""
    height, width = image.shape
    padded = np.pad(image, ((0, height % 2), (0, width % 2)), mode="symmetric")
    return padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2).mean(axis=(1, 3))
