"""The classical denoisers, their tuning, and what is kept of them."""

import logging

import numpy as np
import pytest
from conftest import smooth_images
from scipy import ndimage

from wgan_vgg.config import EvaluationConfig, VggConfig
from wgan_vgg.evaluation import baselines, metrics, perceptual, references
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import ReferencesDir

CONFIG = EvaluationConfig(bm3d_fft_size=16, tuning_images=4, perceptual=False)
FEW = EvaluationConfig(baselines=("gaussian", "tv"), tuning_images=4, perceptual=False)


@pytest.fixture(scope="module")
def data(data_dir):
    return DataSet.open(data_dir)


@pytest.fixture(scope="module")
def chosen(data):
    return baselines.tune(data, CONFIG.baselines, CONFIG)


@pytest.mark.parametrize("name", baselines.BASELINES)
def test_each_baseline_denoises_and_is_the_same_each_time(name, chosen):
    truth = smooth_images(4, 32, seed=9)
    noisy = truth + np.random.default_rng(0).normal(0, 0.1, truth.shape).astype(np.float32)
    with baselines.workers() as pool:
        outputs = baselines.apply(name, chosen[name]["parameters"], noisy, pool)
        again = baselines.apply(name, chosen[name]["parameters"], noisy, pool)
    assert (outputs.shape, outputs.dtype) == (truth.shape, np.float32)
    gains = [metrics.psnr(t, o) - metrics.psnr(t, n) for t, o, n in zip(truth, outputs, noisy, strict=True)]
    assert np.mean(gains) > 4.0
    np.testing.assert_array_equal(outputs, again)


def test_bilateral_without_a_range_is_a_gaussian_filter():
    # scikit-image's is 4 dB from it, see baselines._bilateral.
    image = np.random.default_rng(0).normal(0.2, 0.1, (33, 40))
    expected = ndimage.gaussian_filter(image, 1.5, truncate=3.0, mode="reflect")
    np.testing.assert_allclose(baselines._bilateral(image, 1e6, 1.5), expected, atol=1e-6)


def test_bilateral_keeps_an_edge_that_is_higher_than_its_range():
    image = np.zeros((20, 20))
    image[:, 10:] = 1.0
    np.testing.assert_allclose(baselines._bilateral(image, 0.1, 1.5), image, atol=1e-12)


def test_tuning_takes_the_best_of_the_grid_and_reads_the_training_split_only(data, monkeypatch):
    read = []
    serialized = DataSet._serialized
    monkeypatch.setattr(DataSet, "_serialized", lambda self, split: read.append(split) or serialized(self, split))
    progress = []
    result = baselines.tune(data, FEW.baselines, FEW, lambda *now: progress.append(now))
    assert set(read) == {"train"}
    assert progress[-1] == (13, 13)
    low_dose, truth = (part.numpy()[..., 0] for part in data.first("train", 4))
    quality = {
        sigma: np.mean(
            [metrics.psnr(t, ndimage.gaussian_filter(n, sigma)) for t, n in zip(truth, low_dose, strict=True)]
        )
        for sigma in FEW.gaussian_sigma_pixels
    }
    assert result["gaussian"]["parameters"]["sigma_pixels"] == max(quality, key=quality.get)
    assert result["gaussian"]["psnr"] == pytest.approx(max(quality.values()), abs=1e-3)
    # The strength is in units of the noise, which is .1 here.
    weights = [factor * 0.1 for factor in FEW.tv_weight]
    assert min(abs(result["tv"]["parameters"]["weight"] / weight - 1) for weight in weights) < 0.03


def test_a_baseline_whose_package_is_missing_is_left_out_by_name(data, monkeypatch, tmp_path):
    monkeypatch.setattr(baselines.importlib.util, "find_spec", lambda name: None if name in ("bm3d", "pywt") else True)
    assert baselines.missing(CONFIG.baselines) == ["wavelet", "bm3d"]
    config = EvaluationConfig(baselines=("gaussian", "bm3d"), tuning_images=2, perceptual=False)
    result = references.judged_references(data, "test", config, None, ReferencesDir(tmp_path))
    assert list(result["methods"]) == ["noisy input", "gaussian"]
    assert result["missing"] == ["bm3d"]


def test_references_are_made_once_a_data_set_and_anew_for_other_settings(data, tmp_path, monkeypatch):
    folder = ReferencesDir(tmp_path)
    made = []
    judge, tune = references._judge, baselines.tune
    monkeypatch.setattr(references, "_judge", lambda *args: made.append("judge") or judge(*args))
    monkeypatch.setattr(baselines, "tune", lambda *args: made.append("tune") or tune(*args))
    first = references.judged_references(data, "test", FEW, None, folder)
    assert made == ["tune", "judge"]
    assert references.judged_references(data, "test", FEW, None, folder) == first
    assert made == ["tune", "judge"]
    windows = EvaluationConfig(baselines=FEW.baselines, tuning_images=4, perceptual=False, windows=("lung",))
    references.judged_references(data, "test", windows, None, folder)
    assert made == ["tune", "judge", "judge"], "other metrics need no other tuning"
    grid = EvaluationConfig(baselines=FEW.baselines, tuning_images=4, perceptual=False, tv_weight=(1.0,))
    references.judged_references(data, "train", grid, None, folder)
    assert made[3:] == ["tune", "judge"]


def test_perceptual_distance_is_of_the_named_layer_and_weights():
    distance = perceptual.build(EvaluationConfig(), VggConfig(weights="random", before_relu=True))
    assert distance.description == "random VGG19 features (seeded He-normal, not ImageNet), block3_conv4"
    images = smooth_images(2, 32, seed=1)
    features = distance.features(images)
    assert features.shape == (2, 8, 8, 256)
    assert distance.distances(features, images) == [0.0, 0.0]
    other = distance.features(images + 0.1)
    expected = np.mean(np.square(features.numpy() - other.numpy()), axis=(1, 2, 3))
    np.testing.assert_allclose(distance.distances(features, images + 0.1), expected, rtol=1e-4)


def test_without_vgg_weights_there_is_no_distance_and_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        assert perceptual.build(EvaluationConfig(), VggConfig(weights="/nowhere.h5")) is None
    assert "no perceptual distance: vgg_weights=/nowhere.h5: no such file" in caplog.text
