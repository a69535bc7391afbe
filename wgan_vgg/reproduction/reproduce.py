"""The report's whole experiment: data -> models -> evaluation -> SavedModels -> tables and figures.

Each stage leaves its result under one name at its end, so that a run that was killed, or repeated, continues
with what is missing.
"""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from data_prep.progress import Progress, prefixed, silent
from wgan_vgg.checkpoint_reader import newest_step
from wgan_vgg.config import MODELS, Config, for_model, nested, override
from wgan_vgg.errors import Diverged, InputError
from wgan_vgg.evaluation import baselines, methods
from wgan_vgg.evaluation.evaluate import evaluate
from wgan_vgg.evaluation.repeats import VERSION
from wgan_vgg.exporters.export import export_saved_model, exported_step
from wgan_vgg.files import read_json, write_json
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.json_types import EpochRow
from wgan_vgg.models import vgg
from wgan_vgg.reporting.json_types import Results
from wgan_vgg.reporting.report import write_report
from wgan_vgg.reporting.results import collect
from wgan_vgg.reproduction.data_stage import prepare_data
from wgan_vgg.run_dir import ReferencesDir, ReproductionDir, RunDir
from wgan_vgg.training.batches import check_batches
from wgan_vgg.training.train_loop import check_sizes, train

logger = logging.getLogger(__name__)

SPLIT = "test"


def reproduce(
    config: Config,
    model_names: Sequence[str],
    workdir: Path,
    *,
    given: Collection[str] = (),
    seeds: int = 1,
    source: str = "phantoms",
    input_dir: Path | None = None,
    data_dir: Path | None = None,
    progress: Progress = silent,
) -> Results:
    """Runs the experiment, skipping what is already done.

    Args:
      config: the preset with its overrides; its `model` is replaced by each of `model_names`.
      model_names: what to train.
      workdir: holds the data, a run directory for each model and seed, and above them results.json, results.md,
        report.html and figures/.
      given: see for_model.
      seeds: how often each model is trained, on the same data: with the config's seed and those that follow it.
      source: "phantoms" or "lodopab".
      input_dir: the LoDoPaB-CT files, for source "lodopab".
      data_dir: records that are already prepared, instead of `source`.
      progress: called in every stage.

    Returns:
      The content of results.json.

    Raises:
      InputError: whatever is wrong with the arguments, the data or `workdir`.
      Diverged: a training has, see train; raised at the end, when all else is done, and at once where it has no
        checkpoint yet, as in critic warm-up.
    """
    place = ReproductionDir(workdir)
    check_seeds(seeds)
    configs = {
        name: [_model_config(config, name, model_names, place, repetition, given) for repetition in range(seeds)]
        for name in model_names
    }
    if not configs:
        raise InputError("models: name at least one")
    if input_dir and data_dir:
        raise InputError(f"input_dir {input_dir}: not used with data_dir; drop one")
    place.create()
    if any(MODELS[name].uses_vgg for name in configs):
        vgg.build_vgg(config.vgg)  # a failing download or a wrong file must not show after hours of training
    data = DataSet.open(
        data_dir
        or prepare_data(
            config,
            place.data,
            source,
            phantoms_dir=place.phantoms,
            input_dir=input_dir,
            allow_leak=config.preset == "notebook",
            progress=progress,
        )
    )
    for model_config, *_ in configs.values():
        check_sizes(model_config, data.image_shape)
        check_batches(model_config, data)
    runs = {name: [place.model(name, repetition) for repetition in range(seeds)] for name in configs}
    diverged: list[str] = []
    # Seed by seed, so that what is there after a while is one whole comparison.
    for repetition in range(seeds):
        for name, of_seeds in configs.items():
            run, model_config = runs[name][repetition], of_seeds[repetition]
            told = prefixed(progress, f"seed {model_config.seed}") if seeds > 1 else progress
            try:
                train_and_evaluate(model_config, data, run, place.references, told)
            except Diverged as error:  # the others are wanted all the same, beside its last good checkpoint
                if newest_step(run) is None:
                    raise
                diverged.append(f"{name} (seed {model_config.seed}): {error}")
                evaluate_run(model_config, data, run, run, place.references, told)
            for weights, folder in run.exports(averaged=bool(model_config.training.ema_decay)).items():
                if exported_step(folder) != newest_step(run):
                    export_saved_model(run, folder, overwrite=True, weights=weights)
    results = collect(runs, SPLIT)
    whole = place.results_json.exists() and place.results_md.exists() and place.report_html.exists()
    if not (whole and read_json(place.results_json) == results):
        write_report(place, runs, results, SPLIT)
        write_json(place.results_json, results)  # last: it says that the rest is there
    if diverged:
        raise Diverged(f"{'; '.join(diverged)}; the report in {workdir} has the last good checkpoint")
    return results


