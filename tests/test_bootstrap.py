"""wgan_vgg.evaluation.bootstrap against values computed by hand, and by how often the intervals hold the truth."""

import numpy as np
import pytest
import scipy.stats

from wgan_vgg.evaluation.bootstrap import bootstrap_interval, hierarchical_interval

SETTINGS = {"seed": 1, "confidence": 0.95, "resamples": 2000}


def test_the_interval_is_of_the_mean():
    values = np.random.default_rng(0).normal(30.0, 2.0, 100)
    low, high = bootstrap_interval(values, **SETTINGS)
    # Student's: 1.984 standard errors; of the values themselves it would be ten times as wide.
    error = 1.984 * values.std(ddof=1) / 10
    assert low == pytest.approx(values.mean() - error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + error, abs=0.1 * error)
    assert bootstrap_interval(values, **SETTINGS) == (low, high)
    assert bootstrap_interval(values, **SETTINGS | {"seed": 2}) != (low, high)


def test_what_has_no_interval_and_what_has_no_width():
    assert bootstrap_interval([3.0, 3.0], **SETTINGS) == (3.0, 3.0)
    assert bootstrap_interval([3.0], **SETTINGS) is None
    assert bootstrap_interval([3.0, float("inf")], **SETTINGS) is None
    assert hierarchical_interval([[3.0], [4.0]], **SETTINGS) is None
    assert hierarchical_interval([[3.0, 4.0], [4.0, float("nan")]], **SETTINGS) is None
    assert hierarchical_interval([[3.0, 3.0], [3.0, 3.0]], **SETTINGS) == (3.0, 3.0)


@pytest.mark.parametrize("values", [[1.0, 3.0], [1.0, 2.0, 4.0, 4.0, 9.0], [0.0] * 7 + [1.0]])
def test_students_t_where_there_is_too_little_to_resample(values):
    # The last: a third of the resamples have no 1 and so no standard error; their t would be infinite.
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    wanted = scipy.stats.t.interval(0.95, len(values) - 1, np.mean(values), error)
    assert bootstrap_interval(values, **SETTINGS) == pytest.approx(wanted)


@pytest.mark.parametrize(
    "values",
    [
        [40.1, 40.2, 40.15, 40.12, 40.18, 30.0],  # resamples without the last alone would take an end to -253
        [12.0, 12.1, 11.9, 12.2, 12.0, 12.1, 11.8, 90.0],  # to 3,243
    ],
)
def test_one_patient_unlike_the_others_takes_no_end_beyond_all_of_them(values):
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    wanted = scipy.stats.t.interval(0.95, len(values) - 1, np.mean(values), error)
    assert bootstrap_interval(values, **SETTINGS) == pytest.approx(wanted)
    tables = [np.array(values) + shift for shift in (0.0, 0.01, 0.02)]
    low, high = hierarchical_interval(tables, **SETTINGS)
    assert high - low < 2 * (wanted[1] - wanted[0])


def test_shift_and_scale_carry_over_and_a_mirrored_sample_has_the_mirrored_interval():
    values = np.random.default_rng(3).gamma(2.0, size=12)
    low, high = bootstrap_interval(values, **SETTINGS)
    assert bootstrap_interval(1000 + 7 * values, **SETTINGS) == pytest.approx((1000 + 7 * low, 1000 + 7 * high))
    assert bootstrap_interval(-values, **SETTINGS) == pytest.approx((-high, -low))
    assert high - values.mean() > values.mean() - low, "a long tail to the right may have been missed: further there"


@pytest.mark.parametrize("patients", [8, 12, 30])
@pytest.mark.parametrize(("kind", "least"), [("normal", 93.5), ("skewed", 92.0)])
def test_intervals_of_95_percent_hold_the_mean_that_often(patients, kind, least):
    # Of 2,000 samples; a percentile interval of 8 patients: 88 % (normal), 84 % (skewed).
    rng = np.random.default_rng(patients)
    samples, mean = (
        (rng.normal(size=(2000, patients)), 0.0) if kind == "normal" else (rng.exponential(size=(2000, patients)), 1.0)
    )
    intervals = [bootstrap_interval(sample, **SETTINGS) for sample in samples]
    held = 100 * np.mean([low <= mean <= high for low, high in intervals])
    assert least <= held <= 97.0


def test_over_seeds_and_patients_by_hand():
    # Two seeds: Student's t. Mean 4; mean squares: seeds 2 * ((2 - 4)^2 + (6 - 4)^2) = 16, patients
    # 2 * ((3 - 4)^2 + (5 - 4)^2) = 4, residual 0; squared error (16 + 4 - 0) / 4 = 5; freedom 20^2 / (16^2 + 4^2).
    table = [[1.0, 3.0], [5.0, 7.0]]
    reach = np.sqrt(5) * scipy.stats.t.ppf(0.975, 400 / 272)
    assert hierarchical_interval(table, **SETTINGS) == pytest.approx((4 - reach, 4 + reach))
    assert hierarchical_interval(table[:1], **SETTINGS) == bootstrap_interval(table[0], **SETTINGS)


@pytest.mark.parametrize(
    ("seeds", "patients", "of_seeds", "of_patients"), [(3, 8, 1, 2), (3, 12, 1, 0.5), (5, 30, 1, 2)]
)
def test_over_seeds_and_patients_95_percent_hold_the_mean(seeds, patients, of_seeds, of_patients):
    # Of the networks' mean by bootstrap_interval, over patients alone: 43 to 89 %.
    rng = np.random.default_rng(seeds)
    held = []
    for _ in range(2000):
        table = of_seeds * rng.normal(size=(seeds, 1)) + of_patients * rng.normal(size=patients)
        low, high = hierarchical_interval(table + 0.3 * rng.normal(size=table.shape), **SETTINGS)
        held.append(low <= 0 <= high)
    assert 91.0 <= 100 * np.mean(held) <= 97.5


def test_networks_and_patients_are_drawn_independently_of_each_other():
    """Fails where as many networks as patients are drawn alike: every resample of this table then has the mean 0."""
    table = np.subtract.outer(np.arange(6.0), np.arange(6.0))
    low, high = hierarchical_interval(table, **SETTINGS)
    assert low < -1 < 1 < high
