"""SSIM, MS-SSIM, VIF and dival's PSNR: against tf.image, scikit-image, the published program and closed forms."""

import numpy as np
import pytest
import skimage.metrics
import tensorflow as tf
from scipy import signal

from wgan_vgg.evaluation import information_fidelity, local_statistics, metrics
from wgan_vgg.evaluation import structural_similarity as structural


def pair(height, width, noise=0.1, seed=0):
    """A smooth image with edges, and the same with noise, float32."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    truth = 0.3 + 0.2 * np.sin(x / 9.0) * np.cos(y / 13.0) + 0.2 * (np.hypot(x - 40, y - 50) < 25)
    return truth.astype(np.float32), (truth + rng.normal(0, noise, truth.shape)).astype(np.float32)


def multiscale(truth, image):
    return structural.multiscale_ssim(structural.scales(truth), structural.scales(image))


def vif(truth, image):
    return information_fidelity.vif(information_fidelity.scales(truth), information_fidelity.scales(image))


def test_local_statistics_are_the_windows_own():
    # A reflected border, or a sample variance, would be others.
    image, other = np.random.default_rng(0).normal(size=(2, 6, 7))
    window = local_statistics.gaussian_window(3, 0.8)
    weights = np.outer(window, window)
    first, second = (local_statistics.Local(part, window) for part in (image, other))
    assert first.mean.shape == (4, 5)
    part, its = image[2:5, 1:4], other[2:5, 1:4]
    mean, mean_of_other = np.sum(weights * part), np.sum(weights * its)
    assert first.mean[2, 1] == pytest.approx(mean)
    assert first.variance[2, 1] == pytest.approx(np.sum(weights * (part - mean) ** 2))
    assert first.covariance(second)[2, 1] == pytest.approx(np.sum(weights * (part - mean) * (its - mean_of_other)))


@pytest.mark.parametrize("shape", [(40, 33), (11, 11)])
def test_ssim_equals_tensorflows_and_scikit_images(shape):
    truth, image = pair(*shape)
    theirs = float(tf.image.ssim(truth[..., None], image[..., None], max_val=1.0))
    assert metrics.ssim(truth, image) == pytest.approx(theirs, abs=5e-5)
    choices = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    also = skimage.metrics.structural_similarity(truth, image, data_range=1.0, **choices)
    assert metrics.ssim(truth, image) == pytest.approx(also, abs=1e-5)


# 161 is the smallest; at 175 each scale has an odd side, so that a last row counts twice.
@pytest.mark.parametrize("shape", [(161, 161), (175, 190), (192, 176)])
@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_multiscale_ssim_equals_tensorflows(shape, noise):
    truth, image = pair(*shape, noise=noise)
    theirs = float(tf.image.ssim_multiscale(truth[..., None], image[..., None], max_val=1.0))
    assert multiscale(truth, image) == pytest.approx(theirs, abs=2e-5)


def test_multiscale_ssim_of_constants_is_the_coarsest_luminance():
    # Contrast and structure are 1 at every scale. With luminance at each, the exponent would be 1, not .1333.
    value = multiscale(np.full((176, 176), 0.5), np.full((176, 176), 0.25))
    assert value == pytest.approx(((0.25 + 1e-4) / (0.3125 + 1e-4)) ** 0.1333, rel=1e-6)


def test_multiscale_ssim_of_an_inverted_image_is_zero():
    truth = pair(176, 176)[0]
    assert multiscale(truth, 1 - truth) == 0.0, "a negative mean to a broken power is no number"


def test_small_images_have_no_multiscale_ssim():
    assert structural.SMALLEST_MULTISCALE == 161
    assert multiscale(*pair(160, 200)) is None


def published_vif(ref, dist):
    """vifp_mscale.m of Sheikh and Bovik, line by line; images of 255 gray levels."""
    sigma_nsq, num, den = 2.0, 0.0, 0.0
    for scale in range(1, 5):
        n = 2 ** (4 - scale + 1) + 1
        axis = np.arange(n) - (n - 1) / 2
        win = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * (n / 5) ** 2))
        win /= win.sum()

        def filter2(image, win=win):
            return signal.convolve2d(image, win, mode="valid")

        if scale > 1:
            ref, dist = filter2(ref)[::2, ::2], filter2(dist)[::2, ::2]
        mu1, mu2 = filter2(ref), filter2(dist)
        sigma1_sq = np.maximum(filter2(ref * ref) - mu1 * mu1, 0)
        sigma2_sq = np.maximum(filter2(dist * dist) - mu2 * mu2, 0)
        sigma12 = filter2(ref * dist) - mu1 * mu2
        g = sigma12 / (sigma1_sq + 1e-10)
        sv_sq = sigma2_sq - g * sigma12
        g[sigma1_sq < 1e-10] = 0
        sv_sq[sigma1_sq < 1e-10] = sigma2_sq[sigma1_sq < 1e-10]
        sigma1_sq[sigma1_sq < 1e-10] = 0
        g[sigma2_sq < 1e-10] = 0
        sv_sq[sigma2_sq < 1e-10] = 0
        sv_sq[g < 0] = sigma2_sq[g < 0]
        g[g < 0] = 0
        sv_sq[sv_sq <= 1e-10] = 1e-10
        num += np.sum(np.log10(1 + g**2 * sigma1_sq / (sv_sq + sigma_nsq)))
        den += np.sum(np.log10(1 + sigma1_sq / sigma_nsq))
    return num / den


@pytest.mark.parametrize("noise", [0.003, 0.02, 0.3])
def test_vif_is_the_published_one(noise):
    # Other window widths, decimation before the filter, or a range of 1 for 255 all fail here.
    truth, image = pair(90, 101, noise=noise)
    image[:30, :30] = 0.4  # flat where the truth is not
    truth[60:, 60:], image[60:, 70:] = 0.1, 0.2  # and the other way round
    expected = published_vif(truth.astype(np.float64) * 255, image.astype(np.float64) * 255)
    assert vif(truth, image) == pytest.approx(expected, rel=1e-6)


def test_vif_of_nothing_lost_of_all_lost_and_of_more_contrast():
    truth, noisy = pair(80, 80, noise=0.05)
    assert vif(truth, truth) == pytest.approx(1.0)
    assert vif(truth, np.full_like(truth, truth.mean())) == 0.0
    assert vif(truth, 1 - truth) == pytest.approx(0.0, abs=1e-6), "inverted contrast tells nothing"
    assert 0.0 < vif(truth, noisy) < 0.7
    assert vif(truth, truth.mean() + 2 * (truth - truth.mean())) > 1.05


def test_vif_of_white_noise_has_a_closed_form():
    # White noise of 10 on white noise of 20, at the first scale: gain 1.
    rng = np.random.default_rng(0)
    truth, noise = rng.normal(100, 20, (400, 400)), rng.normal(0, 10, (400, 400))
    first = [[information_fidelity.scales(image / 255)[0]] for image in (truth, truth + noise)]
    assert information_fidelity.vif(*first) == pytest.approx(np.log(1 + 400 / 102) / np.log(1 + 400 / 2), rel=0.03)


def test_what_holds_no_information_has_no_vif():
    assert vif(np.full((40, 40), 0.3), pair(40, 40)[1]) is None
    assert vif(*pair(16, 40)) is None, "smaller than the first window"


def test_dival_psnr_has_the_truths_own_range():
    # A range of .5 and an error of .05: 20 dB; of the training range 26 dB, of the image's own 20.4 dB.
    truth = np.linspace(0.2, 0.7, 100).reshape(10, 10)
    assert metrics.dival_psnr(truth, truth + 0.05) == pytest.approx(20.0)
    rmse = 0.1 * np.sqrt(np.mean(truth**2))
    assert metrics.dival_psnr(truth, truth * 1.1) == pytest.approx(20 * np.log10(0.5 / rmse))
    assert metrics.dival_psnr(np.full((4, 4), 0.3), np.zeros((4, 4))) is None


def test_nan_in_gives_nan_out():
    truth, image = pair(176, 176)
    image[80, 80] = np.nan
    for value in (metrics.psnr(truth, image), metrics.ssim(truth, image), multiscale(truth, image), vif(truth, image)):
        assert np.isnan(value)
