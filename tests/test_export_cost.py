"""What an export's lower precision costs: measured on images that it was not calibrated on, with the right sign."""

import keras
import numpy as np
import pytest

from wgan_vgg import config
from wgan_vgg.exporters.precision import Samples, cost, find_samples
from wgan_vgg.hu import HuMapping
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.models import build_generator


def test_decibels_that_are_lost_are_positive():
    # Truth .3, input .4, which the exact generator gives back (20 dB); the export is 400 HU = .1 further off (14 dB).
    generator = build_generator(config.GeneratorConfig(layers=2, filters=2))
    for layer in (one for one in generator.layers if isinstance(one, keras.layers.Conv2D)):
        kernel = np.zeros(layer.kernel.shape, np.float32)
        kernel[1, 1, 0, 0] = 1
        layer.set_weights([kernel, np.zeros(layer.bias.shape)])
    normal = np.full((16, 16, 1), 0.3, np.float32)
    found = cost(lambda hu: hu + 400, generator, HuMapping(4000.0, -1000.0), Samples([], [normal + 0.1], [normal], "s"))
    assert found["hu_mean"] == pytest.approx(400, rel=1e-4)
    assert (found["psnr_float32"], found["psnr"]) == (pytest.approx(20.0, abs=1e-3), pytest.approx(13.979, abs=1e-2))
    assert found["psnr_cost_db"] == pytest.approx(6.0206, abs=1e-2)


def test_calibrated_on_training_measured_on_test(data_dir):
    samples, data = find_samples("int8", data_dir, HuMapping(4072.0, -1001.0), None), DataSet.open(data_dir)
    np.testing.assert_array_equal(samples.calibration, data.first("train", 32)[0])
    np.testing.assert_array_equal(samples.low_dose, data.first("test", 32)[0])
