"""Training and evaluating every row of a study, and what study.json and study.md say of them."""

from pathlib import Path

from data_prep.progress import Progress, prefixed, silent
from wgan_vgg.checkpoint_reader import newest_step
from wgan_vgg.config import Config
from wgan_vgg.errors import Diverged
from wgan_vgg.files import read_json, write_json, write_text
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.models import vgg
from wgan_vgg.reporting.json_types import Study
from wgan_vgg.reporting.results import describe_data
from wgan_vgg.reporting.study_tables import study_markdown
from wgan_vgg.reproduction.data_stage import prepare_data
from wgan_vgg.reproduction.protocols import STUDIES, variant_configs
from wgan_vgg.reproduction.reproduce import SPLIT, check_seeds, evaluate_run, seeded, train_and_evaluate
from wgan_vgg.reproduction.study_rows import EvaluatedSeed, study_row
from wgan_vgg.run_dir import ReferencesDir, RunDir, StudyDir
from wgan_vgg.training.train_loop import check_sizes


def run_study(
    study: str,
    config: Config,
    workdir: Path,
    *,
    seeds: int = 1,
    source: str = "phantoms",
    input_dir: Path | None = None,
    progress: Progress = silent,
) -> Study:
    """Trains one model under every protocol of a study, skipping what is already done.

    Each row is also evaluated on the first row's test split: what a network that was trained and published under
    another protocol is worth under that one. A row whose generator collapsed or diverged is marked, and the study
    continues.

    Args:
      study: one of protocols.STUDIES.
      config: the model, and all that the rows have in common.
      workdir: gets the folder `study`, with study.json, study.md, the records and a run for each row and seed.
      seeds: how often each row is trained, on the same data: with the config's seed and those that follow it.
      source: "phantoms" or "lodopab".
      input_dir: the LoDoPaB-CT files, for source "lodopab".
      progress: called in every stage.

    Returns:
      The content of study.json.

    Raises:
      InputError: whatever is wrong with the arguments, the data or `workdir`.
    """
    check_seeds(seeds)
    configs = variant_configs(study, config, source)
    variants = STUDIES[study]
    first = next(iter(configs))
    place = StudyDir(workdir)
    place.create()
    if config.spec.uses_vgg:
        vgg.build_vgg(config.vgg)  # a failing download or a wrong file must not show after hours of training
    # Rows that change nothing in the data share those of the first of them. All are made before anything is trained.
    owners = {name: next(other for other in configs if configs[other].data == configs[name].data) for name in configs}
    data = {
        name: DataSet.open(
            prepare_data(
                configs[name],
                place.data(name),
                source,
                phantoms_dir=place.phantoms,
                input_dir=input_dir,
                allow_leak=variants[name].leaks,
                progress=prefixed(progress, name),
            )
        )
        for name in dict.fromkeys(owners.values())
    }
    for variant_config in configs.values():
        check_sizes(variant_config, data[first].image_shape)
    evaluated: dict[str, list[EvaluatedSeed]] = {name: [] for name in configs}
    # Seed by seed, so that what is there after a while is one whole study.
    for repetition in range(seeds):
        for name, variant_config in configs.items():
            owner, run = owners[name], place.run(name, repetition)
            own_config = seeded(variant_config, repetition)
            told = prefixed(progress, f"{name}, repetition {repetition}" if repetition else name)
            status = _train_and_evaluate(own_config, data[owner], run, place.references(owner), told)
            own = on_first = read_json(run.eval_json(SPLIT))
            if owner != first:
                other = place.on_other_data(name, repetition)
                first_config = seeded(configs[first], repetition)
                evaluate_run(first_config, data[first], run, other, place.references(first), told)
                on_first = read_json(other.eval_json(SPLIT))
            evaluated[name].append(EvaluatedSeed(own_config, own, on_first, *status))
    rows = [study_row(name, variants[name], evaluated[name], evaluated[first], config) for name in configs]
    results: Study = {
        "study": study,
        "preset": config.preset,
        "model": config.model,
        "seeds": [config.seed + repetition for repetition in range(seeds)],
        "caption": describe_data(read_json(place.run(first).eval_json(SPLIT))["data"]),
        "vgg_weights": vgg.describe_weights(config.vgg) if config.spec.uses_vgg else None,
        "report_batch_size": configs[first].evaluation.report_batch_size,
        "left_out": [variants[name].title for name in variants if name not in configs],
        "rows": rows,
    }
    if not (place.results_json.exists() and read_json(place.results_json) == results):
        write_text(place.results_md, study_markdown(results))
        write_json(place.results_json, results)  # last: it says that the rest is there
    return results


def _train_and_evaluate(
    config: Config, data: DataSet, run: RunDir, references: ReferencesDir, progress: Progress
) -> tuple[str, str | None]:
    """Trains and evaluates a row; returns how its training ended. Of a diverged one the last checkpoint counts."""
    try:
        last = train_and_evaluate(config, data, run, references, progress)
    except Diverged as error:
        if newest_step(run) is None:  # as in critic warm-up: there is nothing to evaluate
            raise
        evaluate_run(config, data, run, run, references, progress)
        return "diverged", str(error)
    return "collapsed" if last["collapsed"] else "done", None
