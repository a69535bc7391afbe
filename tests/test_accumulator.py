"""wgan_vgg.evaluation.accumulator: what the means of a method are taken over."""

import numpy as np
import pytest

from wgan_vgg.config import EvaluationConfig
from wgan_vgg.evaluation.accumulator import Accumulator
from wgan_vgg.evaluation.image_measures import Scale, Truth, measure


def test_means_are_over_images_and_over_the_reports_batches_with_the_last_smaller_one():
    """Fails where means are over patients (30 dB), or where an image that fills no batch is left out (20 dB)."""
    config, scale = EvaluationConfig(report_batch_size=2), Scale(4072.0, -1001.0, 2.0)
    collected, truth = Accumulator(scale, config, in_hu=True), Truth(np.zeros((16, 16)), scale, config)
    for patient, error in (("a", 0.1), ("a", 0.1), ("b", 0.01)):  # 20, 20 and 40 dB
        image = np.full((16, 16), error)
        collected.add(truth, image, patient, measure(truth, image, in_hu=True))
    found = collected.summary()
    assert found["means"]["psnr"] == pytest.approx(80 / 3)
    assert found["patients"]["psnr"] == pytest.approx({"a": 20.0, "b": 40.0})
    assert found["means"]["report_psnr"] == pytest.approx((20 + 40) / 2)
