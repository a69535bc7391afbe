"""Training every row of the relatives' table for the same time, and evaluating all of them together."""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.progress import Progress, prefixed, silent
from wgan_vgg.checkpoint_reader import newest_step
from wgan_vgg.config import Config, nested
from wgan_vgg.errors import Diverged, InputError
from wgan_vgg.evaluation import methods
from wgan_vgg.evaluation.evaluate import evaluate
from wgan_vgg.evaluation.repeats import VERSION
from wgan_vgg.files import read_json, write_json, write_text
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.models import vgg
from wgan_vgg.reporting.combined import combined
from wgan_vgg.reporting.json_types import Relatives, RelativesRow
from wgan_vgg.reporting.relatives_tables import relatives_markdown
from wgan_vgg.reporting.results import describe_data
from wgan_vgg.reproduction.relatives import RELATIVES, check_given, check_rows, row_config, with_steps
from wgan_vgg.reproduction.reproduce import SPLIT, check_seeds
from wgan_vgg.reproduction.row_costs import RowCosts, measure
from wgan_vgg.run_dir import RelativesDir, RunDir
from wgan_vgg.training.train_loop import check_sizes, train


def run_relatives(
    config: Config,
    names: Sequence[str],
    data_dir: Path,
    workdir: Path,
    *,
    row_seconds: float,
    given: Collection[str] = (),
    seeds: int = 1,
    progress: Progress = silent,
) -> Relatives:
    """Makes the table, skipping what is already done.

    First every row's step is timed, which should find the machine idle; as many of them as fit into `row_seconds` are
    its training. The times are kept, so that a rerun has the same steps. Evaluations on validation and the compilation
    of the first step come on top.

    Args:
      config: what all rows have in common.
      names: of relatives.RELATIVES.
      data_dir: records.
      workdir: gets the folder `relatives`, with relatives.json, relatives.md and a run for each row and seed.
      row_seconds: of training, for each row.
      given: see for_model.
      seeds: how often each row is trained: with the config's seed and those that follow it.
      progress: called in every stage.

    Returns:
      The content of relatives.json.

    Raises:
      InputError: whatever is wrong with the arguments, the data or `workdir`.
    """
    check_seeds(seeds)
    check_rows(names)
    check_given(given)
    if not 0 < row_seconds < math.inf:
        raise InputError(
            f"row_seconds={row_seconds:g}: must be above 0, and finite, the seconds of each row's training"
        )
    data = DataSet.open(data_dir)
    configs = {name: row_config(config, name, given=given) for name in names}
    for one in configs.values():
        check_sizes(one, data.image_shape)
    weights = next((vgg.describe_weights(one.vgg) for one in configs.values() if one.spec.uses_vgg), None)
    place = RelativesDir(workdir)
    place.create()
    costs = _costs(configs, data, place, progress)
    endings: dict[str, list[str]] = {name: [] for name in names}
    # Seed by seed, so that what is there after a while is one whole table.
    for repetition in range(seeds):
        for name in names:
            run = place.run(name, repetition)
            before = RELATIVES[name].begins_with
            begins_with = place.run(before, repetition).path if before else None
            own = with_steps(
                row_config(config, name, repetition, begins_with, given), costs[name]["seconds_a_step"], row_seconds
            )
            endings[name].append(_train(own, data, run, prefixed(progress, f"{name}, repetition {repetition}")))
        _evaluate(config, names, data, place, repetition, progress)
    summaries = [read_json(place.evaluation(repetition).eval_json(SPLIT)) for repetition in range(seeds)]
    results: Relatives = {
        "caption": describe_data(summaries[0]["data"]),
        "vgg_weights": weights,
        "row_seconds": row_seconds,
        "precision": config.training.precision,
        "seeds": [config.seed + repetition for repetition in range(seeds)],
        "rows": [
            _row(name, costs[name], [place.run(name, repetition) for repetition in range(seeds)], endings[name])
            for name in names
        ],
        "evaluation": combined({"all": summaries}, config),
    }
    if not (place.results_json.exists() and read_json(place.results_json) == results):
        write_text(place.results_md, relatives_markdown(results))
        write_json(place.results_json, results)  # last: it says that the rest is there
    return results


def _costs(
    configs: Mapping[str, Config], data: DataSet, place: RelativesDir, progress: Progress
) -> dict[str, RowCosts]:
    """What each row costs here, measured once for a config and data."""
    kept: dict[str, Any] = read_json(place.costs) if place.costs.exists() else {}
    for number, (name, config) in enumerate(configs.items(), start=1):
        key = [nested.to_dict(config), data.fingerprint]
        if kept.get(name, {}).get("key") != key:
            kept[name] = {"key": key, "costs": measure(config, data)}
            write_json(place.costs, kept)
        progress("time a step of each row", number, len(configs))
    return {name: kept[name]["costs"] for name in configs}


def _train(config: Config, data: DataSet, run: RunDir, progress: Progress) -> str:
    """Trains a row to its end; returns how it ended. Of a diverged one the last checkpoint counts."""
    try:
        return "collapsed" if train(config, data, run.path, progress)["collapsed"] else ""
    except Diverged as error:
        if newest_step(run) is None:  # as in critic warm-up: there is nothing to evaluate
            raise
        return f"diverged: {error}"


def _evaluate(
    config: Config, names: Sequence[str], data: DataSet, place: RelativesDir, repetition: int, progress: Progress
) -> None:
    """Evaluates the rows of one seed together on the test split, unless that was done."""
    results = place.evaluation(repetition)
    method, *beside = [_method(name, place.run(name, repetition)) for name in names]
    if results.eval_json(SPLIT).exists():
        summary = read_json(results.eval_json(SPLIT))
        steps = {one.name: one.step for one in (method, *beside)}
        if (
            summary.get("version") == VERSION
            and summary["settings"] == nested.to_dict(config.evaluation)
            and steps.items() <= summary.get("steps", {}).items()
        ):
            return
    evaluate(method, results, data, SPLIT, config, beside=beside, references=place.references, progress=progress)


def _method(name: str, run: RunDir) -> methods.Method:
    return methods.from_run(run, _weights(name), name)


def _weights(name: str) -> str:
    """Validation's choice; but by PSNR a row that begins with trained weights would be its own beginning."""
    return "raw" if RELATIVES[name].begins_with else "best"


def _row(name: str, costs: RowCosts, runs: Sequence[RunDir], endings: Sequence[str]) -> RelativesRow:
    config = runs[0].load_config()
    return {
        "name": name,
        "model": config.model,
        "begins_with": RELATIVES[name].begins_with,
        "parameters": costs["parameters"],
        "seconds_a_step": costs["seconds_a_step"],
        "seconds_a_slice": costs["seconds_a_slice"],
        "steps": config.training.steps,
        "chosen_steps": [_method(name, run).step for run in runs],
        "ending": next((ending for ending in endings if ending), ""),
    }
