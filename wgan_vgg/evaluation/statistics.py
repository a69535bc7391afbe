"""Intervals and tests whose unit is the patient: slices of one patient are not independent."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import scipy.stats

MIN_PATIENTS = 6  # fewer, and not even a difference of one sign in all of them has p < .05 (6: 2/64)
TOO_FEW = "too few patients"
UNKNOWN = "patients unknown"

PatientValues = Mapping[str, Mapping[str, float | None]]  # by metric, by patient


def bootstrap_interval(
    values: Sequence[float], *, seed: int, confidence: float, resamples: int
) -> tuple[float, float] | None:
    """Percentile interval of the mean of one value a patient, the patients being drawn anew with replacement.

    None where there are fewer than two, or one is infinite.
    """
    if len(values) < 2 or not np.all(np.isfinite(values)):
        return None
    drawn = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(np.asarray(values)[drawn].mean(axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def paired_p_value(first: Mapping[str, float | None], second: Mapping[str, float | None]) -> float | None:
    """Two-sided Wilcoxon signed-rank test of the patients' differences (exact up to 50 without ties).

    None where fewer than MIN_PATIENTS have both values.
    """
    pairs = [(first[patient], second[patient]) for patient in first]
    differences = [a - b for a, b in pairs if a is not None and b is not None]
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


def summarize(
    methods: Mapping[str, PatientValues],
    reference: str,
    models: Sequence[str],
    *,
    patients: int | None,
    seed: int,
    confidence: float,
    resamples: int,
) -> dict[str, Any]:
    """Means with intervals, and each metric's two families of tests, corrected apart.

    Args:
      methods: the patients' values of each method.
      reference: the method that all others are tested against.
      models: those that are tested against each other.
      patients: how many; None where they are unknown, and there is nothing to resample or to test.
      seed: decides the bootstrap's draws, the same for every method.
      confidence, resamples: of the intervals.

    Returns:
      `means` (by method and metric: mean over patients, `low`, `high` or None), `against_reference` (by metric and
      method) and `between_models` (by metric and "a / b"): p-values after Holm's correction. Where `no_test` says
      why, there are none.
    """

    def describe(values: Mapping[str, float | None]) -> dict[str, float | None]:
        known = [value for value in values.values() if value is not None]
        if not known:
            return dict.fromkeys(("mean", "low", "high"))
        bounds = None
        if patients is not None:
            bounds = bootstrap_interval(known, seed=seed, confidence=confidence, resamples=resamples)
        return {"mean": float(np.mean(known)), **dict(zip(("low", "high"), bounds or (None, None), strict=True))}

    def family(pairs: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, float]]:
        return {metric: _corrected(methods, metric, pairs) for metric in methods[reference]}

    result: dict[str, Any] = {
        "patients": patients,
        "confidence": confidence,
        "reference": reference,
        "means": {
            name: {metric: describe(by_patient) for metric, by_patient in values.items()}
            for name, values in methods.items()
        },
        "no_test": UNKNOWN if patients is None else TOO_FEW if patients < MIN_PATIENTS else None,
    }
    if result["no_test"]:
        return result | {"against_reference": {}, "between_models": {}}
    return result | {
        "against_reference": family({name: (name, reference) for name in methods if name != reference}),
        "between_models": family({f"{a} / {b}": (a, b) for a, b in combinations(models, 2)}),
    }


def _corrected(
    methods: Mapping[str, PatientValues], metric: str, pairs: Mapping[str, tuple[str, str]]
) -> dict[str, float]:
    """One family: the pairs' p-values on one metric, those that are defined, after Holm's correction."""
    tested = {name: paired_p_value(methods[a][metric], methods[b][metric]) for name, (a, b) in pairs.items()}
    defined = {name: p for name, p in tested.items() if p is not None}
    return dict(zip(defined, holm(list(defined.values())), strict=True)) if defined else {}
