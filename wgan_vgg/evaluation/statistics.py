"""Intervals and tests whose unit is the patient: slices of one patient are not independent."""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats

from wgan_vgg.evaluation.bootstrap import hierarchical_interval
from wgan_vgg.evaluation.json_types import Estimate, Means, Score, Statistics, Tuned

MIN_PATIENTS = 6  # fewer, and not even a difference of one sign in all of them has p < .05 (6: 2/64)
FURTHER = ("ssim", "rmse_hu")  # in which networks are compared with the baselines, beside PSNR
TOO_FEW = "too few patients"
UNKNOWN = "patients unknown"

PatientScores = Mapping[str, Score]  # by patient
PatientValues = Mapping[str, PatientScores]  # by metric
Networks = Sequence[PatientValues]  # one for each seed that a model was trained with; of other methods one


def mean_over_seeds(
    networks: Sequence[PatientScores], *, seed: int, confidence: float, resamples: int
) -> Estimate | None:
    """The mean over trained networks (seeds) and patients, with a hierarchical bootstrap's interval.

    Args:
      networks: of each network its score on each patient; patients that not all have a score of are left out.
      seed, confidence, resamples: see bootstrap.hierarchical_interval.

    Returns:
      None where no patient has a score of every network.
    """
    scores = _of_common_patients(networks)
    if not scores:
        return None
    table = list(zip(*scores.values(), strict=True))
    bounds = hierarchical_interval(table, seed=seed, confidence=confidence, resamples=resamples)
    return _estimate(float(np.mean(table)), bounds)


def paired_difference(
    first: Sequence[PatientScores], second: Sequence[PatientScores], *, seed: int, confidence: float, resamples: int
) -> Estimate | None:
    """The mean of the patients' differences, first minus second, over the seeds of both, with its interval.

    Args:
      first, second: as of mean_over_seeds; where one of them has one member only, it is compared with all of the other;
        else as many are compared as both have.
      seed, confidence, resamples: see bootstrap.hierarchical_interval.

    Returns:
      None where no patient has all values.
    """
    count = max(len(first), len(second)) if 1 in (len(first), len(second)) else min(len(first), len(second))
    pairs = zip(*((list(part) * count)[:count] for part in (first, second)), strict=True)
    differences = [_differences(*pair) for pair in pairs]
    return mean_over_seeds(differences, seed=seed, confidence=confidence, resamples=resamples)


def averaged(networks: Sequence[PatientScores]) -> dict[str, Score]:
    """Each patient's mean over the networks; None where not all have a score."""
    known = _of_common_patients(networks)
    return {patient: float(np.mean(known[patient])) if patient in known else None for patient in networks[0]}


def mean_of_all(values: Sequence[Score]) -> Score:
    """The mean; None where one of the values is not defined."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def means_of_all(of_seeds: Sequence[Means]) -> dict[str, Score]:
    """Each metric's mean_of_all over the seeds."""
    return {name: mean_of_all([means[name] for means in of_seeds]) for name in of_seeds[0]}


def paired_p_value(first: PatientScores, second: PatientScores) -> float | None:
    """Two-sided Wilcoxon signed-rank test of the patients' differences (exact up to 50 without ties).

    None where fewer than MIN_PATIENTS have both values.
    """
    differences = list(_differences(first, second).values())
    if len(differences) < MIN_PATIENTS or not np.all(np.isfinite(differences)):
        return None
    if not np.any(differences):
        return 1.0
    return float(scipy.stats.wilcoxon(differences).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): p-values adjusted for multiple testing."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    factors = np.arange(len(p_values), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * np.asarray(p_values)[order]))
    return adjusted.tolist()


def best_baseline(tuned: Mapping[str, Tuned]) -> str | None:
    """The baseline that every network is compared with: the best in tuning, so not chosen on the images evaluated."""
    return max(tuned, key=lambda name: tuned[name]["psnr"], default=None)


