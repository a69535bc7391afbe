"""The classical denoisers, their tuning, and what is kept of them."""

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from conftest import smooth_images
from scipy import ndimage

from wgan_vgg import input_pipeline
from wgan_vgg.config import EvaluationConfig, VggConfig
from wgan_vgg.config.baselines import BASELINES
from wgan_vgg.evaluation import baselines, evaluator, metrics, perceptual, references
from wgan_vgg.evaluation.grid_search import search
from wgan_vgg.evaluation.parallel import workers
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import ReferencesDir

CONFIG = EvaluationConfig(tuning_images=4, perceptual=False)
FEW = EvaluationConfig(baselines=("gaussian", "tv"), tuning_images=4, perceptual=False)


@pytest.fixture(scope="module")
def data(data_dir):
    return DataSet.open(data_dir)


@pytest.fixture(scope="module")
def chosen(data):
    return baselines.tune(data, CONFIG.baselines, CONFIG)


@pytest.mark.parametrize("name", BASELINES)
def test_each_baseline_denoises_and_is_the_same_each_time(name, chosen):
    truth = smooth_images(4, 32, seed=9)
    noisy = truth + np.random.default_rng(0).normal(0, 0.1, truth.shape).astype(np.float32)
    with workers() as pool:
        outputs = baselines.apply(name, chosen[name]["parameters"], noisy, pool)
        again = baselines.apply(name, chosen[name]["parameters"], noisy, pool)
    assert (outputs.shape, outputs.dtype) == (truth.shape, np.float32)
    gains = [metrics.psnr(t, o) - metrics.psnr(t, n) for t, o, n in zip(truth, outputs, noisy, strict=True)]
    assert np.mean(gains) > 4.0
    np.testing.assert_array_equal(outputs, again)


def test_bilateral_without_a_range_is_a_gaussian_filter():
    # scikit-image's is 4 dB from it, see baselines.bilateral.
    image = np.random.default_rng(0).normal(0.2, 0.1, (33, 40))
    expected = ndimage.gaussian_filter(image, 1.5, truncate=3.0, mode="reflect")
    np.testing.assert_allclose(baselines.bilateral(image, 1e6, 1.5), expected, atol=1e-6)


def test_bilateral_is_what_its_definition_says():
    # A pair that was weighed for one of its pixels only, or twice, is seen at once.
    rng = np.random.default_rng(0)
    image, sigma, pixels, reach = rng.normal(0.3, 0.1, (9, 11)), 0.12, 0.8, 3
    padded = np.pad(image, reach, mode="symmetric")
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    expected = np.zeros_like(image)
    for row, column in np.ndindex(image.shape):
        around = padded[row : row + 2 * reach + 1, column : column + 2 * reach + 1]
        weights = np.exp(-((around - image[row, column]) ** 2) / (2 * sigma**2) - (x**2 + y**2) / (2 * pixels**2))
        expected[row, column] = np.sum(weights * around) / np.sum(weights)
    np.testing.assert_allclose(baselines.bilateral(image, sigma, pixels), expected, atol=1e-6)


def test_bilateral_keeps_an_edge_that_is_higher_than_its_range():
    image = np.zeros((20, 20))
    image[:, 10:] = 1.0
    np.testing.assert_allclose(baselines.bilateral(image, 0.1, 1.5), image, atol=1e-6)


def test_tuning_takes_the_best_of_the_grid_and_reads_the_validation_split_only(data, monkeypatch):
    read = []
    paths = input_pipeline.shard_paths
    monkeypatch.setattr(input_pipeline, "shard_paths", lambda *call: read.append(call[2]) or paths(*call))
    progress = []
    result = baselines.tune(data, FEW.baselines, FEW, lambda *now: progress.append(now))
    assert set(read) == {"validation"}
    assert progress[-1] == ("tune baselines", 2, 2)
    low_dose, truth = (part.numpy()[..., 0] for part in data.first("validation", 4))
    quality = {
        sigma: np.mean(
            [
                metrics.psnr(t, np.maximum(ndimage.gaussian_filter(n, sigma), 0))
                for t, n in zip(truth, low_dose, strict=True)
            ]
        )
        for sigma in FEW.gaussian_sigma_pixels
    }
    assert result["gaussian"]["parameters"]["sigma_pixels"] == max(quality, key=quality.get)
    assert result["gaussian"]["psnr"] == pytest.approx(max(quality.values()), abs=1e-3)
    # The strength is in units of the noise, which is .1 here.
    weights = [factor * 0.1 for factor in FEW.tv_weight]
    assert min(abs(result["tv"]["parameters"]["weight"] / weight - 1) for weight in weights) < 0.03


