"""Visual information fidelity in the pixel domain: vifp_mscale.m of Sheikh and Bovik 2006, IEEE TIP 15, 430-444.

As of structural_similarity, the functions take what `scales` made, for a truth once.
"""

from collections.abc import Sequence

import numpy as np

from wgan_vgg.evaluation.local_statistics import Local, gaussian_window, local_mean

_GRAY_LEVELS = 255  # of the images that the published constants are for
_EYE_NOISE = 2.0  # variance of the visual system's own noise, sigma_nsq
_SIDES = (17, 9, 5, 3)  # of the window at each scale, a gaussian of standard deviation side / 5
_NOTHING = 1e-10  # below it a variance is 0


def scales(image: np.ndarray) -> list[Local]:
    """An image (height, width) in a range of 1, and each time the last one filtered and at half its size.

    A scale that is smaller than its window is left out, so of images below 17x17 there is none.
    """
    image = image.astype(np.float64) * _GRAY_LEVELS
    found: list[Local] = []
    for side in _SIDES:
        window = gaussian_window(side, side / 5)
        if found:
            image = local_mean(image, window)[::2, ::2]
        if min(image.shape) < side:
            break
        found.append(Local(image, window))
    return found


def vif(truth: Sequence[Local], image: Sequence[Local]) -> float | None:
    """The share of the truth's information that is left in an image; above 1 where contrast was raised.

    In each place and scale the image is taken as gain * truth + noise, and both are seen through the eye's noise:
        sum log(1 + gain^2 var / (var of noise + var of eye)) / sum log(1 + var / var of eye),
    var being the truth's. None where the truth holds no information, being constant or below 17x17.
    """
    seen = there = 0.0
    for one, other in zip(truth, image, strict=True):
        variance, whole = (np.where(part < _NOTHING, 0.0, part) for part in (one.variance, other.variance))
        covariance = one.covariance(other)
        gain = np.where((covariance > 0) & (variance > 0) & (whole > 0), covariance / (variance + _NOTHING), 0.0)
        noise = np.maximum(whole - gain * covariance, _NOTHING)
        seen += np.sum(np.log1p(gain**2 * variance / (noise + _EYE_NOISE)))
        there += np.sum(np.log1p(variance / _EYE_NOISE))
    return float(seen / there) if there else None
