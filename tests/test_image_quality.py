"""Flat regions, noise texture, HU windows and the accumulator against closed forms that wrong versions miss."""

import numpy as np
import pytest
from scipy import ndimage

from data_prep import phantoms
from wgan_vgg.config import EvaluationConfig
from wgan_vgg.config.baselines import BASELINES
from wgan_vgg.evaluation import flat_regions, metrics, noise_texture
from wgan_vgg.evaluation.accumulator import Accumulator
from wgan_vgg.evaluation.image_measures import Scale, Truth, measure

SCALE = Scale(4072.001, -1001.001, 2.0)
CONFIG = EvaluationConfig()


def finder(image_hu, **changes):
    settings = {"count": 4, "side": 8, "min_hu": -300.0, "max_step_hu": 50.0} | changes
    return flat_regions.find_flat_regions(image_hu, **settings)


@pytest.mark.parametrize("z", [0.35, 0.5, 0.8])
def test_flat_regions_of_a_phantom_hold_no_step(z):
    image = phantoms.render_slice(phantoms.make_patient(0, 1), z, 256)
    found = finder(image, side=12)
    assert len(found) == 4
    smooth = ndimage.gaussian_filter(image, 2.0)
    for square in found:
        assert np.ptp(smooth[square]) < 75.0
        assert smooth[square].min() > -300.0


def test_flat_regions_do_not_overlap_and_avoid_air_and_edges():
    image = np.full((40, 40), -1000.0)
    image[8:32, 4:36] = 50.0
    image[:, 20:] += 100.0  # an edge through the tissue
    taken = np.zeros((40, 40), int)
    found = finder(image, count=9)
    for region in found:
        taken[region] += 1
        assert np.ptp(image[region]) == 0
        assert image[region].min() > 0
    assert (len(found) >= 2, taken.max()) == (True, 1)
    assert finder(np.full((40, 40), -1000.0)) == []
    assert finder(image, side=41) == []


def test_flat_regions_are_found_in_noise_and_are_no_quieter_than_it():
    # The flattest squares first: their standard deviation would be 36 HU.
    image = np.full((362, 362), 40.0) + np.random.default_rng(0).normal(0, 40, (362, 362))
    found = finder(image, count=8, side=22)
    assert len(found) == 8
    assert flat_regions.standard_deviation(flat_regions.cut(image, found)) == pytest.approx(40, rel=0.03)


def test_shading_is_no_noise():
    y, x = np.mgrid[:16, :16].astype(float)
    shaded = np.stack([3 * x - 2 * y + 0.4 * x * y, 100 - 0.2 * x**2 + y**2])
    assert flat_regions.standard_deviation(shaded) == pytest.approx(0, abs=1e-9)
    noise = np.random.default_rng(0).normal(0, 5, (400, 16, 16))
    # Divided by all 256 pixels instead of 256 - 6 degrees of freedom it would be 4.94.
    assert flat_regions.standard_deviation(noise + shaded[0]) == pytest.approx(5.0, rel=0.006)


def test_bias_and_standard_deviation_are_those_that_were_added():
    rng = np.random.default_rng(0)
    truth = np.full((4, 16, 16), 40.0) + rng.normal(0, 5, (4, 16, 16))
    assert flat_regions.bias(truth, truth + 10.0) == pytest.approx(10.0)
    assert flat_regions.bias(truth, truth - 10.0) == pytest.approx(-10.0)
    # The mean level differs from square to square: a deviation over all of them would be far larger.
    squares = rng.normal(0, 3, (50, 16, 16)) + 1000 * np.arange(50)[:, None, None]
    assert flat_regions.standard_deviation(squares) == pytest.approx(3.0, rel=0.02)


def test_noise_power_integrates_to_the_variance():
    squares = np.random.default_rng(0).normal(50.0, 20.0, (5, 16, 16))
    pixel = 0.7
    spectrum = noise_texture.power_spectrum(squares, pixel)
    step = 1 / (16 * pixel)
    assert spectrum.sum() * step**2 == pytest.approx(np.mean(np.var(squares, axis=(1, 2))))
    assert spectrum[0, 0] == pytest.approx(0.0)


