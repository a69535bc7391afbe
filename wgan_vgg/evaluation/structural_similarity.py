"""SSIM (Wang et al. 2004) and MS-SSIM (Wang, Simoncelli and Bovik 2003), equal to tf.image's.

Both are of images in a range of 1. A truth that several images are compared with is scaled down, and its local
statistics computed, once: the functions take what `scales` made.
"""

from collections.abc import Sequence

import numpy as np

from wgan_vgg.evaluation.local_statistics import Local, gaussian_window

SIDE = 11  # pixels of the window, a gaussian of standard deviation 1.5
MARGIN = SIDE // 2  # pixels at each border of an image in which its map has no values
_WINDOW = gaussian_window(SIDE, 1.5)
_C1, _C2 = 0.01**2, 0.03**2
# MS-SSIM's exponents, from the finest scale on.
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# The smallest side of an image whose fifth scale still holds the window.
SMALLEST_MULTISCALE = (SIDE - 1) * 2 ** (len(_WEIGHTS) - 1) + 1


def scales(image: np.ndarray, count: int = len(_WEIGHTS)) -> list[Local]:
    """An image (height, width), 11x11 or larger, and each time the last one at half its size, while the window fits.

    `count`: how many at most; SSIM needs the first alone.
    """
    found: list[Local] = []
    while len(found) < count and min(image.shape) >= SIDE:
        found.append(Local(image, _WINDOW))
        image = _halved(found[-1].image)
    return found


def ssim_map(truth: Sequence[Local], image: Sequence[Local]) -> np.ndarray:
    """SSIM around each pixel, (height - 10, width - 10); its mean is tf.image.ssim and scikit-image's.

    Scikit-image's has gaussian weights of standard deviation 1.5 and population covariance.
    """
    return _luminance(truth[0], image[0]) * _contrast_structure(truth[0], image[0])


def multiscale_ssim(truth: Sequence[Local], image: Sequence[Local]) -> float | None:
    """MS-SSIM, equal to tf.image.ssim_multiscale; None for images below 161x161, which have no five scales.

    The product over the scales of the mean contrast-structure term, at the coarsest one of the mean SSIM, each to the
    power of its weight; a negative mean counts as 0.
    """
    if len(truth) < len(_WEIGHTS):
        return None
    maps = [_contrast_structure(*pair) for pair in zip(truth, image, strict=True)]
    maps[-1] *= _luminance(truth[-1], image[-1])
    means = np.maximum([part.mean() for part in maps], 0.0)
    return float(np.prod(means**_WEIGHTS))


def _luminance(truth: Local, image: Local) -> np.ndarray:
    return (2 * truth.mean * image.mean + _C1) / (truth.mean**2 + image.mean**2 + _C1)


def _contrast_structure(truth: Local, image: Local) -> np.ndarray:
    return (2 * truth.covariance(image) + _C2) / (truth.variance + image.variance + _C2)


def _halved(image: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels; a last odd row or column counts twice, as tf.image.ssim_multiscale has it."""
    height, width = image.shape
    padded = np.pad(image, ((0, height % 2), (0, width % 2)), mode="symmetric")
    return padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2).mean(axis=(1, 3))
