"""wgan_vgg.evaluation.statistics against values computed by hand."""

import numpy as np
import pytest

from wgan_vgg.evaluation import statistics
from wgan_vgg.evaluation.statistics import holm, mean_over_seeds, paired_difference, paired_p_value, summarize

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


TUNED = {"filter": {"psnr": 30.0}, "tv": {"psnr": 33.0}}


def methods(patients):
    base = np.linspace(20, 25, patients)
    psnr = {"noisy": base, "filter": base + np.linspace(4, 6, patients), "tv": base + np.linspace(2, 3, patients)}
    psnr |= {"a": base + np.linspace(1, 2, patients), "b": base + np.linspace(3, 5, patients)}
    return {name: [{"psnr": by_patient(*values)}] for name, values in psnr.items()}


def test_each_family_is_corrected_by_itself():
    result = summarize(methods(8), "noisy", TUNED, patients=8, **SETTINGS)
    # 2/256 each: four times against the noisy input, twice (two networks) against the best baseline.
    assert result["against_reference"] == {"psnr": dict.fromkeys(("filter", "tv", "a", "b"), pytest.approx(8 / 256))}
    assert result["against_best"] == dict.fromkeys(("a", "b"), pytest.approx(4 / 256))
    assert result["no_test"] is None
    mean = result["means"]["a"]["psnr"]
    assert mean["mean"] == pytest.approx(24.0)
    assert mean["low"] < 24.0 < mean["high"]


def test_the_best_baseline_is_the_best_in_tuning_not_on_the_images_judged():
    result = summarize(methods(8), "noisy", TUNED, patients=8, **SETTINGS)
    assert result["best_baseline"] == "tv", "filter is better on these patients"
    against = result["against_baselines"]
    assert list(against) == ["filter", "tv"]
    # By patient a is 1 to 2 and tv 2 to 3 dB above noisy, b 3 to 5: -1 in all of them, and 1 to 2.
    assert against["tv"]["a"] == {name: pytest.approx(-1.0) for name in ("mean", "low", "high")}
    assert against["tv"]["b"]["mean"] == pytest.approx(1.5)
    assert 1.0 < against["tv"]["b"]["low"] < 1.5 < against["tv"]["b"]["high"] < 2.0
    assert against["filter"]["b"]["high"] < 0
    assert summarize(methods(8), "noisy", {}, patients=8, **SETTINGS)["best_baseline"] is None


def test_a_paired_difference_is_narrow_where_patients_differ_and_pairs_by_name():
    patients = np.random.default_rng(0).normal(30, 5, 12)
    better = by_patient(*patients + np.linspace(0.4, 0.6, 12))
    worse = dict(reversed(by_patient(*patients).items()))
    difference = paired_difference([better], [worse], **SETTINGS)
    assert difference["mean"] == pytest.approx(0.5)
    assert 0.4 < difference["low"] < 0.5 < difference["high"] < 0.6, "unpaired it would be 6 dB wide"
    assert paired_difference([{"a": 1.0, "b": None, "c": 4.0}], [{"a": 3.0, "b": 1.0}], **SETTINGS) == {
        "mean": -2.0,
        "low": None,
        "high": None,
    }
    assert paired_difference([{"a": None}], [{"a": 1.0}], **SETTINGS) is None


def test_mean_over_seeds_takes_the_patients_that_all_have():
    scores = [{"a": 1.0, "b": 3.0, "c": 9.0}, {"b": 5.0, "a": 3.0, "c": None}]
    assert mean_over_seeds(scores, **SETTINGS)["mean"] == pytest.approx(3.0)
    assert mean_over_seeds([{"a": None}], **SETTINGS) is None


def test_too_few_and_unknown_patients_are_said_in_place_of_p():
    few = summarize(methods(5), "noisy", TUNED, patients=5, **SETTINGS)
    assert (few["no_test"], few["against_reference"], few["against_best"]) == ("too few patients", {}, {})
    assert few["means"]["a"]["psnr"]["low"] is not None
    assert few["against_baselines"]["tv"]["b"]["low"] is not None
    unknown = summarize(methods(1), "noisy", TUNED, patients=None, **SETTINGS)
    assert unknown["no_test"] == statistics.UNKNOWN
    assert unknown["means"]["a"]["psnr"] == {"mean": pytest.approx(21.0), "low": None, "high": None}
    assert (unknown["against_baselines"], unknown["against_best"]) == ({}, {})


