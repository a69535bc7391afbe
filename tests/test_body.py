"""The body's mask, and that what is measured in it is measured there alone."""

import numpy as np
import pytest

from wgan_vgg.config import EvaluationConfig
from wgan_vgg.evaluation import metrics, structural_similarity
from wgan_vgg.evaluation.body import body_mask
from wgan_vgg.evaluation.image_measures import Scale, Truth, measure

SCALE = Scale(4072.001, -1001.001, 0.7)
CONFIG = EvaluationConfig(windows=())
Y, X = np.mgrid[:200, :200]
BODY = np.hypot(X - 95, Y - 90) < 70
LUNG = np.hypot(X - 120, Y - 90) < 25


def slice_hu():
    """A body with a lung, a sheet that touches it, a couch beneath that, and clothes above."""
    hu = np.full((200, 200), -1000.0)
    hu[158:162, 10:190] = 100.0
    hu[175:190, 10:190] = 100.0
    hu[18:21, 60:130] = 0.0
    hu[BODY] = 40.0
    hu[LUNG] = -850.0
    return hu


def test_the_body_has_its_lungs_and_no_couch():
    found = body_mask(slice_hu())
    assert found[LUNG].all()
    assert np.mean(found[BODY]) > 0.99
    # All that is above -500 HU and hangs together would have the sheet's 720 pixels, too.
    assert np.count_nonzero(found & ~BODY) < 0.02 * BODY.sum()


def test_a_lung_that_the_image_cuts_open_is_body_and_the_air_beside_it_is_not():
    hu = slice_hu()[:, :120]  # through the lung's middle
    found = body_mask(hu)
    assert np.mean(found[LUNG[:, :120]]) > 0.99
    assert not found[:15].any()
    assert not found[170:].any()
    # Air in the same place is outside: it is what lies between arm and chest.
    hu[LUNG[:, :120]] = -1000.0
    assert np.mean(body_mask(hu)[LUNG[:, :120]]) < 0.15


def test_noise_in_the_air_is_no_body():
    hu = slice_hu() + np.random.default_rng(0).normal(0, 60, (200, 200))
    found = body_mask(hu)
    assert np.mean(found[BODY]) > 0.98
    assert np.count_nonzero(found & ~BODY) < 0.02 * BODY.sum()


def test_air_alone_has_no_body():
    assert not body_mask(np.full((40, 40), -1000.0)).any()


def values(truth_hu, image_hu):
    truth, image = ((hu + 1001.001) / SCALE.slope for hu in (truth_hu, image_hu))
    return measure(Truth(truth, SCALE, CONFIG), image, in_hu=True).values


def test_errors_outside_the_body_count_for_the_whole_image_alone():
    truth = slice_hu()
    image = truth.copy()
    image[193:] += 300.0
    found = values(truth, image)
    assert found["rmse_hu"] == pytest.approx(300 * np.sqrt(7 / 200))
    assert (found["rmse_hu_body"], found["psnr_body"]) == (0.0, float("inf"))
    assert found["ssim_body"] == pytest.approx(1.0)
    assert found["ssim"] < 0.99


def test_errors_in_the_body_are_of_its_pixels_alone():
    truth = slice_hu()
    body = body_mask(truth)
    found = values(truth, truth + 100.0 * body)
    assert found["rmse_hu_body"] == pytest.approx(100.0)
    assert found["psnr_body"] == pytest.approx(20 * np.log10(4072.001 / 100))
    assert found["rmse_hu"] == pytest.approx(100 * np.sqrt(body.mean()))
    assert found["ssim_body"] < found["ssim"]


def test_ssim_of_a_body_that_fills_the_image_is_ssim():
    # With the border, where the window does not fit, it would be another.
    rng = np.random.default_rng(0)
    truth = 40.0 + 30 * np.sin(X / 7.0)
    found = values(truth, truth + rng.normal(0, 80, truth.shape))
    assert found["ssim_body"] == pytest.approx(found["ssim"], rel=1e-12)
    assert found["psnr_body"] == pytest.approx(found["psnr"], rel=1e-12)


def test_without_a_body_there_is_nothing_to_measure_in_it():
    truth = np.full((40, 40), -1000.0)
    found = values(truth, truth + 5.0)
    assert [found[name] for name in ("psnr_body", "ssim_body", "rmse_hu_body")] == [None] * 3
    assert found["rmse_hu"] == pytest.approx(5.0)


def test_a_row_has_each_metric_of_its_own_function():
    rng = np.random.default_rng(0)
    truth = slice_hu()
    image = truth + rng.normal(0, 40, truth.shape)
    found = values(truth, image)
    pair = [(hu + 1001.001) / SCALE.slope for hu in (truth, image)]
    assert found["dival_psnr"] == metrics.dival_psnr(*pair)
    assert found["ssim"] == pytest.approx(metrics.ssim(*pair))
    assert found["ms_ssim"] == structural_similarity.multiscale_ssim(*map(structural_similarity.scales, pair))
    assert 0 < found["vif"] < 1
    assert found["ms_ssim"] > found["ssim"], "noise is averaged away at coarser scales"


def test_edges_of_the_couch_do_not_count():
    truth = Truth((slice_hu() + 1001.001) / 4072.001, SCALE, CONFIG)
    middles = np.concatenate([one.rows[:, 3, one.rows.shape[2] // 2] for one in truth.edges])
    assert len(middles) > 5
    assert middles.max() < 168, "the couch begins at 175"
