"""wgan_vgg.evaluation.jackknife against values computed by hand."""

import numpy as np
import pytest
import scipy.stats

from wgan_vgg.evaluation.jackknife import interval


def test_networks_widen_the_interval_by_the_error_of_their_mean():
    """Fails where the networks' spread counts whole (a low end of 2.9) or the freedom is the patients' alone (3.0)."""
    # Patients: 2/3 * ((9 - 10)^2 + (11 - 10)^2) = 4/3. Networks: variance 4 of 3 of them, 4/3 too. Freedom
    # (Satterthwaite) (8/3)^2 / ((4/3)^2 / 2 + (4/3)^2 / 2) = 4.
    reach = np.sqrt(8 / 3) * scipy.stats.t.ppf(0.975, 4)
    assert reach == pytest.approx(4.53392, abs=1e-5)
    assert interval(10.0, [9.0, 10.0, 11.0], 0.95, [8.0, 10.0, 12.0]) == pytest.approx((10 - reach, 10 + reach))


def test_of_one_network_it_is_the_patients_alone():
    reach = np.sqrt(4 / 3) * scipy.stats.t.ppf(0.975, 2)
    assert interval(10.0, [9.0, 10.0, 11.0], 0.95, [10.0]) == pytest.approx((10 - reach, 10 + reach))
    assert interval(10.0, [10.0, 10.0, 10.0], 0.95) == (10.0, 10.0)
