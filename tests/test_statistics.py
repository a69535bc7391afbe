"""wgan_vgg.evaluation.statistics against values computed by hand."""

import numpy as np
import pytest

from wgan_vgg.evaluation import statistics
from wgan_vgg.evaluation.statistics import bootstrap_interval, holm, paired_p_value, summarize

SETTINGS = {"seed": 1, "confidence": 0.95, "resamples": 2000}


def by_patient(*values):
    return {str(number): value for number, value in enumerate(values)}


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, and no later one below an earlier: .06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.001, 0.5, 0.9]) == pytest.approx([0.003, 1.0, 1.0])
    assert holm([0.02]) == pytest.approx([0.02])


def test_wilcoxon_of_one_sign_in_all_patients():
    better = by_patient(1.1, 2.3, 3.2, 4.6, 5.9, 6.7)
    worse = by_patient(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    # All 2^6 signs are as likely: both extremes have 2/64.
    assert paired_p_value(better, worse) == pytest.approx(2 / 64)
    assert paired_p_value(worse, better) == pytest.approx(2 / 64)
    assert paired_p_value(better, better) == 1.0


def test_wilcoxon_pairs_patients_by_name_not_by_place():
    first = {"a": 1.0, "b": 5.0, "c": 9.0, "d": 13.0, "e": 17.0, "f": 21.0}
    second = {name: first[name] - 0.1 * number for number, name in enumerate(sorted(first, reverse=True), start=1)}
    assert paired_p_value(first, second) == pytest.approx(2 / 64)


def test_fewer_than_six_patients_have_no_p_value():
    assert paired_p_value(by_patient(2, 3, 4, 5, 6), by_patient(1, 1, 1, 1, 1)) is None
    assert paired_p_value(by_patient(2, 3, 4, 5, 6, None), by_patient(1, 1, 1, 1, 1, 1)) is None


def test_the_interval_is_of_the_mean():
    values = np.random.default_rng(0).normal(30.0, 2.0, 100)
    low, high = bootstrap_interval(values, **SETTINGS)
    # The normal interval: 1.96 standard errors; of the values themselves it would be ten times as wide.
    error = 1.96 * values.std() / 10
    assert low == pytest.approx(values.mean() - error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + error, abs=0.1 * error)
    assert bootstrap_interval(values, **SETTINGS) == (low, high)
    assert bootstrap_interval([3.0, 3.0], **SETTINGS) == (3.0, 3.0)
    assert bootstrap_interval([3.0], **SETTINGS) is None
    assert bootstrap_interval([3.0, float("inf")], **SETTINGS) is None


def methods(patients):
    base = np.linspace(20, 25, patients)
    psnr = {"noisy": base, "a": base + np.linspace(1, 2, patients), "b": base + np.linspace(3, 5, patients)}
    return {name: {"psnr": by_patient(*values)} for name, values in psnr.items()}


def test_each_family_is_corrected_by_itself():
    result = summarize(methods(8), "noisy", ["a", "b"], patients=8, **SETTINGS)
    # 2/256, twice against the noisy input, once between the two models.
    assert result["against_reference"] == {"psnr": {"a": pytest.approx(4 / 256), "b": pytest.approx(4 / 256)}}
    assert result["between_models"] == {"psnr": {"a / b": pytest.approx(2 / 256)}}
    assert result["no_test"] is None
    mean = result["means"]["a"]["psnr"]
    assert mean["mean"] == pytest.approx(24.0)
    assert mean["low"] < 24.0 < mean["high"]


def test_too_few_and_unknown_patients_are_said_in_place_of_p():
    few = summarize(methods(5), "noisy", ["a", "b"], patients=5, **SETTINGS)
    assert (few["no_test"], few["against_reference"], few["between_models"]) == ("too few patients", {}, {})
    assert few["means"]["a"]["psnr"]["low"] is not None
    unknown = summarize(methods(1), "noisy", ["a", "b"], patients=None, **SETTINGS)
    assert unknown["no_test"] == statistics.UNKNOWN
    assert unknown["means"]["a"]["psnr"] == {"mean": pytest.approx(21.0), "low": None, "high": None}


def test_a_metric_that_is_not_defined_has_neither_mean_nor_test():
    values = {name: {"rmse_hu": by_patient(*([None] * 6 if name == "noisy" else range(6)))} for name in ("noisy", "a")}
    result = summarize(values, "noisy", ["a"], patients=6, **SETTINGS)
    assert result["means"]["noisy"]["rmse_hu"] == {"mean": None, "low": None, "high": None}
    assert result["against_reference"] == {"rmse_hu": {}}
