"""wgan_vgg.evaluation.image_measures: in which range, in which squares and of what an image's values are."""

import numpy as np
import pytest

from wgan_vgg.config import EvaluationConfig
from wgan_vgg.evaluation import flat_regions, metrics
from wgan_vgg.evaluation.image_measures import Scale, Truth, find_regions, measure, measure_truth

SCALE = Scale(4072.0, -1001.0, 2.0)
CONFIG = EvaluationConfig(windows=("soft_tissue",))


def truth_of(hu):
    return Truth(SCALE.to_values(hu), SCALE, CONFIG)


def test_metrics_of_a_window_are_in_its_range():
    """Fails where they are those of the training range, in which 20 HU are 46 dB and an SSIM of almost 1."""
    truth = np.full((32, 32), 40.0)
    truth[:, 16:] = 60.0
    image = truth + 20.0
    found = measure(truth_of(truth), SCALE.to_values(image), in_hu=True).values
    assert found["psnr_soft_tissue"] == pytest.approx(20 * np.log10(400 / 20))
    seen = [metrics.in_window(one, "soft_tissue") for one in (truth, image)]
    assert found["ssim_soft_tissue"] == pytest.approx(metrics.ssim(*seen))
    assert found["ssim"] - found["ssim_soft_tissue"] > 0.001


def test_the_truths_own_noise_is_what_shading_leaves_of_it():
    """Fails where the plain deviation is taken, 8.7 HU, or after detrending that of all 256 pixels, 5.09 for 5.15."""
    noise = np.random.default_rng(0).normal(0, 5, (256, 256))
    truth = truth_of(40 + 0.1 * np.arange(256) + noise)
    expected = flat_regions.standard_deviation(flat_regions.cut(truth.hu, truth.regions))
    assert measure_truth(truth).values["std_hu"] == pytest.approx(expected)
    assert expected == pytest.approx(5, rel=0.05)


def test_the_squares_of_an_oblong_image_follow_its_shorter_side():
    rows, columns = find_regions(np.full((256, 512), 40.0), CONFIG)[0]
    assert (rows.stop - rows.start, columns.stop - columns.start) == (16, 16)
