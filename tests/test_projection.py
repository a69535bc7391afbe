"""Projections against analytic ones, where things end up on the detector and in the image, noise, and files."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from data_prep import lodopab, low_dose
from data_prep.errors import InputError
from data_prep.fourier_slice import polar_spectrum
from data_prep.geometry import Geometry
from data_prep.phantoms import make_patient, render_slice
from data_prep.projection import (
    LEAST_COUNT,
    MU_MAX,
    MU_WATER,
    filtered_backprojection,
    forward_projection,
    low_dose_observation,
)

COARSE = Geometry().coarser(5)  # (200, 103)
TINY = Geometry(num_angles=12, num_detectors=17)
SIDE = COARSE.image_side_m
WATER = MU_WATER / MU_MAX


def middles(size):
    """Coordinate of each pixel's middle along either axis, in metres from the middle of the image."""
    return (np.arange(size) + 0.5) * (SIDE / size) - SIDE / 2


def disc(size, x, y, radius, value=WATER):
    """A disc whose border pixels are partly covered: float32 (size, size); lengths in metres."""
    fine = middles(size * 8)
    inside = (fine[:, None] - x) ** 2 + (fine - y) ** 2 < radius**2
    return (value * inside.reshape(size, 8, size, 8).mean(axis=(1, 3))).astype(np.float32)


def chords(geometry, x, y, radius, value=WATER):
    """The disc's line integrals, in closed form: (num_angles, num_detectors)."""
    trace = x * np.cos(geometry.angles) + y * np.sin(geometry.angles)
    distance = geometry.detectors - trace[:, None]
    return 2 * value * MU_MAX * np.sqrt(np.maximum(radius**2 - distance**2, 0))


def centre_of_mass(image):
    """Row and column of the centre of what rises above half the maximum."""
    return np.array(ndimage.center_of_mass(image > image.max() / 2))


@pytest.mark.parametrize("geometry", [COARSE, Geometry(num_angles=90, num_detectors=128)])
@pytest.mark.parametrize("size", [180, 181])
def test_projection_of_an_off_centre_disc_is_its_chords(geometry, size):
    """Even and odd numbers of pixels and detectors: an origin off by half of either shifts the disc."""
    position = {"x": 0.05, "y": -0.03, "radius": 0.06}
    projection = forward_projection(disc(size, **position), geometry)
    expected = chords(geometry, **position)

    assert projection.shape == geometry.shape
    assert projection.dtype == np.float32
    assert np.sqrt(np.mean((projection - expected) ** 2)) < 0.01 * expected.max()
    # Away from the rim, where a pixel's width decides, every single ray is right.
    inner = expected > 0.6 * expected.max()
    np.testing.assert_allclose(projection[inner], expected[inner], rtol=0.01)
    # Per angle the sum is the image's mass, whatever the shape.
    mass = disc(size, **position).sum() * (SIDE / size) ** 2 * MU_MAX
    np.testing.assert_allclose(projection.sum(axis=1) * geometry.detector_spacing, mass, rtol=0.005)


def test_projection_follows_the_trace_and_no_other_orientation():
    """s = x cos + y sin with angle (k + 1/2) pi / N; transposed, flipped or turned it would be elsewhere."""
    x, y = 0.07, 0.03
    geometry = Geometry(num_angles=40, num_detectors=257)
    projection = forward_projection(disc(128, x, y, 0.008, 1.0), geometry)
    centre = projection @ geometry.detectors / projection.sum(axis=1)

    def error(x, y, first_angle=0.5):
        angles = (np.arange(40) + first_angle) * np.pi / 40
        return np.abs(centre - x * np.cos(angles) - y * np.sin(angles)).max()

    assert error(x, y) < 1e-4
    for wrong in ((y, x), (-x, y), (x, -y), (-x, -y), (x, y, 0.0), (x, y, 1.0)):
        assert error(*wrong) > 1e-3, wrong


@pytest.mark.parametrize("size", [100, 101])
def test_reconstruction_has_the_right_place(size):
    x, y = 0.07, 0.03
    image = disc(100, x, y, 0.02, 0.5)
    found = centre_of_mass(filtered_backprojection(forward_projection(image, COARSE) / MU_MAX, COARSE, size))

    def distance(x, y):
        return np.abs(found - (np.array([x, y]) / (SIDE / size) + (size - 1) / 2)).max()

    assert distance(x, y) < 0.25
    for wrong in ((y, x), (-x, y), (x, -y), (-x, -y)):
        assert distance(*wrong) > 10, wrong