def test_a_metric_that_is_not_defined_has_neither_mean_nor_test():
    values = {
        name: [{"psnr": by_patient(*range(6)), "rmse_hu": by_patient(*([None] * 6 if name == "noisy" else range(6)))}]
        for name in ("noisy", "a")
    }
    result = summarize(values, "noisy", {}, patients=6, **SETTINGS)
    assert result["means"]["noisy"]["rmse_hu"] == {"mean": None, "low": None, "high": None}
    assert result["against_reference"]["rmse_hu"] == {}


def test_models_are_compared_over_seeds_and_patients_and_not_with_one_seed():
    base = np.linspace(20, 25, 8)
    levels = {"noisy": [0], "a": [4.0, 5.0, 6.0], "b": [4.5, 5.5, 6.5], "c": [9.0, 9.1, 9.2]}
    methods = {
        name: [{"psnr": by_patient(*(base + level * (level > 0)))} for level in of_seeds]
        for name, of_seeds in levels.items()
    }
    result = summarize(methods, "noisy", {}, patients=8, **SETTINGS)
    between = result["between_networks"]
    assert result["seeds"] == 3
    assert result["means"]["a"]["psnr"]["mean"] == pytest.approx(22.5 + 5.0)
    # Seed by seed b is .5 above a in every patient; c is 5.0, 4.1 and 3.2 above a, which is 4.1 and not sure to 1 dB.
    assert between["a"]["b"] == {name: pytest.approx(0.5) for name in ("mean", "low", "high")}
    assert between["a"]["c"]["mean"] == pytest.approx(4.1)
    assert between["a"]["c"]["low"] < 3.2, "over patients alone it would have no width"
    assert between["c"]["a"]["mean"] == pytest.approx(-4.1)
    assert set(between["a"]) == {"b", "c"}
    one = {name: of_seeds[:1] for name, of_seeds in methods.items()}
    assert summarize(one, "noisy", {}, patients=8, **SETTINGS)["between_networks"] == {}
    alone = {"noisy": methods["noisy"], "a": methods["a"]}
    assert summarize(alone, "noisy", {}, patients=8, **SETTINGS)["between_networks"] == {}, "none to compare it with"


UNEQUAL = (("noisy", [0.0]), ("a", [4.5, 5.5]), ("b", [4.0, 5.0, 90.0]), ("once", [7.0]))


def test_what_is_not_trained_is_compared_with_every_seed():
    first, second = by_patient(1.0, 2.0, 3.0), by_patient(3.0, 4.0, 5.0)
    assert paired_difference([first, second], [by_patient(0.0, 0.0, 0.0)], **SETTINGS)["mean"] == pytest.approx(3.0)


def test_networks_of_unequal_seeds_are_compared_over_those_that_both_have():
    values = {name: [{"psnr": by_patient(*(np.arange(6.0) + level))} for level in levels] for name, levels in UNEQUAL}
    result = summarize(values, "noisy", {}, patients=6, **SETTINGS)
    assert result["means"]["a"]["psnr"]["mean"] == pytest.approx(2.5 + 5.0)
    # Seeds 1 and 2 of both: 4.5 - 4 and 5.5 - 5; b's third, 90 above, is not among them.
    assert result["between_networks"]["b"]["a"]["mean"] == pytest.approx(0.5)
    assert set(result["between_networks"]) == {"a", "b"}, "a single training says nothing of another"
    assert set(result["between_networks"]["a"]) == {"b"}


def test_networks_are_compared_with_baselines_in_rmse_too():
    values = {
        name: [{"psnr": by_patient(*range(6)), "rmse_hu": by_patient(*(np.arange(6.0) + level))}]
        for name, level in (("noisy", 9.0), ("tv", 3.0), ("a", 1.0))
    }
    result = summarize(values, "noisy", {"tv": {"psnr": 30.0}}, patients=6, **SETTINGS)
    less = {name: pytest.approx(-2.0) for name in ("mean", "low", "high")}
    assert result["further_against_baselines"] == {"rmse_hu": {"tv": {"a": less}}}