def summarize(
    methods: Mapping[str, Networks],
    reference: str,
    tuned: Mapping[str, Tuned],
    *,
    patients: int | None,
    seed: int,
    confidence: float,
    resamples: int,
) -> Statistics:
    """Means with intervals, and two families of tests, corrected apart: against the reference, and the best baseline.

    Models are compared with each other only where each was trained with several seeds: patients alone say nothing of
    how another training of the same model would have ended.

    Args:
      methods: the patients' values of each method, once for each seed.
      reference: the method that all others are tested against.
      tuned: the baselines among the methods, and what tuning chose of each, see baselines.tune; the other methods but
        the reference are networks.
      patients: how many; None where they are unknown, and there is nothing to resample or to test.
      seed: decides the bootstrap's draws, the same for every method.
      confidence, resamples: of the intervals.

    Returns:
      `seeds`: how many networks there are of each model. `means`: by method and metric: mean over seeds and patients,
      `low`, `high` or None. `against_reference`: by metric and method, p-values after Holm's correction; of several
      seeds the test is of each patient's mean over them. `best_baseline`: its name or None. `against_baselines`: by
      baseline and network, the difference of PSNR in dB, network minus baseline, as mean, `low` and `high`;
      `further_against_baselines`: the same of FURTHER, by metric.
      `against_best`: by network, p-values of the difference to the best baseline after Holm's correction.
      `between_networks`: as `against_baselines`, other networks in the baselines' place; empty for one seed. `no_test`
      says why there are none.
    """
    resampled = patients is not None
    no_test = UNKNOWN if patients is None else TOO_FEW if patients < MIN_PATIENTS else None
    baselines = [name for name in tuned if name in methods] if resampled else []
    networks = [name for name in methods if name != reference and name not in tuned]
    several = [name for name in networks if len(methods[name]) > 1]
    seeds = max((len(methods[name]) for name in networks), default=1)
    best = best_baseline(tuned)

    def scores(name: str, metric: str) -> list[PatientScores]:
        return [values[metric] for values in methods[name]]

    def describe(name: str, metric: str) -> Estimate:
        found = mean_over_seeds(scores(name, metric), seed=seed, confidence=confidence, resamples=resamples)
        return found if found and resampled else _estimate(found and found["mean"], None)

    def tests(names: Sequence[str], metric: str, other: str) -> dict[str, float]:
        of_other = averaged(scores(other, metric))
        return _corrected({name: averaged(scores(name, metric)) for name in names}, of_other)

    def differences(names: Sequence[str], other: str, metric: str = "psnr") -> dict[str, Estimate | None]:
        against, others = scores(other, metric), [name for name in names if name != other]
        return {
            name: paired_difference(
                scores(name, metric), against, seed=seed, confidence=confidence, resamples=resamples
            )
            for name in others
        }

    metrics = list(methods[reference][0])
    return {
        "patients": patients,
        "seeds": seeds,
        "confidence": confidence,
        "reference": reference,
        "means": {name: {metric: describe(name, metric) for metric in methods[name][0]} for name in methods},
        "no_test": no_test,
        "against_reference": {}
        if no_test
        else {metric: tests([name for name in methods if name != reference], metric, reference) for metric in metrics},
        "best_baseline": best,
        "against_baselines": {baseline: differences(networks, baseline) for baseline in baselines},
        "further_against_baselines": {
            metric: {baseline: differences(networks, baseline, metric) for baseline in baselines}
            for metric in FURTHER
            if metric in metrics
        },
        "against_best": tests(networks, "psnr", best) if best in baselines and not no_test else {},
        "between_networks": {name: differences(several, name) for name in several}
        if resampled and len(several) > 1
        else {},
    }


def _corrected(methods: Mapping[str, PatientScores], other: PatientScores) -> dict[str, float]:
    """One family: each method's p-value against the other, those that are defined, after Holm's correction."""
    tested = {name: paired_p_value(scores, other) for name, scores in methods.items()}
    defined = {name: p for name, p in tested.items() if p is not None}
    return dict(zip(defined, holm(list(defined.values())), strict=True)) if defined else {}


def _of_common_patients(networks: Sequence[PatientScores]) -> dict[str, list[float]]:
    """Each network's score, by patient, of those of whom every network has one; in the first one's order."""
    scores = {name: [network.get(name) for network in networks] for name in networks[0]}
    known = {name: [score for score in row if score is not None] for name, row in scores.items()}
    return {name: row for name, row in known.items() if len(row) == len(networks)}


def _differences(first: PatientScores, second: PatientScores) -> dict[str, float]:
    """Of the patients that both have a score of."""
    return {name: one - other for name, (one, other) in _of_common_patients([first, second]).items()}


def _estimate(mean: Score, bounds: tuple[float, float] | None) -> Estimate:
    low, high = bounds or (None, None)
    return {"mean": mean, "low": low, "high": high}