@pytest.mark.parametrize("filter_name", ["ram-lak", "hann"])
def test_reconstruction_has_the_right_value(filter_name):
    """Water and, within it, something denser; outside both zero: a ramp that is zero at frequency 0 shifts them."""
    image = disc(160, 0.02, 0.01, 0.09) + disc(160, 0.05, -0.02, 0.025, 0.2)
    found = filtered_backprojection(forward_projection(image, COARSE) / MU_MAX, COARSE, 120, filter_name)
    x, y = middles(120)[:, None], middles(120)
    from_water, from_dense = np.hypot(x - 0.02, y - 0.01), np.hypot(x - 0.05, y + 0.02)
    water, dense, air = (from_water < 0.08) & (from_dense > 0.035), from_dense < 0.017, from_water > 0.1

    assert found.shape == (120, 120)
    assert found.dtype == np.float32
    assert found[water].mean() == pytest.approx(WATER, rel=0.003)
    assert found[dense].mean() == pytest.approx(WATER + 0.2, rel=0.01)
    assert abs(found[air].mean()) < 0.003 * WATER
    assert found[water].std() < 0.01 * WATER


def test_reconstruction_is_exact_from_analytic_projections():
    """Not through our own forward projection, whose mistakes could cancel."""
    observation = chords(COARSE, 0.03, -0.04, 0.07) / MU_MAX
    found = filtered_backprojection(observation.astype(np.float32), COARSE, 100)
    inside = np.hypot(middles(100)[:, None] - 0.03, middles(100) + 0.04) < 0.06

    np.testing.assert_allclose(found[inside], WATER, rtol=0.02)
    assert found[inside].mean() == pytest.approx(WATER, rel=0.003)


def test_an_image_that_fills_the_square_is_reconstructed_to_its_corners():
    """The outermost pixels look beyond the middle of the last of few detectors."""
    geometry = Geometry(num_angles=120, num_detectors=41)
    found = filtered_backprojection(
        forward_projection(np.full((60, 60), WATER, np.float32), geometry) / MU_MAX, geometry, 60
    )
    assert found[20:40, 20:40].mean() == pytest.approx(WATER, rel=0.005)
    for corner in (found[:4, :4], found[:4, -4:], found[-4:, :4], found[-4:, -4:]):
        assert corner.mean() == pytest.approx(WATER, rel=0.25)


def test_polar_spectrum_is_the_fourier_sum():
    image = np.random.default_rng(0).standard_normal((23, 23), dtype=np.float32)
    angles, frequency = np.array([0.0, 0.4, 1.7, 2.9, np.pi]), np.array([0.0, 0.013, 0.21, 0.4999, 0.5])
    i = np.arange(23) - 11
    along = np.cos(angles)[:, None, None] * i[:, None] + np.sin(angles)[:, None, None] * i
    expected = np.einsum("ij,afij->af", image, np.exp(-2j * np.pi * frequency[:, None, None] * along[:, None]))

    assert np.abs(polar_spectrum(image, angles, frequency) - expected).max() < 1e-4 * np.abs(expected).max()


def test_halving_the_dose_doubles_the_variance_of_the_log_data():
    projection = np.full((200, 500), 1.5, np.float32)
    low, high = (
        low_dose_observation(projection, photons, np.random.default_rng(seed)) * MU_MAX
        for photons, seed in ((4096, 1), (8192, 2))
    )
    assert low.var() / high.var() == pytest.approx(2, rel=0.03)
    assert high.var() == pytest.approx(np.exp(1.5) / 8192, rel=0.03)
    for observed in (low, high):
        assert observed.mean() == pytest.approx(1.5, abs=1e-3)


def test_the_unit_of_the_values_is_lodopabs():
    """1 is 3071 HU, with 20 and .02 / m for water and air: 81.35858 / m. A scan and its inverse hide another unit."""
    found = (MU_WATER, MU_MAX, lodopab.HU_SLOPE, lodopab.HU_INTERCEPT)
    assert found == pytest.approx((20.0, 81.35858, 81.35858 / 0.01998, -20 / 0.01998), rel=1e-6)


