"""The filters of the reconstruction against what they are in closed form."""

import numpy as np

from data_prep.geometry import Geometry
from data_prep.projection import filtered_backprojection

COARSE = Geometry().coarser(5)  # (200, 103)


def test_hann_is_half_a_detector_cell_and_a_quarter_of_each_neighbour():
    """Fails where its window has another shape: (1 + cos(2 pi f)) / 2 is the spectrum of 1/4, 1/2, 1/4."""
    observation = np.zeros((COARSE.num_angles, COARSE.num_detectors), np.float32)
    observation[:, 5:-5] = np.random.default_rng(0).random(observation[:, 5:-5].shape)
    blurred = observation / 2 + (np.roll(observation, 1, axis=1) + np.roll(observation, -1, axis=1)) / 4
    found, expected = (
        filtered_backprojection(rows, COARSE, 40, name) for rows, name in ((observation, "hann"), (blurred, "ram-lak"))
    )
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
