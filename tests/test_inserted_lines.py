"""data_prep.noise_insertion, ray by ray: the variance of what a lower dose adds, which settings and values count."""

import dataclasses
import math

import numpy as np
import pytest
from conftest import PREPARE

from data_prep.geometry import Geometry
from data_prep.noise_insertion import NoiseInsertion


def test_what_a_ray_gets_is_the_difference_of_both_doses() -> None:
    lines, geometry = np.full((400, 500), 2.0, np.float32), Geometry()
    counts = 1e4 * math.exp(-2)
    for dose, electronic in ((0.5, 0.0), (0.25, 0.0), (0.25, 30.0)):
        noise = NoiseInsertion(dose, 1e4, electronic).line_noise(lines, geometry, np.random.default_rng(0))
        expected = (1 / dose - 1) / counts + electronic**2 * (1 / dose**2 - 1) / counts**2  # Yu et al. 2012
        assert noise.var() == pytest.approx(expected, rel=0.02)
        assert abs(noise.mean()) < 4 * math.sqrt(expected / noise.size)


def test_a_wide_ray_has_the_electronic_noise_of_all_its_readings() -> None:
    geometry = Geometry(image_side_m=0.52, detector_half_width_m=2 * 0.18384776)  # cells of twice the width
    lines = np.zeros((400, 500), np.float32)
    noise = NoiseInsertion(0.5, 1e4, 1000.0).line_noise(lines, geometry, np.random.default_rng(0))
    # N = 2e4: 1 / N + 2 e^2 (1 / .5^2 - 1) / N^2
    assert noise.var() == pytest.approx(1 / 2e4 + 2 * 1000.0**2 * 3 / 4e8, rel=0.02)


def test_a_ray_without_a_photon_is_taken_for_a_tenth_of_one() -> None:
    lines = np.full((200, 200), 60.0, np.float32)
    noise = NoiseInsertion(0.5, 1e4).line_noise(lines, Geometry(), np.random.default_rng(0))
    assert noise.var() == pytest.approx(10.0, rel=0.05)  # (1 / .5 - 1) / .1


def test_padding_below_air_attenuates_nothing() -> None:
    """Fails where -3024 HU amplifies the rays that cross it: they would have less noise than those in air."""
    hu = np.full((64, 64), -1000.0, np.float32)
    hu[24:40, 24:40] = 0
    padded = hu.copy()
    padded[28:36, 10:16] = -3024
    noise = [NoiseInsertion(0.25, 1e4).add_to_hu(one, 2.0, np.random.default_rng(0)) - one for one in (hu, padded)]
    np.testing.assert_allclose(*noise, atol=1e-3)


def test_a_config_gives_all_its_settings() -> None:
    config = dataclasses.replace(PREPARE, noise="poisson", noise_std=None, projection_coarseness=1, dose=0.5)
    config = dataclasses.replace(config, electronic_noise=7.0, reconstruction_filter="ram-lak")
    assert NoiseInsertion.of(config) == NoiseInsertion(0.5, 4096.0, 7.0, "ram-lak")