def train_and_evaluate(
    config: Config,
    data: DataSet,
    run: RunDir,
    references: ReferencesDir,
    progress: Progress,
) -> EpochRow:
    """Trains a run to its end and evaluates it, as far as that is not done.

    Args:
      config: the run's.
      data: its records.
      run: where it is, or begins.
      references: what it is evaluated beside, see evaluate.
      progress: called while training and evaluating.

    Returns:
      The last row of metrics.jsonl, see train.

    Raises:
      InputError, Diverged: see train and evaluate.
    """
    last = train(config, data, run.path, progress)
    evaluate_run(config, data, run, run, references, progress)
    return last


def evaluate_run(
    config: Config,
    data: DataSet,
    run: RunDir,
    results: RunDir,
    references: ReferencesDir,
    progress: Progress,
) -> None:
    """Evaluates a run's generator on the test split, at every dose, into `results`, unless that was done."""
    for split in data.of_every_dose(SPLIT):
        if not _is_evaluated(run, results, config, split):
            evaluate(
                methods.from_run(run),
                results,
                data,
                split,
                config,
                beside=methods.beside_run(run),
                references=references,
                progress=progress,
            )


def _is_evaluated(run: RunDir, results: RunDir, config: Config, split: str) -> bool:
    """Whether `results` evaluates the run as it is now, and as the config says."""
    if not results.eval_json(split).exists():
        return False
    summary = read_json(results.eval_json(split))
    wanted = {
        "version": VERSION,
        "step": newest_step(run),
        "settings": nested.to_dict(config.evaluation),
        "missing_baselines": baselines.missing(config.evaluation.baselines),
    }
    return all(summary.get(key) == value for key, value in wanted.items())


def check_seeds(seeds: int) -> None:
    """Raises InputError unless `seeds` is a number of trainings."""
    if seeds < 1:
        raise InputError(f"seeds={seeds}: must be at least 1, the number of trainings of each model")


def seeded(config: Config, repetition: int) -> Config:
    """The config of a repetition: with the config's own seed plus the repetition's number."""
    return override(config, {"seed": config.seed + repetition})


def _model_config(
    config: Config,
    name: str,
    model_names: Sequence[str],
    place: ReproductionDir,
    repetition: int,
    given: Collection[str] = (),
) -> Config:
    """The config of one run; `training.init_from` may name another model, which then is trained before it.

    An unpaired model does not begin with what pairs have taught another one.
    """
    config = seeded(for_model(config, name, given), repetition)
    init_from = config.training.init_from
    if init_from not in MODELS:
        return config
    if MODELS[init_from].paired and not config.spec.paired:
        return override(config, {"training.init_from": None})
    before = model_names[: model_names.index(name)]
    if init_from not in before and init_from != name and not repetition:
        logger.warning(
            "training.init_from=%s: not trained before %s, which begins with random weights", init_from, name
        )
    begins_with = str(place.model(init_from, repetition).path.resolve()) if init_from in before else None
    return override(config, {"training.init_from": begins_with})
