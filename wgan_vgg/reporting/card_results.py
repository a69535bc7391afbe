"""What a model card says of a model's results, and the command that measures them."""

import shlex
from collections.abc import Mapping
from typing import Any

from wgan_vgg.config import Config, nested, override
from wgan_vgg.errors import InputError
from wgan_vgg.evaluation.evaluate import lesion_statistics, patient_statistics
from wgan_vgg.evaluation.json_types import Summary
from wgan_vgg.evaluation.metrics import TRUTH
from wgan_vgg.evaluation.repeats import VERSION
from wgan_vgg.files import read_json
from wgan_vgg.reporting.comparison_tables import quality_table
from wgan_vgg.reporting.detail_tables import edges_table, fidelity_table
from wgan_vgg.reporting.dose_tables import dose_markdown, of_dose
from wgan_vgg.reporting.lesion_tables import detectability_table
from wgan_vgg.reporting.verdict import verdict
from wgan_vgg.run_dir import RunDir

SPLITS = ("validation", "test")


def evaluations_of(run: RunDir) -> tuple[dict[str, Summary], dict[float, Summary]]:
    """Those of SPLITS, and of data of several doses those of each one's test split by its photons."""
    found = {split: _evaluation(run, split) for split in SPLITS}
    return found, {photons: _evaluation(run, split) for split, photons in _dose_splits(found["test"]).items()}


def results_of(name: str, evaluations: Mapping[str, Summary], doses: Mapping[float, Summary]) -> dict[str, Any]:
    """What the template of a card's results takes; the command names the model as `name`."""
    return {
        "evaluations": evaluations,
        "tables": {"validation": _tables(evaluations["validation"], {}), "test": _tables(evaluations["test"], doses)},
        "photons": list(doses),
        "measured": {split: _command(name, evaluation) for split, evaluation in evaluations.items()},
    }


def alone(evaluation: Summary, name: str) -> Summary:
    """An evaluation of several models as if one of them had been evaluated alone, beside the same baselines.

    Raises:
      InputError: it is not among them.
    """
    if name not in evaluation["methods"]:
        there = ", ".join(other for other in evaluation["methods"] if other not in evaluation["beside"])
        raise InputError(f"results: the {evaluation['split']} split was evaluated for {there}, not for {name}")
    names = (*evaluation["beside"], name)
    config = _config(evaluation)
    values = {one: [evaluation["patient_values"][one]] for one in names}
    responses = {one: [found] for one, found in evaluation["responses"].items() if one in names}
    edges = {one: rises for one, rises in evaluation["edges"]["methods"].items() if one in (TRUTH, *names)}
    return evaluation | {
        "model": name,
        "methods": {one: evaluation["methods"][one] for one in names},
        "statistics": patient_statistics(values, evaluation["baselines"], evaluation["patients"], config),
        "detectability": lesion_statistics(responses, config),
        "edges": evaluation["edges"] | {"methods": edges},
    }


def as_text(value: object) -> str:
    """A value as --set takes it."""
    if isinstance(value, list | tuple):
        return ",".join(as_text(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _command(name: str, evaluation: Summary) -> str:
    """What measures a model by its name."""
    known, settings = nested.flatten(Config()), nested.flatten(_config(evaluation))
    changed = [key for key in known if settings[key] != known[key] and key != "evaluation.perceptual"]  # see weights
    described = evaluation["perceptual"] or "none"
    known_weights = {"none": "none", "random VGG19": "random", "ImageNet": "imagenet"}
    weights = next((given for start, given in known_weights.items() if described.startswith(start)), "FILE")
    words = ["python -m experiments.evaluate", f"--models={name}", "--data_dir=RECORDS"]
    words += [f"--split={evaluation['split']}", "--output_dir=EVALUATED"]
    words += [f"--vgg_weights={weights}", *(shlex.quote(f"--set={key}={as_text(settings[key])}") for key in changed)]
    return " ".join(words)


def _config(evaluation: Summary) -> Config:
    """With the evaluation's settings."""
    return override(Config(), {f"evaluation.{key}": value for key, value in evaluation["settings"].items()})


def _dose_splits(test: Summary) -> dict[str, float]:
    """The photons of every test split in rising order, of data of several doses; else none."""
    return dict(sorted(test["data"].get("test_photons", {}).items(), key=lambda item: item[1]))


def _evaluation(run: RunDir, split: str) -> Summary:
    path = run.eval_json(split)
    if not path.is_file():
        raise InputError(f"{run.path}: its {split} split was not evaluated; do so with experiments.evaluate")
    summary: Summary = read_json(path)
    if summary.get("version") != VERSION:
        raise InputError(f"{path}: of an older version; evaluate it again")
    return summary


def _tables(evaluation: Summary, doses: Mapping[float, Summary]) -> str:
    """Of a split; of the test split of data of several doses first every dose by its photons, then the one it has."""
    parts = []
    if doses:
        photons = next(photons for photons, one in doses.items() if one["split"] == evaluation["split"])
        parts = [dose_markdown([of_dose(*one) for one in doses.items()]), f"At {photons:,.0f} photons:"]
    parts += [verdict(evaluation), quality_table(evaluation), fidelity_table(evaluation), edges_table(evaluation)]
    if evaluation["repeats"] and any(evaluation["detectability"]):
        parts.append(detectability_table(evaluation))
    return "\n\n".join(parts)