def test_a_grid_whose_end_is_the_best_is_widened_until_the_best_lies_inside():
    seen = []

    def quality(parameters):
        seen.append(tuple(parameters.values()))
        return -abs(np.log(parameters["a"] / 9.0)) - abs(np.log(parameters["b"] / 0.2)) + parameters["fixed"]

    best, value = search(quality, {"a": (1.0, 2.0), "fixed": (5.0,), "b": (0.5, 1.0, 2.0)}, {})
    assert best == {"a": 8.0, "fixed": 5.0, "b": 0.25}
    assert value == pytest.approx(5 - np.log(9 / 8) - np.log(0.25 / 0.2))
    assert len(seen) == len(set(seen)), "each point is looked at once"
    assert 16.0 in {a for a, *_ in seen}, "beyond the best one"


def test_a_grid_grows_no_further_than_its_end():
    seen = []
    best, value = search(
        lambda parameters: seen.append(parameters["a"]) or parameters["a"], {"a": (1.0, 2.0)}, {}, {"a": 10.0}
    )
    assert (best, value, seen) == ({"a": 8.0}, 8.0, [1.0, 2.0, 4.0, 8.0])
    best, _ = search(lambda parameters: parameters["a"], {"a": (2.0, 1.0)}, {}, {"a": 10.0})
    assert best == {"a": 8.0}, "values in any order"


def test_no_filter_grows_without_bound_on_an_input_that_is_no_noisy_copy_of_the_truth(data, monkeypatch):
    # As of the notebook's: its rescaled images made the bilateral filter wider until a step of tuning took minutes.
    truth = np.full((4, 32, 32, 1), 0.2, np.float32)
    low_dose = (np.arange(4 * 32 * 32).reshape(truth.shape) % 7 / 7).astype(np.float32)
    monkeypatch.setattr(DataSet, "first", lambda *_: (tf.constant(low_dose), tf.constant(truth)))
    names = ("gaussian", "bilateral")
    chosen = baselines.tune(data, names, CONFIG)
    assert 6 < chosen["gaussian"]["parameters"]["sigma_pixels"] <= 10
    assert 2.5 < chosen["bilateral"]["parameters"]["sigma_pixels"] <= 10


def test_other_kinds_are_tried_at_the_best_point_and_searched_from_there():
    seen = []

    def quality(parameters):
        seen.append((parameters["a"], parameters["kind"]))
        best = {8: 2.0, 16: 4.0}[parameters["kind"]]
        return -abs(np.log(parameters["a"] / best)) + parameters["kind"] / 8

    best, value = search(quality, {"a": (1.0, 2.0, 4.0)}, {"kind": (8, 16)})
    assert (best, value) == ({"a": 4.0, "kind": 16}, 2.0)
    assert seen == [(1, 8), (2, 8), (4, 8), (2, 16), (1, 16), (4, 16), (8, 16)]


def test_bm3d_takes_the_size_that_suits_its_noise():
    # On white noise a variance model of 8x8 loses to one of 16x16.
    truth = smooth_images(3, 48, seed=2)
    noisy = truth + np.random.default_rng(1).normal(0, 0.1, truth.shape).astype(np.float32)
    with workers() as pool:
        quality = [
            np.mean(
                [
                    metrics.psnr(t, o)
                    for t, o in zip(
                        truth,
                        baselines.apply("bm3d", {"sigma": 0.1, "fft_size": size}, noisy, pool),
                        strict=True,
                    )
                ]
            )
            for size in (8, 16)
        ]
    assert quality[1] > quality[0]


def test_a_baselines_result_does_not_depend_on_the_number_of_workers(chosen):
    noisy = smooth_images(5, 32, seed=4) + np.random.default_rng(0).normal(0, 0.1, (5, 32, 32)).astype(np.float32)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(3) as three:
        for name in BASELINES:
            outputs = [baselines.apply(name, chosen[name]["parameters"], noisy, pool) for pool in (one, three)]
            np.testing.assert_array_equal(*outputs, err_msg=name)