def test_a_coarser_geometry_has_the_noise_of_the_same_dose():
    """Between 11 mm squares, which all resolve. Unscaled counts give 1.9 and 3.6 times it, n times them 1.3 and 1.8."""
    body = disc(180, 0.0, 0.0, 0.1)
    inside = low_dose.resized(body, 24) > 0.98 * WATER
    noise = {}
    for factor in (1, 2, 4):
        geometry, rng = Geometry().coarser(factor), np.random.default_rng(0)
        clean = forward_projection(body, geometry)
        scans = [low_dose_observation(clean, geometry.counts(4096), rng) for _ in range(2)]
        image = filtered_backprojection(scans[0] - scans[1], geometry, 180, "hann")
        noise[factor] = low_dose.resized(image, 24)[inside].std()
    assert noise[2] / noise[1] == pytest.approx(1, abs=0.2)
    assert noise[4] / noise[1] == pytest.approx(1, abs=0.2)


def test_counts_are_of_the_dose_not_of_the_ray():
    full = Geometry()
    assert full.counts(4096) == 4096
    assert full.coarser(4).counts(4096) == pytest.approx(4096 * (1000 * 513) / (250 * 129))
    wide = dataclasses.replace(full, image_side_m=0.52, detector_half_width_m=2 * full.detector_half_width_m)
    assert wide.counts(100) == pytest.approx(200), "cells of twice the width"
    found = dataclasses.astuple(Geometry.of_image(362, 260 / 362))
    assert found == pytest.approx(dataclasses.astuple(full), rel=1e-7)


def test_no_photon_counts_as_a_tenth_of_one():
    observation = low_dose_observation(np.full((3, 4), 60, np.float32), 4096, np.random.default_rng(0))
    np.testing.assert_array_equal(observation, np.float32(-np.log(LEAST_COUNT / 4096) / MU_MAX))
    assert observation.dtype == np.float32


def test_the_same_generator_state_gives_the_same_noise():
    projection = chords(TINY, 0.01, 0.02, 0.07)
    first, again, other = (low_dose_observation(projection, 4096, np.random.default_rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_geometry_is_lodopabs_and_coarser_keeps_the_scanner():
    geometry = Geometry()
    assert geometry.shape == (1000, 513)
    assert geometry.angles[[0, -1]] == pytest.approx([np.pi / 2000, np.pi - np.pi / 2000])
    assert geometry.detectors[[0, 256, 512]] == pytest.approx([-0.18348938, 0, 0.18348938], abs=1e-8)
    assert geometry.coarser(1) == geometry
    assert geometry.coarser(4) == dataclasses.replace(geometry, num_angles=250, num_detectors=129)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Geometry(num_angles=0), "0 angles and 513 detectors"),
        (lambda: Geometry(image_side_m=0.3), r"image_side_m=0\.3: .*diagonal"),
        (lambda: Geometry().coarser(0), "factor=0"),
        (lambda: forward_projection(np.zeros((4, 5), np.float32), TINY), r"shape \(4, 5\): only square"),
        (lambda: filtered_backprojection(np.zeros((12, 16), np.float32), TINY), r"\(12, 16\): .* \(12, 17\)"),
        (lambda: filtered_backprojection(np.zeros((12, 17)), TINY, filter_name="ramlak"), "'ramlak': .* ram-lak or"),
        (lambda: low_dose_observation(np.zeros(2), 0, np.random.default_rng(0)), "photons=0"),
        (lambda: low_dose_observation(np.zeros(2), float("nan"), np.random.default_rng(0)), "photons=nan"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_full_geometry_brings_a_phantom_back():
    image = lodopab.values_from_hu(render_slice(make_patient(0, 0), 0.4))
    geometry = Geometry()
    found = filtered_backprojection(forward_projection(image, geometry) / MU_MAX, geometry)
    assert abs((found - image).mean()) < 1e-4
    assert np.sqrt(np.mean((found - image) ** 2)) < 0.05 * image.std()
    flat = ndimage.generic_gradient_magnitude(image, ndimage.sobel) < 0.02
    flat = ndimage.binary_erosion(flat & (image > 0.2), iterations=2)
    assert found[flat].mean() == pytest.approx(image[flat].mean(), rel=0.002)
