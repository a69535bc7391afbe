"""Denoisers without training, each tuned on the validation split: what a network has to beat.

All are scikit-image's and scipy's but two: the bilateral filter (see `bilateral`) and BM3D (Dabov et al. 2007),
which is its authors' `bm3d`: free for NON-COMMERCIAL use only. It and PyWavelets (wavelet) come with the extra
`baselines`.
"""

import functools
import importlib.util
import itertools
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
from scipy import ndimage
from skimage import restoration

from data_prep.progress import Progress, silent
from data_prep.repeated_scans import Scanner
from wgan_vgg.config import EvaluationConfig
from wgan_vgg.config.baselines import BASELINES
from wgan_vgg.errors import install
from wgan_vgg.evaluation import metrics
from wgan_vgg.evaluation.grid_search import Parameters, search
from wgan_vgg.evaluation.json_types import Tuned
from wgan_vgg.evaluation.parallel import workers
from wgan_vgg.input_pipeline import DataSet

_STREAM = 7  # keys the noise of tuning images apart from that of other scans, see repeats
INSTALL = install("baselines")
# BM3D with this fft_size has coarser strides and a simpler model of variances (k), too. Measured on 8 slices of real CT
# (362x362, filtered backprojection of 4096 photons) at the best sigma each, PSNR and CPU seconds per image: bm3d's own
# choices (32, k 4, strides 3 and 3) 39.57 dB, 4.1 s; 16 39.60 dB, 1.9 s; 8 40.00 dB, 1.4 s; 8 with k 1 40.07 dB, 1.3 s;
# 8 with k 1 and strides 5 and 4 40.10 dB, 0.8 s. On white noise of .03: 32 43.40 dB, 16 43.42 dB, 8 43.11 dB.
_COARSE_FFT = 8


def gaussian(image: np.ndarray, sigma_pixels: float) -> np.ndarray:
    """Convolution with a gaussian of this standard deviation."""
    return ndimage.gaussian_filter(image, sigma_pixels)


def tv(image: np.ndarray, weight: float) -> np.ndarray:
    """Total variation (Rudin, Osher and Fatemi 1992) by Chambolle's algorithm."""
    return restoration.denoise_tv_chambolle(image, weight=weight)


def non_local_means(image: np.ndarray, sigma: float, strength: float) -> np.ndarray:
    """Buades, Coll and Morel 2005, patches of 5x5 within 6 pixels."""
    return restoration.denoise_nl_means(
        image, h=strength, sigma=sigma, patch_size=5, patch_distance=6, fast_mode=True, preserve_range=True
    )


def bilateral(image: np.ndarray, sigma: float, sigma_pixels: float) -> np.ndarray:
    """Tomasi and Manduchi 1998, the spatial gaussian cut off at 3 standard deviations, borders mirrored; in float32.

    Not scikit-image's: up to 0.26 its table of spatial weights for an 11x11 window is 12x12 and is read as 11x11, so
    that the window is sheared and the result several dB worse. Two pixels have the same weight for each other, so each
    pair is weighed once.
    """
    reach = int(np.ceil(3 * sigma_pixels))
    padded = np.pad(image.astype(np.float32), reach, mode="symmetric")
    total, weights = padded.copy(), np.ones_like(padded)  # each pixel itself
    height, width = padded.shape
    for row, column in itertools.product(range(reach + 1), range(-reach, reach + 1)):
        if (row, column) <= (0, 0):
            continue
        one = (slice(0, height - row), slice(max(0, -column), width - max(0, column)))
        other = (slice(row, height), slice(max(0, column), width - max(0, -column)))
        weight = np.square(padded[other] - padded[one])
        weight *= np.float32(-0.5 / sigma**2)
        weight -= np.float32(0.5 * (row**2 + column**2) / sigma_pixels**2)
        np.exp(weight, out=weight)
        for here, there in ((one, other), (other, one)):
            weights[here] += weight
            total[here] += weight * padded[there]
    return (total / weights)[reach:-reach, reach:-reach]


def wavelet(image: np.ndarray, sigma: float) -> np.ndarray:
    """Soft thresholds by BayesShrink (Chang, Yu and Vetterli 2000)."""
    return restoration.denoise_wavelet(image, sigma=sigma, rescale_sigma=False)


def bm3d(image: np.ndarray, sigma: float, fft_size: float) -> np.ndarray:
    """Dabov et al. 2007; see _COARSE_FFT."""
    import bm3d as package

    profile = package.BM3DProfile()
    profile.num_threads = 1  # its own threads give another rounding each time, and die beside others
    profile.nf = int(fft_size)
    if fft_size == _COARSE_FFT:
        profile.k, profile.step_ht, profile.step_wiener = 1, 5, 4
    return package.bm3d(image, sigma, profile=profile)


def missing(names: Sequence[str]) -> list[str]:
    """Those of the baselines whose module is not installed."""
    modules = {name: BASELINES[name].module for name in names}
    return [name for name, module in modules.items() if module and importlib.util.find_spec(module) is None]


def apply(name: str, parameters: Parameters, images: np.ndarray, pool: Executor) -> np.ndarray:
    """One baseline on images (batch, height, width), in parallel: float32 of the same shape."""
    return np.stack(list(pool.map(lambda image: _denoised(name, image, parameters), images)))


def tune(
    data: DataSet,
    names: Sequence[str],
    config: EvaluationConfig,
    progress: Progress = silent,
    *,
    scan: Scanner | None = None,
) -> dict[str, Tuned]:
    """Chooses each baseline's parameters by mean PSNR over a few whole images of the tuning split.

    A grid whose best point lies at its edge is widened, see search.

    Args:
      data: whose tuning split is taken.
      names: of the baselines.
      config: how many images, and where the grids begin.
      progress: called after each baseline.
      scan: makes the low dose of those images; by default it is the records' own. Where these have several doses, the
        baselines are tuned for one of them on the same slices as for the others.

    Returns:
      By baseline: `parameters`, the `psnr` they reach there, and the `split`.
    """
    low_dose, truth = (part.numpy()[..., 0] for part in data.first(data.tuning_split, config.tuning_images))
    if scan:
        streams = np.random.SeedSequence(data.manifest["seed"], spawn_key=(_STREAM,)).spawn(len(truth))
        low_dose = np.stack([scan(*one) for one in zip(truth, map(np.random.default_rng, streams), strict=True)])
    noise = max(float(np.std(low_dose.astype(np.float64) - truth)), float(np.finfo(np.float32).eps))
    best: dict[str, Tuned] = {}
    with workers() as pool:

        def quality(name: str, parameters: Parameters) -> float:
            outputs = apply(name, parameters, low_dose, pool)
            return float(np.mean([metrics.psnr(t, image) for t, image in zip(truth, outputs, strict=True)]))

        for done, name in enumerate(names, start=1):
            baseline = BASELINES[name]
            axes, kinds = baseline.axes(config, noise), baseline.kinds(config)
            parameters, psnr = search(functools.partial(quality, name), axes, kinds, baseline.ends)
            best[name] = {"parameters": parameters, "psnr": psnr, "split": data.tuning_split}
            progress("tune baselines", done, len(names))
    return best


def _denoised(name: str, image: np.ndarray, parameters: Parameters) -> np.ndarray:
    """Clipped at 0 as the networks' last ReLU does: no tissue is darker than what 0 stands for."""
    denoised = BASELINES[name].function()(image.astype(np.float64), **parameters)
    return np.maximum(denoised, 0.0).astype(np.float32)