def test_white_noise_has_a_flat_spectrum_however_many_squares():
    pixel, sigma = 0.5, 20.0
    squares = np.random.default_rng(1).normal(0.0, sigma, (2000, 16, 16))
    frequencies, power = noise_texture.radial_average(noise_texture.power_spectrum(squares, pixel), pixel)
    # |mean DFT|^2 instead of the mean of |DFT|^2 would be 2000 times less.
    np.testing.assert_allclose(power, sigma**2 * pixel**2, rtol=0.03)
    np.testing.assert_allclose(frequencies, np.arange(1, 9) / (16 * pixel))
    assert frequencies[-1] == 1 / (2 * pixel)


def test_filtered_noise_has_the_filters_spectrum():
    side, sigma = 16, 10.0
    noise = np.random.default_rng(2).normal(0.0, sigma, (3000, side, side))
    kernel = np.array([0.25, 0.5, 0.25])  # frequency response cos^2(pi f)
    for axis in (1, 2):
        noise = ndimage.convolve1d(noise, kernel, axis, mode="wrap")
    response = np.cos(np.pi * np.fft.fftfreq(side)) ** 2
    expected = sigma**2 * (response[:, None] * response) ** 2
    expected[0, 0] = 0.0
    np.testing.assert_allclose(noise_texture.power_spectrum(noise, 1.0), expected, rtol=0.12, atol=sigma**2 * 1e-3)


def test_texture_distance_sees_where_the_power_is_and_not_how_much():
    white = np.ones((8, 8))
    white[0, 0] = 0.0
    assert noise_texture.texture_distance(white, 9 * white) == pytest.approx(0.0)
    along, across = np.zeros((8, 8)), np.zeros((8, 8))
    along[0, 1] = along[0, -1] = 1.0
    across[3, 0] = across[-3, 0] = 5.0
    assert noise_texture.texture_distance(along, across) == pytest.approx(1.0)
    half = along / 2 + across / 10  # half of its power where `along` has all
    assert noise_texture.texture_distance(along, half) == pytest.approx(0.5)
    assert noise_texture.texture_distance(white, 0 * white) is None
    assert noise_texture.texture_distance(white, 1e-12 * white) is None, "what detrending leaves of a constant image"


def test_noise_power_distance_sees_how_much_and_where():
    def ring(power, at=3, rings=8):
        return {"frequency": np.arange(1, rings + 1).tolist(), "power": [power * (n == at) for n in range(rings)]}

    found = [noise_texture.noise_power_distance(ring(2.0), one) for one in (ring(2.0), ring(0.0), ring(4.0), ring(6.0))]
    assert found == [0.0, 1.0, 1.0, 2.0]
    # The ring of frequency 4 has its power at 8 instead: what is missing, and the same over a ring twice as long.
    assert noise_texture.noise_power_distance(ring(2.0), ring(2.0, at=7)) == pytest.approx(1 + 2)
    flat = {"frequency": np.arange(1, 9).tolist()}
    truth, found = flat | {"power": [3] * 4 + [0] * 4}, flat | {"power": [3, 3, 3, 0, 6, 0, 0, 0]}
    # 3 * 4 are missing and 6 * 5 too much, of 3 * (1 + 2 + 3 + 4); rings of one weight would give 9 of 12.
    assert noise_texture.noise_power_distance(truth, found) == pytest.approx(1.4)
    assert noise_texture.noise_power_distance(ring(2.0, rings=7), ring(2.0, rings=7)) is None, "squares of 15 pixels"
    assert noise_texture.noise_power_distance(ring(0.0), ring(2.0)) is None
    assert noise_texture.noise_power_distance(ring(2.0), None) is None


def test_windows_clip_at_level_and_width():
    window = metrics.in_window(np.array([-200.0, -160.0, 40.0, 240.0, 900.0]), "soft_tissue")
    np.testing.assert_allclose(window, [0.0, 0.0, 0.5, 1.0, 1.0])
    # 20 HU off within a window 400 HU wide: 5 % of the range, 26.02 dB.
    pair = (metrics.in_window(np.full((12, 12), hu), "soft_tissue") for hu in (40.0, 60.0))
    assert metrics.psnr(*pair) == pytest.approx(20 * np.log10(400 / 20))


def test_every_baseline_of_the_registry_is_taken_unless_some_are_named():
    assert tuple(BASELINES) == CONFIG.baselines


