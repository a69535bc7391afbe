"""The body in a slice: where an error matters. The air and the couch around it are easy, and up to half the image."""

import numpy as np
from scipy import ndimage
from skimage import morphology

_TISSUE_HU = -500.0  # between lung and fat
_LUNG_HU = -950.0  # even emphysematous lung is denser
_THIN = morphology.disk(2).astype(bool)  # what is no wider is clothes, or where the couch touches


def body_mask(hu: np.ndarray) -> np.ndarray:
    """The body of a normal-dose slice in HU (height, width), its lungs and bowel gas included: bool.

    The largest part of tissue and what it encloses. Where the image cuts through the body, a lung may be open to the
    border: what lies mostly within the tissue's convex hull and is denser than air belongs to the body, too.
    """
    smooth = ndimage.gaussian_filter(hu.astype(np.float64), 1.0)
    # Beyond the border there is tissue, where there is some at it.
    core = ndimage.binary_erosion(smooth > _TISSUE_HU, _THIN, border_value=1)
    parts, _ = ndimage.label(ndimage.binary_dilation(core, _THIN))
    sizes = np.bincount(parts.ravel())[1:]
    if not len(sizes):
        return np.zeros(hu.shape, bool)
    body = ndimage.binary_fill_holes(parts == 1 + np.argmax(sizes))
    hull = morphology.convex_hull_image(body)
    around, count = ndimage.label(~body)
    for number in range(1, count + 1):
        part = around == number
        if hull[part].mean() > 0.5 and np.median(smooth[part]) > _LUNG_HU:
            body |= part
    return body
