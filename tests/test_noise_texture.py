"""wgan_vgg.evaluation.noise_texture: over which squares spectra are averaged, and over which rings."""

import numpy as np
import pytest

from wgan_vgg.evaluation.noise_texture import Spectra, power_spectrum, radial_average


@pytest.fixture
def squares():
    """Four of noise that is 1, 2, 3 and 4 HU strong."""
    return np.random.default_rng(0).normal(size=(4, 16, 16)) * np.arange(1, 5)[:, None, None]


def test_the_squares_of_a_patient_weigh_alike_in_whichever_image_they_lie(squares):
    """Fails where the images do: one of them has one square, the other three."""
    collected = Spectra()
    collected.add("a", squares[:1])
    collected.add("a", squares[1:])
    np.testing.assert_allclose(collected.by_patient()["a"], power_spectrum(squares, 1.0))


def test_the_radial_spectrum_is_of_all_squares_of_whichever_patient(squares):
    """Fails where the patients weigh alike: one of them has one square, the other three."""
    collected = Spectra()
    collected.add("a", squares[:1])
    collected.add("b", squares[1:])
    found = collected.radial(0.5)
    frequencies, power = radial_average(power_spectrum(squares, 0.5), 0.5)
    np.testing.assert_allclose(found["frequency"], frequencies)
    np.testing.assert_allclose(found["power"], power)


def test_a_frequency_belongs_to_the_nearest_ring():
    """Fails where it is rounded down: (2, 2) is 2.83 steps out, and of the 3rd ring's 16."""
    # (+-2, +-2): 4; (+-3, 0), (0, +-3): 4; (+-3, +-1), (+-1, +-3): 8.
    spectrum = np.zeros((8, 8))
    spectrum[2, 2] = 3.0
    np.testing.assert_allclose(radial_average(spectrum, 1.0)[1], [0, 0, 3 / 16, 0])
