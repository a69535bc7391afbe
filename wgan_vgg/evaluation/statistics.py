"""Intervals and tests whose unit is the patient: slices of one patient are not independent."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats

from wgan_vgg.evaluation.bootstrap import bootstrap_interval, hierarchical_interval

MIN_PATIENTS = 6  # fewer, and not even a difference of one sign in all of them has p < .05 (6: 2/64)
TOO_FEW = "too few patients"
UNKNOWN = "patients unknown"

PatientScores = Mapping[str, float | None]  # by patient; None where it is not defined
PatientValues = Mapping[str, PatientScores]  # by metric
Estimate = dict[str, float | None]  # mean, low, high; no interval where it is not defined


def mean_over_seeds(
    scores: Mapping[str, PatientScores], *, seed: int, confidence: float, resamples: int
) -> Estimate | None:
    """The mean over trained networks (by seed) and patients, with a hierarchical bootstrap's interval.

    Args:
      scores: by network, its score on each patient; patients that not every network has a score of are left out.
      seed, confidence, resamples: see bootstrap.hierarchical_interval.

    Returns:
      None where no patient has a score of every network.
    """
    networks = list(scores.values())
    patients = [name for name in networks[0] if all(network.get(name) is not None for network in networks)]
    if not patients:
        return None
    table = [[network[name] for name in patients] for network in networks]
    bounds = hierarchical_interval(table, seed=seed, confidence=confidence, resamples=resamples)
    return _estimate(float(np.mean(table)), bounds)


def paired_difference(
    first: PatientScores, second: PatientScores, *, seed: int, confidence: float, resamples: int
) -> Estimate | None:
    """The mean of the patients' differences, first minus second, with its interval; None where no patient has both."""
    differences = _differences(first, second)
    if not differences:
        return None
    bounds = bootstrap_interval(differences, seed=seed, confidence=confidence, resamples=resamples)
    return _estimate(float(np.mean(differences)), bounds)


def paired_p_value(first: PatientScores, second: PatientScores) -> float | None:
    """Two-sided Wilcoxon signed-rank test of the patients' differences (exact up to 50 without ties).

    None where fewer than MIN_PATIENTS have both values.
    """
    differences = _differences(first, second)
    if len(differences) < MIN_PATIENTS or not np.all(np.isfinite(differences)):
        return None
    if not np.any(differences):
        return 1.0
    return float(scipy.stats.wilcoxon(differences).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): the p-values adjusted for there being so many of them."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    factors = np.arange(len(p_values), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * np.asarray(p_values)[order]))
    return adjusted.tolist()


def best_baseline(tuned: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The baseline that every network is compared with: the best in tuning, so not chosen on the images judged."""
    return max(tuned, key=lambda name: tuned[name]["psnr"], default=None)


def summarize(
    methods: Mapping[str, PatientValues],
    reference: str,
    tuned: Mapping[str, Mapping[str, Any]],
    *,
    patients: int | None,
    seed: int,
    confidence: float,
    resamples: int,
) -> dict[str, Any]:
    """Means with intervals, and two families of tests, corrected apart: against the reference, and the best baseline.

    Networks are not tested against each other: of each model one was trained, and patients say nothing of how another
    training of the same model would have ended.

    Args:
      methods: the patients' values of each method.
      reference: the method that all others are tested against.
      tuned: the baselines among the methods, and what tuning chose of each, see baselines.tune; the other methods but
        the reference are networks.
      patients: how many; None where they are unknown, and there is nothing to resample or to test.
      seed: decides the bootstrap's draws, the same for every method.
      confidence, resamples: of the intervals.

    Returns:
      `means`: by method and metric: mean over patients, `low`, `high` or None. `against_reference`: by metric and
      method, p-values after Holm's correction. `best_baseline`: its name or None. `against_baselines`: by baseline and
      network, the difference of PSNR in dB, network minus baseline, as mean, `low` and `high`. `against_best`: by
      network, p-values of the difference to the best baseline after Holm's correction. `no_test` says why there are
      none.
    """
    settings = {"seed": seed, "confidence": confidence, "resamples": resamples}
    resampled = patients is not None

    def describe(scores: PatientScores) -> Estimate:
        known = [value for value in scores.values() if value is not None]
        if not known:
            return dict.fromkeys(("mean", "low", "high"))
        return _estimate(float(np.mean(known)), bootstrap_interval(known, **settings) if resampled else None)

    no_test = UNKNOWN if patients is None else TOO_FEW if patients < MIN_PATIENTS else None
    baselines = [name for name in tuned if name in methods] if resampled else []
    networks = [name for name in methods if name != reference and name not in tuned]
    best = best_baseline(tuned)
    tested = {name: values for name, values in methods.items() if name != reference and not no_test}
    return {
        "patients": patients,
        "confidence": confidence,
        "reference": reference,
        "means": {
            name: {metric: describe(scores) for metric, scores in values.items()} for name, values in methods.items()
        },
        "no_test": no_test,
        "against_reference": {
            metric: _corrected({name: values[metric] for name, values in tested.items()}, scores)
            for metric, scores in (methods[reference].items() if tested else ())
        },
        "best_baseline": best,
        "against_baselines": {
            baseline: {
                name: paired_difference(methods[name]["psnr"], methods[baseline]["psnr"], **settings)
                for name in networks
            }
            for baseline in baselines
        },
        "against_best": _corrected({name: tested[name]["psnr"] for name in networks}, methods[best]["psnr"])
        if best in baselines and tested
        else {},
    }


def _corrected(methods: Mapping[str, PatientScores], other: PatientScores) -> dict[str, float]:
    """One family: each method's p-value against the other, those that are defined, after Holm's correction."""
    tested = {name: paired_p_value(scores, other) for name, scores in methods.items()}
    defined = {name: p for name, p in tested.items() if p is not None}
    return dict(zip(defined, holm(list(defined.values())), strict=True)) if defined else {}


def _differences(first: PatientScores, second: PatientScores) -> list[float]:
    """Of the patients that both have a score of, by name."""
    pairs = [(first[patient], second[patient]) for patient in first if patient in second]
    return [a - b for a, b in pairs if a is not None and b is not None]


def _estimate(mean: float, bounds: tuple[float, float] | None) -> Estimate:
    return {"mean": mean, **dict(zip(("low", "high"), bounds or (None, None), strict=True))}