def test_no_baseline_is_darker_than_a_network_can_be():
    noisy = np.random.default_rng(0).normal(0, 0.1, (1, 16, 16)).astype(np.float32)
    with workers() as pool:
        assert baselines.apply("gaussian", {"sigma_pixels": 0.3}, noisy, pool).min() == 0.0


def test_a_baseline_whose_package_is_missing_is_left_out_by_name(data, monkeypatch, tmp_path):
    monkeypatch.setattr(baselines.importlib.util, "find_spec", lambda name: None if name in ("bm3d", "pywt") else True)
    assert baselines.missing(CONFIG.baselines) == ["wavelet", "bm3d"]
    config = EvaluationConfig(baselines=("gaussian", "bm3d"), tuning_images=2, perceptual=False)
    result = references.evaluated_references(data, "test", config, None, ReferencesDir(tmp_path), None)
    assert list(result["methods"]) == ["noisy input", "gaussian"]
    assert result["missing"] == ["bm3d"]


def test_references_are_made_once_a_data_set_and_anew_for_other_settings(data, tmp_path, monkeypatch):
    folder = ReferencesDir(tmp_path)
    made = []
    evaluate, tune = references._evaluate_all, baselines.tune
    monkeypatch.setattr(references, "_evaluate_all", lambda *args: made.append("evaluate") or evaluate(*args))
    monkeypatch.setattr(baselines, "tune", lambda *args, **more: made.append("tune") or tune(*args, **more))
    first = references.evaluated_references(data, "test", FEW, None, folder, None)
    assert made == ["tune", "evaluate"]
    assert references.evaluated_references(data, "test", FEW, None, folder, None) == first
    assert made == ["tune", "evaluate"]
    windows = EvaluationConfig(baselines=FEW.baselines, tuning_images=4, perceptual=False, windows=("lung",))
    references.evaluated_references(data, "test", windows, None, folder, None)
    assert made == ["tune", "evaluate", "evaluate"], "other metrics need no other tuning"
    grid = EvaluationConfig(baselines=FEW.baselines, tuning_images=4, perceptual=False, tv_weight=(1.0,))
    references.evaluated_references(data, "train", grid, None, folder, None)
    assert made[3:] == ["tune", "evaluate"]


def test_perceptual_distance_is_of_the_named_layer_and_weights():
    vgg = VggConfig(weights="random", before_relu=True)
    some = perceptual.build(EvaluationConfig(perceptual_every=3), vgg)
    assert some.description.endswith("block3_conv4, one image of 3")
    distance = perceptual.build(EvaluationConfig(), vgg)
    assert distance.description == "random VGG19 features (seeded He-normal, not ImageNet), block3_conv4"
    images = smooth_images(2, 32, seed=1)
    features = distance.features(images)
    assert (features.shape, features.numpy().min()) == ((2, 8, 8, 256), 0), "after the ReLU, whatever the loss takes"
    assert distance.distances(features, images) == [0.0, 0.0]
    other = distance.features(images + 0.1)
    expected = np.mean(np.square(features.numpy() - other.numpy()), axis=(1, 2, 3))
    np.testing.assert_allclose(distance.distances(features, images + 0.1), expected, rtol=1e-4)


class Brightness:
    """Stands in for VGG: its one feature is the image."""

    description = identity = "brightness"

    def features(self, images):
        return images

    def distances(self, truth, images):
        return np.mean(images - truth, axis=(1, 2)).tolist()


def test_one_image_of_so_many_has_a_perceptual_distance_across_batches(data, monkeypatch, tmp_path):
    monkeypatch.setattr(evaluator, "_BATCH_IMAGES", 4)
    config = EvaluationConfig(baselines=(), perceptual_every=5)
    rows = references.evaluated_references(data, "test", config, Brightness(), ReferencesDir(tmp_path), None)["rows"]
    assert [number for number, row in enumerate(rows) if row["perceptual"] is not None] == [0, 5, 10]
    record = list(data.records("test").as_numpy_iterator())[5]
    assert rows[5]["perceptual"] == pytest.approx(np.mean(record["low_dose"] - record["normal_dose"]), abs=1e-6)


def test_without_vgg_weights_there_is_no_distance_and_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        assert perceptual.build(EvaluationConfig(), VggConfig(weights="/nowhere.h5")) is None
    assert "no perceptual distance: vgg_weights=/nowhere.h5: no such file" in caplog.text