def measured_by(image, truth, *, in_hu=True, config=CONFIG):
    """An image's row, and the summary of two patients who have this image alone."""
    collected, seen = Accumulator(SCALE, config, in_hu=in_hu), Truth(truth, SCALE, config)
    measured = measure(seen, image, in_hu=in_hu)
    for patient in ("p", "q"):
        collected.add(seen, image, patient, measured)
    return measured.values, collected.summary()


def disc(size=256):
    y, x = np.mgrid[0:size, 0:size] - size / 2
    texture = np.random.default_rng(3).normal(0, 0.002, (size, size))
    return np.where(np.hypot(x, y) < 0.4 * size, 0.26, 0.0) + texture


def test_a_shift_is_distinguished_from_a_blur():
    truth = disc()
    shifted, pooled = measured_by(truth + 10 / SCALE.slope, truth)
    assert (shifted["rmse_hu"], shifted["bias_hu"]) == (pytest.approx(10.0), pytest.approx(10.0))
    assert shifted["std_hu"] == pytest.approx(0.002 * SCALE.slope, rel=0.15)
    assert pooled["means"]["texture_distance"] == pytest.approx(0.0, abs=1e-9)
    blurred, smooth = measured_by(ndimage.gaussian_filter(truth, 1.5), truth)
    assert abs(blurred["bias_hu"]) < 2.0
    assert blurred["std_hu"] < shifted["std_hu"] / 3
    assert smooth["means"]["texture_distance"] > 0.3
    # The disc's border is an edge of more than 400 HU; there are no others.
    assert smooth["edges"][-1]["mean"] > pooled["edges"][-1]["mean"] + 1.0
    assert [found["edges"] > 0 for found in pooled["edges"]] == [False, False, True]


def test_noise_power_is_of_the_judged_image_and_in_mm():
    truth = disc()
    pooled = measured_by(truth + np.random.default_rng(4).normal(0, 0.02, truth.shape), truth)[1]
    step = 1 / (16 * SCALE.pixel_mm)
    np.testing.assert_allclose(pooled["noise_power"]["frequency"], np.arange(1, 9) * step)
    # White noise of 81 HU and pixels of 2 mm.
    assert np.mean(pooled["noise_power"]["power"]) == pytest.approx((0.0201 * SCALE.slope * 2.0) ** 2, rel=0.3)


def test_a_rescaled_image_has_no_hu():
    truth = disc()
    values, pooled = measured_by(truth * 2, truth, in_hu=False, config=EvaluationConfig(windows=("lung",)))
    undefined = ("rmse_hu", "bias_hu", "std_hu", "rmse_hu_body", "psnr_lung", "ssim_lung")
    assert [values[name] for name in undefined] == [None] * 6
    assert [pooled["means"][name] for name in undefined] == [None] * 6
    assert pooled["noise_power"] is None
    assert pooled["means"]["texture_distance"] == pytest.approx(0.0, abs=1e-9), "texture has no scale"
    assert values["psnr"] > 0


def test_a_window_in_which_the_slice_is_constant_has_no_metrics():
    # Of a slice of air both images are cut off at the window's end: equal there, and their PSNR was infinite.
    config = EvaluationConfig(windows=("soft_tissue",))
    truth = np.full((16, 16), 0.001)
    values, pooled = measured_by(truth + 0.01, truth, config=config)
    assert (values["psnr_soft_tissue"], values["ssim_soft_tissue"]) == (None, None)
    assert pooled["means"]["psnr_soft_tissue"] is None


def test_the_truth_itself_is_at_no_distance_from_its_texture():
    # Noise that the normal dose has of its own counts in both.
    truth = disc()
    pooled = measured_by(truth, truth)[1]
    assert pooled["means"]["texture_distance"] == 0
    assert noise_texture.noise_power_distance(pooled["noise_power"], pooled["noise_power"]) == 0


def test_an_image_with_nothing_flat_and_no_edge_still_has_a_psnr():
    truth = np.zeros((16, 16))
    values, pooled = measured_by(truth + 0.1, truth)
    assert values["psnr"] == pytest.approx(20.0)
    assert (values["bias_hu"], pooled["edges"][-1]["mean"], pooled["noise_power"]) == (None, None, None)
