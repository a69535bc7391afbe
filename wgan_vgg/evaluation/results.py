"""What evaluated runs say together: the content of results.json, of every table, figure and page."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep import tfrecords
from data_prep.errors import InputError
from wgan_vgg import vgg
from wgan_vgg.config import MODELS, Config
from wgan_vgg.evaluation import dose_tables, tables
from wgan_vgg.evaluation.evaluate import lesion_statistics, patient_statistics
from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.evaluation.verdict import verdict
from wgan_vgg.run_dir import ReproductionDir, RunDir, read_json

Runs = Mapping[str, RunDir]  # by model, or by the name of somebody else's method
Results = dict[str, Any]

NEGLIGIBLE_SHARE = 0.01  # of the generator's gradient: such a term is there by name only
_IDENTITY = ("patient_id", "slice_index", "source", "method")


def find_runs(workdir: Path, split: str) -> dict[str, RunDir]:
    """The evaluated runs of a run directory (one) or of a reproduction (one a model).

    Raises:
      InputError: there is none, or one that `split` was not evaluated of.
    """
    place = ReproductionDir(workdir)
    if not workdir.is_dir():
        raise InputError(f"workdir {workdir}: no such folder; give a run directory or a reproduction's")
    if place.results_json.is_file():
        runs = [RunDir(place.model(name)) for name in read_json(place.results_json)["models"]]
    else:
        runs = [RunDir(place.model(name)) for name in MODELS if RunDir(place.model(name)).config.is_file()]
    runs = runs or [RunDir(workdir)]
    for run in runs:
        if not run.eval_json(split).is_file():
            raise InputError(
                f"workdir {run.path}: its {split} split was not evaluated; evaluate it with experiments.evaluate"
            )
    return {read_json(run.eval_json(split))["model"]: run for run in runs}


def collect(runs: Runs, split: str) -> Results:
    """The content of results.json, from the run directories alone.

    Raises:
      InputError: an evaluation is of an older version, or of other data than the others.
    """
    summaries = {name: read_json(run.eval_json(split)) for name, run in runs.items()}
    configs = {name: run.load_config() for name, run in runs.items() if run.config.is_file()}
    first = next(iter(summaries.values()))
    for name, summary in summaries.items():
        if "data" not in summary or "responses" not in summary:
            raise InputError(f"{runs[name].eval_json(split)}: of an older version; evaluate it again")
        if summary["data"] != first["data"] or summary["settings"] != first["settings"]:
            raise InputError(f"{runs[name].path}: judged on other data or otherwise than the others; evaluate it again")
    config = next(iter(configs.values()), Config())
    samples = {
        method: values for summary in summaries.values() for method, values in summary["sample"]["methods"].items()
    }
    data, evaluation = first["data"], _combined(summaries, config)
    doses, missing = _at_every_dose(runs, split, data, config)
    weights = [vgg.describe_weights(config.vgg) for config in configs.values() if config.spec.content == "vgg"]
    return {
        "preset": config.preset if configs else None,
        "seed": config.seed if configs else None,
        "caption": "; ".join([describe_data(data), *weights[:1]]),
        "data": data,
        "test_images": first["images"],
        "test_patients": first["patients"],
        "warnings": _warnings(runs, summaries, data) + missing,
        "noisy": first["methods"][NOISY],
        "report_batch_size": first["report_batch_size"],
        "sample_rule": first["sample"]["rule"],
        "sample_baseline": first["sample"]["baseline"],
        "samples": samples,
        "verdict": verdict(evaluation),
        "evaluation": evaluation,
        "models": {name: _outcome(run, summaries[name]) for name, run in runs.items()},
        **({"doses": doses} if doses else {}),
    }


def _at_every_dose(
    runs: Runs, split: str, data: Mapping[str, Any], config: Config
) -> tuple[list[dict[str, Any]], list[str]]:
    """Of data of several doses, what the evaluations say at each (dose_tables.of_dose); warnings of those missing."""
    doses, missing = [], []
    by_dose = data.get("test_photons", {}) if split == "test" else {}
    for other, photons in sorted(by_dose.items(), key=lambda item: item[1]):
        if all(run.eval_json(other).is_file() for run in runs.values()):
            summaries = {name: read_json(run.eval_json(other)) for name, run in runs.items()}
            doses.append(dose_tables.of_dose(photons, _combined(summaries, config)))
        else:
            missing.append(f"split {other} was not evaluated of every model; evaluate them with experiments.evaluate")
    return doses, missing


def image_rows(runs: Runs, split: str) -> list[dict[str, Any]]:
    """The rows of all runs' CSV, numbers as float or None, methods that they share once."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for run in runs.values():
        with run.eval_csv(split).open(newline="") as file:
            for row in csv.DictReader(file):
                identity = {name: row.pop(name) for name in _IDENTITY}
                values = {name: float(text) if text else None for name, text in row.items()}
                rows.setdefault(tuple(identity.values()), identity | values)
    return list(rows.values())


