"""One evaluation of several runs: what they share, each model's means over its seeds, and the statistics of all."""

from collections.abc import Sequence

import numpy as np

from wgan_vgg.config import Config
from wgan_vgg.evaluation.evaluate import lesion_statistics, patient_statistics
from wgan_vgg.evaluation.json_types import Evaluation, NoisePower, Rise, Summary
from wgan_vgg.evaluation.statistics import averaged, mean_of_all, means_of_all
from wgan_vgg.reporting.json_types import Summaries


def combined(summaries: Summaries, config: Config) -> Evaluation:
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
        "report_batch_size": first["report_batch_size"],
        "images": first["images"],
        "patients": first["patients"],
        "windows": first["windows"],
        "truth": first["truth"],
        "perceptual": first["perceptual"],
        "baselines": first["baselines"],
        "missing_baselines": first["missing_baselines"],
        "repeats": first["repeats"],
        "methods": {
            name: means_of_all([one["methods"][name] for one in of_seeds]) for name, of_seeds in methods.items()
        },
        "statistics": patient_statistics(patient_values, first["baselines"], first["patients"], config),
        "patient_values": {
            name: {metric: averaged([one[metric] for one in values]) for metric in values[0]}
            for name, values in patient_values.items()
        },
        "detectability": lesion_statistics(responses, config),
        "edges": {
            "contrasts_hu": first["edges"]["contrasts_hu"],
            "methods": first["edges"]["methods"] | {name: _edges(of_seeds) for name, of_seeds in edges.items()},
        },
        "noise_power": {
            "unit": first["noise_power"]["unit"],
            "methods": first["noise_power"]["methods"] | {name: _curve(of_seeds) for name, of_seeds in curves.items()},
        },
    }


def _by_method(summaries: Summaries) -> dict[str, list[Summary]]:
    """The summaries of each method: one for what all models are evaluated beside, all seeds' for a model."""
    first = next(iter(summaries.values()))[0]
    methods = {name: [first] for name in first["methods"] if name in first["beside"]}
    for of_seeds in summaries.values():
        for name in of_seeds[0]["methods"]:
            if name not in methods and all(name in summary["methods"] for summary in of_seeds):
                methods[name] = list(of_seeds)
    return methods


def _edges(of_seeds: Sequence[list[Rise]]) -> list[Rise]:
    """The rise for each class of contrast; of several seeds the mean, without an interval."""
    if len(of_seeds) == 1:
        return of_seeds[0]
    means = [mean_of_all([found["mean"] for found in of_class]) for of_class in zip(*of_seeds, strict=True)]
    return [
        {"mean": mean, "low": None, "high": None, "edges": found["edges"]}
        for found, mean in zip(of_seeds[0], means, strict=True)
    ]


def _curve(of_seeds: Sequence[NoisePower | None]) -> NoisePower | None:
    """The mean noise power over the seeds, which have the same frequencies; None where one has none."""
    curves = [curve for curve in of_seeds if curve is not None]
    if len(curves) < len(of_seeds):
        return None
    return {
        "frequency": curves[0]["frequency"],
        "power": np.mean([curve["power"] for curve in curves], axis=0).tolist(),
    }
