"""Of the model observers: what they compute of few numbers, by hand."""

import numpy as np
import pytest

from wgan_vgg.evaluation import lesions, observers


def test_the_channels_lie_at_their_frequencies():
    """Fails where they are an octave off. Of a difference of gaussians as wide as w and 2w: w sqrt(8 ln(4) / 3)."""
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(65)] * 2, indexing="ij"))
    for template, width in zip(observers.channels(65), (0.03, 0.06, 0.12, 0.24), strict=True):
        highest = np.argmax(np.abs(np.fft.fft2(template)))
        assert frequency.ravel()[highest] == pytest.approx(1.923 * width, abs=0.01)


def test_d_prime_has_the_variances_of_samples():
    """Fails where they are divided by the count: 2.19. Means 3 and 1, variances 2 and 1."""
    sums = np.array(observers._sums({"present": [2.0, 4.0], "absent": [0.0, 1.0, 2.0]}))
    assert observers._d_prime(sums) == pytest.approx(2 / np.sqrt(1.5))


def test_the_hotelling_template_undoes_the_covariance_of_both_classes():
    """Fails where one class alone is taken, (.5, .5) or (.9, .1)."""
    corners = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    # Covariances of the channels, which are independent: 4/3 and 4/3 with the lesion; 8/7 and 9 * 8/7 without it, of
    # twice as many. Their means are 26/21 and 122/21; the lesion is 1 in both, so that weights go as 1/26 to 1/122.
    absent = corners * [1, 3]
    found = observers._hotelling(1.0 + corners, absent, absent)
    np.testing.assert_allclose(found, [122 / 148, 26 / 148], rtol=1e-4)


def test_both_scans_without_a_lesion_count_as_such():
    """Fails where the repeated scan is left out: its noise is what the observer has not seen with the lesion."""
    rng = np.random.default_rng(0)
    absent, repeated = rng.normal(size=(2, 12, 25, 25))
    patients = [str(number // 3) for number in range(12)]
    found = observers.responses(absent + lesions.disc(25, 7.0), absent, repeated, patients)
    for of_patients in found.values():
        counts = [(len(one["present"]), len(one["absent"])) for one in of_patients.values()]
        assert counts == [(3, 6)] * 4