def describe_data(data: Mapping[str, Any]) -> str:
    """What captions say of the data of an evaluation's summary."""
    source = {
        "phantoms": "Synthetic phantoms, not patients",
        "lodopab": "LoDoPaB-CT layout",
        "dicom": "Paired DICOM series" if data["settings"]["noise"] == "none" else "DICOM series",
    }
    settings, (height, width) = data["settings"], data["image_shape"]
    extras = [text for flag, text in _NOISE_VARIANTS.items() if settings[flag]]
    inserted = settings.get("dose") is not None
    noise = ", ".join([_NOISES["inserted" if inserted else settings["noise"]](settings), *extras])
    return f"{source.get(data['source'], data['source'])}, {height}x{width}, {noise}"


_NOISES = {
    "gaussian": lambda settings: (
        f"gaussian noise of std {settings['noise_std']:g}"
        if settings["noise_std"] is not None
        else f"gaussian noise of variance {settings['noise_variance']:g}"
    ),
    "poisson": lambda settings: f"simulated counts ({_photons(settings['photons'])}), reconstructed",
    "observations": lambda _: "stored low-dose observations, reconstructed",
    "none": lambda _: "real low-dose scans",
    "inserted": lambda settings: (
        f"noise of {settings['dose']:g} of the dose added ({settings['photons']:g} photons a ray at the normal dose)"
    ),
}


def _photons(photons: float | list[float]) -> str:
    """Of several doses, tables and figures show the first, but for those against dose."""
    if not isinstance(photons, list):
        return f"{photons:g} photons a ray"
    return f"{', '.join(f'{value:g}' for value in photons)} photons a ray; tested at {photons[0]:g}"


_NOISE_VARIANTS = {"shared_noise_field": "one field for all", "rescale_low_dose": "noisy input min-max rescaled"}


def _warnings(runs: Runs, summaries: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    warnings = []
    if data["patients_in_both"] == tfrecords.UNKNOWN_PATIENT:
        warnings.append("the patients are unknown (no patient_ids_rand_*.csv); a patient may be in training and test")
    elif data["patients_in_both"]:
        warnings.append(f"{len(data['patients_in_both'])} test patients also occur in training")
    for name, run in runs.items():
        rows, step = run.rows(), summaries[name]["step"]
        if rows and step != rows[-1]["step"]:
            warnings.append(f"{name} was evaluated at step {step}, and trained up to {rows[-1]['step']} since")
        for term, share in (rows[-1].get("gradient_shares") or {}).items() if rows else ():
            if share < NEGLIGIBLE_SHARE:
                warnings.append(
                    f"{name}: its term {term} has {share:.2%} of the generator's gradient at the end, so the model is "
                    "one without it in all but name; change --content_weight"
                )
    return warnings


def _outcome(run: RunDir, summary: Mapping[str, Any]) -> dict[str, Any]:
    """A model's own part; `last_epoch` is None where its training is not known."""
    model, rows = summary["model"], run.rows()
    last = rows[-1] if rows else None
    return {
        "collapsed": bool(last and last["collapsed"]),
        "initialisation_means": rows[0]["initialisation_means"] if rows else [],
        "last_epoch": last,
        "init_from": run.stored().get("init_from") if run.config.is_file() else None,
        "test": summary["methods"][model],
        "sample": summary["sample"]["methods"][model],
        "published": dict(zip(("ssim", "psnr"), tables.PUBLISHED_TEST.get(model, (None, None)), strict=True)),
    }


def _combined(summaries: Mapping[str, Mapping[str, Any]], config: Config) -> dict[str, Any]:
    """One evaluation of all models: what they share, each one's means, and the statistics of all together."""
    shared = ("report_batch_size", "images", "patients", "windows", "truth")
    shared += ("perceptual", "baselines", "missing_baselines", "repeats")
    first = next(iter(summaries.values()))
    means, patient_values, noise_power, responses = {}, {}, {}, {}
    for summary in summaries.values():
        means |= summary["methods"]
        patient_values |= summary["patient_values"]
        noise_power |= summary["noise_power"]["methods"]
        responses |= summary["responses"]
    return {
        **{name: first[name] for name in shared},
        "methods": means,
        "statistics": patient_statistics(patient_values, first["baselines"], first["patients"], config),
        "patient_values": patient_values,
        "detectability": lesion_statistics(responses, config),
        "noise_power": {"unit": first["noise_power"]["unit"], "methods": noise_power},
    }
