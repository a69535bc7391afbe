"""What evaluated runs say together: the content of results.json, of every table, figure and page."""

import csv
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep.json_types import UNKNOWN
from data_prep.noise_models import NOISES
from wgan_vgg.config import MODELS, Config, nested
from wgan_vgg.errors import InputError
from wgan_vgg.evaluation.json_types import EvaluatedData, Row, Score, Summary
from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.evaluation.repeats import VERSION
from wgan_vgg.files import read_json
from wgan_vgg.models import vgg
from wgan_vgg.reporting import dose_tables, tables
from wgan_vgg.reporting.combined import combined
from wgan_vgg.reporting.json_types import Dose, ModelOutcome, Results, Runs, SeedOutcome, Summaries
from wgan_vgg.reporting.provenance import provenance_line
from wgan_vgg.reporting.verdict import verdict
from wgan_vgg.run_dir import ReproductionDir, RunDir
from wgan_vgg.training.rows import has_ended

NEGLIGIBLE_SHARE = 0.01  # of the generator's gradient: such a term is there by name only
_IDENTITY = ("patient_id", "slice_index", "source", "method")


def find_runs(workdir: Path, split: str) -> dict[str, list[RunDir]]:
    """The evaluated runs of a run directory (one) or of a reproduction (one for each model and seed).

    Of a model's seeds those from the first one that is not evaluated yet are left out.

    Raises:
      InputError: there is none, or one that `split` was not evaluated of.
    """
    place = ReproductionDir(workdir)
    if not workdir.is_dir():
        raise InputError(f"workdir {workdir}: no such folder; give a run directory or a reproduction's")
    if place.results_json.is_file():
        names = list(read_json(place.results_json)["models"])
    else:
        names = [name for name in MODELS if place.seeds_of(name)]
    found = [place.seeds_of(name) for name in names] or [[RunDir(workdir)]]
    for name, of_seeds in zip(names, found, strict=False):
        if not of_seeds:
            raise InputError(
                f"workdir {workdir}: the runs of {name} are gone; reproduce it again, which makes them anew"
            )
    for first, *_ in found:
        if not first.eval_json(split).is_file():
            raise InputError(
                f"workdir {first.path}: its {split} split was not evaluated; evaluate it with experiments.evaluate"
            )
    evaluated = [[*itertools.takewhile(lambda run: run.eval_json(split).is_file(), of_seeds)] for of_seeds in found]
    return {read_json(of_seeds[0].eval_json(split))["model"]: of_seeds for of_seeds in evaluated}


def collect(runs: Runs, split: str) -> Results:
    """The content of results.json, from the run directories alone.

    Raises:
      InputError: an evaluation is of an older version, or of other data than the others.
    """
    summaries = _read(runs, split)
    configs = [run.load_config() for of_seeds in runs.values() for run in of_seeds if run.config.is_file()]
    first = next(iter(summaries.values()))[0]
    _check_alike(runs, summaries, split, first)
    # The seed is the run's; all else is as the evaluations were made, which may be later than the run.
    as_evaluated = nested.flatten_dict({"evaluation": first["settings"]})
    config = nested.override(next(iter(configs), Config()), as_evaluated)
    firsts = {name: of_seeds[0] for name, of_seeds in summaries.items()}
    samples = {method: values for summary in firsts.values() for method, values in summary["sample"]["methods"].items()}
    data, evaluation = first["data"], combined(summaries, config)
    doses, missing = _at_every_dose(runs, split, first, config)
    weights = [vgg.describe_weights(one.vgg) for one in configs if one.spec.uses_vgg]
    caption = "; ".join([describe_data(data), *weights[:1]])
    results: Results = {
        "preset": config.preset if configs else None,
        "seeds": sorted({one.seed for one in configs}),
        "caption": caption,
        "provenance": provenance_line(runs, summaries, caption),
        "data": data,
        "split": split,
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
        "models": {
            name: _outcome(of_seeds, summaries[name], evaluation["methods"][name]) for name, of_seeds in runs.items()
        },
    }
    if doses:
        results["doses"] = doses
    return results


def _read(runs: Runs, split: str) -> Summaries:
    return {name: [read_json(run.eval_json(split)) for run in of_seeds] for name, of_seeds in runs.items()}


def _at_every_dose(runs: Runs, split: str, first: Summary, config: Config) -> tuple[list[Dose], list[str]]:
    """Of data of several doses, what the evaluations say at each (dose_tables.of_dose); warnings of those missing.

    Raises:
      InputError: as `collect`; `first` being an evaluation of the split that was asked for.
    """
    doses: list[Dose] = []
    missing: list[str] = []
    by_dose = first["data"].get("test_photons", {}) if split == "test" else {}
    for other, photons in sorted(by_dose.items(), key=lambda item: item[1]):
        if all(run.eval_json(other).is_file() for of_seeds in runs.values() for run in of_seeds):
            summaries = _read(runs, other)
            _check_alike(runs, summaries, other, first)
            doses.append(dose_tables.of_dose(photons, combined(summaries, config)))
        else:
            missing.append(f"split {other} was not evaluated of every model; evaluate them with experiments.evaluate")
    return doses, missing


def _check_alike(runs: Runs, summaries: Summaries, split: str, first: Summary) -> None:
    """Raises InputError unless all evaluations are of this version, and of the data and settings of the first one."""
    for name, of_seeds in summaries.items():
        for run, summary in zip(runs[name], of_seeds, strict=True):
            if summary.get("version") != VERSION:
                raise InputError(f"{run.eval_json(split)}: of an older version; evaluate it again")
            if _compared(summary) != _compared(first):
                raise InputError(
                    f"{run.path}: evaluated on other data or with other settings than the others; evaluate it again"
                )


