"""Edge rise by contrast: edges of known blur and contrast, in noise."""

import itertools

import numpy as np
import pytest
from scipy import ndimage
from scipy.special import erf

from wgan_vgg import config
from wgan_vgg.evaluation import sharpness

ALL = (1e-6,)  # one class for every contrast
CONTRASTS = (50.0, 200.0, 400.0)  # HU


def step_edge(sigma, angle=0.0, size=64):
    """A step from .2 to .6 through (about) the middle, blurred by a gaussian of `sigma` pixels."""
    y, x = np.mgrid[0:size, 0:size] - size / 2 + 0.3
    return 0.4 + 0.2 * erf((x * np.cos(angle) + y * np.sin(angle)) / (sigma * np.sqrt(2)))


def discs(sigma, contrasts, seed=0, radius=20):
    """256x256 HU: discs by turns of these contrasts, at places that the seed shifts, blurred by `sigma` pixels."""
    rng, image = np.random.default_rng(seed), np.zeros((256, 256))
    y, x = np.mgrid[:256, :256]
    for number, (row, column) in enumerate(itertools.product(range(32, 256, 64), repeat=2)):
        distance = np.hypot(y - row - rng.uniform(-2, 2), x - column - rng.uniform(-2, 2))
        contrast = contrasts[(number + number // 4) % len(contrasts)]
        image += contrast * 0.5 * (1 - erf((distance - radius) / (sigma * np.sqrt(2))))
    return image


def found_rise(image, edges):
    profiles = sharpness.Profiles()
    profiles.add("p", sharpness.profiles(image, [edges])[0])
    return profiles.rise(0.95)["mean"]


@pytest.mark.parametrize("angle", [0.0, 0.5, np.pi / 2, 4.0])
@pytest.mark.parametrize("sigma", [1.0, 1.5])
def test_rise_of_a_gaussian_edge(sigma, angle):
    image = step_edge(sigma, angle)
    (edges,) = sharpness.find_edges(image, contrasts=ALL, count=8, reach=5)
    assert len(edges) >= 3
    assert found_rise(image, edges) == pytest.approx(2.563 * sigma, rel=0.02)


def test_rise_is_measured_at_the_truths_edges():
    (edges,) = sharpness.find_edges(step_edge(0.8), contrasts=ALL, count=8, reach=6)
    blurred = step_edge(1.6)
    assert found_rise(blurred, edges) == pytest.approx(2.563 * 1.6, rel=0.02)
    # Another scale and offset change nothing; an image without the edge has no rise.
    assert found_rise(0.1 + 3 * blurred, edges) == pytest.approx(2.563 * 1.6, rel=0.02)
    assert found_rise(np.zeros((64, 64)), edges) is None
    assert found_rise(-blurred, edges) is None


def test_profiles_are_centred_between_pixels():
    # Centred on whole pixels, the mean profile of this edge would be 5 % wider.
    image = step_edge(0.8, angle=0.78)
    (edges,) = sharpness.find_edges(image, contrasts=ALL, count=12, reach=4)
    assert len(edges) >= 5
    assert found_rise(image, edges) == pytest.approx(2.563 * 0.8, rel=0.02)


def test_edges_are_sorted_by_their_contrast_and_keep_their_distance():
    image = discs(1.0, (100.0, 300.0, 800.0))
    classes = sharpness.find_edges(image, contrasts=CONTRASTS, count=16, reach=5)
    for edges, contrast in zip(classes, (100.0, 300.0, 800.0), strict=True):
        assert len(edges) == 16
        np.testing.assert_allclose(edges.high - edges.low, contrast, rtol=0.03)
        middle = np.stack([part[:, part.shape[1] // 2, part.shape[2] // 2] for part in (edges.rows, edges.columns)], 1)
        distance = np.abs(middle[:, None] - middle).max(axis=-1) + 99 * np.eye(16)
        assert distance.min() > 4, "5 pixels less the shifts to where the truth is half way"
    # The steepest sixteen of all would be those of 800 HU.
    weaker = sharpness.find_edges(image, contrasts=(50.0, 200.0), count=16, reach=5)[0]
    np.testing.assert_allclose(weaker.high - weaker.low, 100, rtol=0.03)
    assert [len(edges) for edges in sharpness.find_edges(image, contrasts=(900.0,), count=16, reach=5)] == [0]


def measured(truth_noise, count, blur, noise):
    """Rises of the truths' own edges and of images blurred by `blur`: of 100 HU and of 800 HU."""
    rng = np.random.default_rng(5)
    own, other = ([sharpness.Profiles() for _ in range(2)] for _ in range(2))
    for number in range(count):
        truth = discs(1.2, (100.0, 800.0), seed=number) + rng.normal(0, truth_noise, (256, 256))
        image = discs(blur, (100.0, 800.0), seed=number) + rng.normal(0, noise, (256, 256))
        classes = sharpness.find_edges(truth, contrasts=(50.0, 400.0), count=16, reach=6)
        for collected, shown in ((own, truth), (other, image)):
            for one, profiles in zip(collected, sharpness.profiles(shown, classes), strict=True):
                one.add(f"patient {number % 4}", profiles)
    return [[one.rise(0.95) for one in collected] for collected in (own, other)]


def test_weak_edges_in_noise_have_their_own_blur():
    # Noise of 30 HU: a single one of these edges of 100 HU cannot be seen to rise.
    (own_weak, own_strong), (weak, strong) = measured(10, 12, blur=2.0, noise=30)
    for found in (weak, strong):
        assert found["edges"] == 12 * 16
        assert found["mean"] == pytest.approx(2.563 * 2.0, rel=0.08)
    assert own_strong["mean"] == pytest.approx(2.563 * 1.2, rel=0.03)
    # The truth's own noise has a part in where its weak edges are the steepest.
    assert 0.85 * 2.563 * 1.2 < own_weak["mean"] < 2.563 * 1.2
    assert weak["high"] - weak["low"] > 2 * (strong["high"] - strong["low"]), "the interval says what noise does"


def test_a_denoiser_that_blurs_weak_edges_alone_is_seen_to():
    truth = discs(1.0, (100.0, 800.0))
    classes = sharpness.find_edges(truth, contrasts=(50.0, 400.0), count=16, reach=6)
    # Bilateral in kind: what differs by less than 300 HU is averaged.
    image = np.where(ndimage.maximum_filter(truth, 15) > 300, truth, ndimage.gaussian_filter(truth, 1.5))
    weak, strong = (found_rise(image, edges) for edges in classes)
    assert strong == pytest.approx(2.563 * 1.0, rel=0.03)
    assert weak == pytest.approx(2.563 * np.hypot(1.0, 1.5), rel=0.05)


def test_a_profile_is_averaged_along_its_edge():
    image = np.random.default_rng(0).normal(0, 1, (64, 64))
    (edges,) = sharpness.find_edges(step_edge(1.0), contrasts=(0.3,), count=8, reach=5)
    # Of single lines it would be 1.
    spread = np.std(sharpness.profiles(image, [edges])[0])
    assert spread == pytest.approx(1 / np.sqrt(7), rel=0.25)


def test_patients_weigh_alike_and_the_interval_is_the_jackknifes():
    x = np.arange(-20, 21) / 4
    one, two, three = (0.5 + 0.5 * erf(x / (sigma * np.sqrt(2))) for sigma in (1.0, 1.5, 1.2))
    profiles = sharpness.Profiles()
    profiles.add("a", np.stack([one] * 9))
    profiles.add("b", two[None])
    profiles.add("c", np.zeros((0, 41)))  # has no such edge
    profiles.add("d", three[None])
    found = profiles.rise(0.95)
    assert found["edges"] == 11
    assert found["mean"] == pytest.approx(sharpness.rise((one + two + three) / 3))
    others = [sharpness.rise(pair / 2) for pair in (two + three, one + three, one + two)]
    error = np.sqrt(2 / 3 * np.sum((others - np.mean(others)) ** 2))
    assert found["high"] - found["mean"] == pytest.approx(4.3027 * error, rel=1e-3)  # Student's t of two degrees


def test_an_image_without_edges_has_none():
    (edges,) = sharpness.find_edges(np.full((32, 32), 0.3), contrasts=ALL, count=4, reach=5)
    assert len(edges) == 0
    profiles = sharpness.Profiles()
    profiles.add("p", sharpness.profiles(np.zeros((32, 32)), [edges])[0])
    assert profiles.rise(0.95) == {"mean": None, "low": None, "high": None, "edges": 0}
    assert len(sharpness.find_edges(np.zeros((12, 12)), contrasts=ALL, count=4, reach=5)[0]) == 0, "no room"


def test_edges_are_looked_for_where_asked():
    left = np.arange(256) < 128
    (edges,) = sharpness.find_edges(
        discs(1.0, (100.0,)), contrasts=(50.0,), count=99, reach=5, within=np.tile(left, (256, 1))
    )
    assert len(edges) > 20
    assert edges.columns[:, :, edges.columns.shape[2] // 2].max() < 128 + 5


def test_classes_must_rise():
    from data_prep.errors import InputError

    with pytest.raises(InputError, match=r"edge_contrasts_hu=.*must rise"):
        config.override(config.preset("report"), {"evaluation.edge_contrasts_hu": (200.0, 50.0)})


def test_a_blurred_edge_is_found():
    # .4 / hypot(2, 2.4) > .36 / hypot(2, 2.5), but below .36 / 2, what a sharp edge would need.
    (edges,) = sharpness.find_edges(step_edge(2.4), contrasts=(0.36,), count=8, reach=5)
    assert len(edges) >= 3


def test_a_rim_is_no_step():
    # Its ends are .5 apart, its range is 1.
    image = np.zeros((64, 64))
    image[:, 32:] = 0.5
    image[:, 32:35] = 1.0
    assert len(sharpness.find_edges(image, contrasts=(0.3,), count=8, reach=5)[0]) == 0
