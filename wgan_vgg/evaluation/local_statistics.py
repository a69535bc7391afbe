"""Local means, variances and covariances of images: what SSIM, MS-SSIM and VIF are made of."""

import numpy as np
from scipy import ndimage


class Local:
    """An image (height, width) with its local statistics, float64.

    Attributes:
      image: in float64.
      mean, variance: where the window fits, (height - side + 1, width - side + 1); population variance.
    """

    def __init__(self, image: np.ndarray, window: np.ndarray) -> None:
        """`window`: the weights along one axis, see gaussian_window; the other axis has the same."""
        self.image = image.astype(np.float64)
        self._window = window
        self.mean = local_mean(self.image, window)
        self.variance = local_mean(self.image**2, window) - self.mean**2

    def covariance(self, other: "Local") -> np.ndarray:
        """Population covariance with another image of the same shape, under this one's window."""
        return local_mean(self.image * other.image, self._window) - self.mean * other.mean


def gaussian_window(side: int, sigma: float) -> np.ndarray:
    """Weights along one axis (side,), side odd; they sum to 1, and so do their products over two axes."""
    weights = np.exp(-0.5 * ((np.arange(side) - side // 2) / sigma) ** 2)
    return weights / weights.sum()


def local_mean(image: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Weighted means of an image (height, width) where the window fits, see Local; empty where it does not."""
    height, width = (max(0, length - len(window) + 1) for length in image.shape)
    reach = len(window) // 2
    for axis in (0, 1):
        image = ndimage.correlate1d(image, window, axis)
    return image[reach : reach + height, reach : reach + width]