def _compared(summary: Summary) -> tuple[object, ...]:
    """What must be the same in evaluations that are compared; of the baselines which, since each dose tunes its own."""
    names = list(summary["baselines"])
    return summary["data"], summary["settings"], summary["perceptual"], names, summary["missing_baselines"]


def image_rows(runs: Runs, split: str) -> list[Row]:
    """The rows of the CSV of each model's first seed, numbers as float or None, methods that they share once."""
    rows: dict[tuple[str, ...], Row] = {}
    for run in (of_seeds[0] for of_seeds in runs.values()):
        with run.eval_csv(split).open(newline="") as file:
            for row in csv.DictReader(file):
                identity = {name: row.pop(name) for name in _IDENTITY}
                values = {name: float(text) if text else None for name, text in row.items()}
                rows.setdefault(tuple(identity.values()), identity | values)
    return list(rows.values())


def describe_data(data: EvaluatedData) -> str:
    """What captions say of the data of an evaluation's summary."""
    source = {
        "phantoms": "Synthetic phantoms, not patients",
        "lodopab": "LoDoPaB-CT layout",
        "dicom": "Paired DICOM series" if data["settings"]["noise"] == "none" else "DICOM series",
    }
    settings, (height, width) = data["settings"], data["image_shape"]
    extras = [text for flag, text in _NOISE_VARIANTS.items() if settings[flag]]
    noise = ", ".join([NOISES[settings["noise"]].says(settings), *extras])
    return f"{source.get(data['source'], data['source'])}, {height}x{width}, {noise}"


_NOISE_VARIANTS = {"shared_noise_field": "one field for all", "rescale_low_dose": "noisy input min-max rescaled"}


def _warnings(runs: Runs, summaries: Summaries, data: EvaluatedData) -> list[str]:
    warnings = [*_not_drawn(summaries)]
    if data["patients_in_both"] == UNKNOWN:
        warnings.append("the patients are unknown (no patient_ids_rand_*.csv); a patient may be in training and test")
    elif data["patients_in_both"]:
        warnings.append(f"{len(data['patients_in_both'])} patients occur in more than one split")
    most = max(map(len, runs.values()))
    for name, of_seeds in runs.items():
        if len(of_seeds) < most:
            warnings.append(
                f"{name} has {len(of_seeds)} of {most} seeds; models are compared over the seeds that both have, if "
                "these are two or more"
            )
        for run, summary in zip(of_seeds, summaries[name], strict=True):
            of_seed = f"{name} (seed {run.load_config().seed})" if len(of_seeds) > 1 else name
            warnings += _warnings_of_run(of_seed, run, summary["step"])
    return warnings


def _not_drawn(summaries: Summaries) -> list[str]:
    """What stands in the tables alone: models that were evaluated with another one."""
    warnings = []
    for name, (first, *_) in summaries.items():
        others = [other for other in first["methods"] if other not in (name, *first["beside"])]
        if others := [other for other in others if other not in (f"{name}-average", f"{name}-best")]:
            warnings.append(f"the figures show {name}, not {', '.join(others)}, which stand in the tables alone")
    return warnings


def _warnings_of_run(name: str, run: RunDir, step: int | None) -> list[str]:
    if not (rows := run.rows()):
        return []
    warnings, last = [], rows[-1]
    total = run.load_config().total_steps(run.stored()["data"]["images"]["train"])
    if not has_ended(last, total):
        warnings.append(
            f"{name}: its training has not ended, by a stop or because it diverged; its last row is of step "
            f"{last['step']:,} of {total:,}"
        )
    if step != last["step"]:
        warnings.append(f"{name} was evaluated at step {step}, and trained up to {last['step']} since")
    for term, share in (last.get("gradient_shares") or {}).items():
        if share < NEGLIGIBLE_SHARE:
            warnings.append(
                f"{name}: its term {term} has {share:.2%} of the generator's gradient at the end, so the model is "
                "one without it in all but name; change --content_weight"
            )
    return warnings


def _outcome(of_seeds: Sequence[RunDir], summaries: Sequence[Summary], means: Mapping[str, Score]) -> ModelOutcome:
    """A model's own part, `means` being over its seeds."""
    run, model = of_seeds[0], summaries[0]["model"]
    rows, (ssim, psnr) = run.rows(), tables.PUBLISHED_TEST.get(model, (None, None))
    by_seed = [_of_seed(other, summary["methods"][model]) for other, summary in zip(of_seeds, summaries, strict=True)]
    return {
        "collapsed": any(one["collapsed"] for one in by_seed),
        "initialisation_means": rows[0]["initialisation_means"] if rows else [],
        "last_epoch": rows[-1] if rows else None,
        "init_from": run.stored().get("init_from") if run.config.is_file() else None,
        "test": means,
        "by_seed": by_seed,
        "sample": summaries[0]["sample"]["methods"][model],
        "published": {"ssim": ssim, "psnr": psnr},
    }


def _of_seed(run: RunDir, means: Mapping[str, Score]) -> SeedOutcome:
    rows = run.rows()
    return {
        "seed": run.load_config().seed if run.config.is_file() else None,
        "psnr": means["psnr"],
        "ssim": means["ssim"],
        "collapsed": bool(rows and rows[-1]["collapsed"]),
        "step": rows[-1]["step"] if rows else None,
        "behind_input_since": rows[-1].get("behind_input_since") if rows else None,
    }
