"""One evaluation of several runs: what they share, each model's means over its seeds, and the statistics of all."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wgan_vgg.config import Config
from wgan_vgg.evaluation.evaluate import lesion_statistics, patient_statistics
from wgan_vgg.evaluation.statistics import averaged

Summary = Mapping[str, Any]  # the content of eval/<split>.json
_SHARED = ("report_batch_size", "images", "patients", "windows", "truth")
_SHARED += ("perceptual", "baselines", "missing_baselines", "repeats")


def combined(summaries: Mapping[str, Sequence[Summary]], config: Config) -> dict[str, Any]:
    """The keys of eval/<split>.json that tables and figures need, for all methods of all runs.

    Args:
      summaries: by model, one for each seed; all of the same data and settings.
      config: the seed and size of the bootstrap.
    """
    methods = _by_method(summaries)
    first = next(iter(summaries.values()))[0]
    patient_values = {
        name: [summary["patient_values"][name] for summary in of_seeds] for name, of_seeds in methods.items()
    }
    responses = {
        name: [summary["responses"][name] for summary in of_seeds]
        for name, of_seeds in methods.items()
        if all(name in summary["responses"] for summary in of_seeds)
    }
    curves = {
        name: [summary["noise_power"]["methods"].get(name) for summary in of_seeds]
        for name, of_seeds in methods.items()
    }
    edges = {name: [summary["edges"]["methods"][name] for summary in of_seeds] for name, of_seeds in methods.items()}
    return {
        **{name: first[name] for name in _SHARED},
        "methods": {name: _means([one["methods"][name] for one in of_seeds]) for name, of_seeds in methods.items()},
        "statistics": patient_statistics(patient_values, first["baselines"], first["patients"], config),
        "patient_values": {
            name: {metric: averaged([one[metric] for one in values]) for metric in values[0]}
            for name, values in patient_values.items()
        },
        "detectability": lesion_statistics(responses, config),
        "edges": first["edges"]
        | {"methods": first["edges"]["methods"] | {name: _edges(of_seeds) for name, of_seeds in edges.items()}},
        "noise_power": {
            "unit": first["noise_power"]["unit"],
            "methods": first["noise_power"]["methods"] | {name: _curve(of_seeds) for name, of_seeds in curves.items()},
        },
    }


def _by_method(summaries: Mapping[str, Sequence[Summary]]) -> dict[str, list[Summary]]:
    """The summaries of each method: one for what all models are evaluated beside, all seeds' for a model."""
    first = next(iter(summaries.values()))[0]
    methods = {name: [first] for name in first["methods"] if name in first["beside"]}
    for of_seeds in summaries.values():
        for name in of_seeds[0]["methods"]:
            if name not in methods and all(name in summary["methods"] for summary in of_seeds):
                methods[name] = list(of_seeds)
    return methods


def _means(of_seeds: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Each metric's mean over the seeds; None where it is not defined for one of them."""
    values = {name: [means[name] for means in of_seeds] for name in of_seeds[0]}
    return {name: None if None in of else float(np.mean(of)) for name, of in values.items()}


def _edges(of_seeds: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The rise for each class of contrast; of several seeds the mean, without an interval."""
    if len(of_seeds) == 1:
        return [dict(found) for found in of_seeds[0]]
    rises = [_means([{"mean": found["mean"]} for found in of_class]) for of_class in zip(*of_seeds, strict=True)]
    return [dict(found) | rise | {"low": None, "high": None} for found, rise in zip(of_seeds[0], rises, strict=True)]


def _curve(of_seeds: Sequence[Mapping[str, list[float]] | None]) -> dict[str, list[float]] | None:
    """The mean noise power over the seeds, which have the same frequencies."""
    if None in of_seeds:
        return None
    powers = [curve["power"] for curve in of_seeds]
    return {"frequency": of_seeds[0]["frequency"], "power": np.mean(powers, axis=0).tolist()}
