"""Training and judging every row of a study, and what study.json and study.md say of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgan_vgg import config_values, vgg
from wgan_vgg.config import Config
from wgan_vgg.data_stage import Progress, prepare_data
from wgan_vgg.endings import Diverged
from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.evaluation.results import describe_data
from wgan_vgg.evaluation.study_tables import study_markdown
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.reproduce import SPLIT, judge, train_and_judge
from wgan_vgg.run_dir import StudyDir, read_json, write_json, write_text
from wgan_vgg.study import STUDIES, Variant, applied, variant_configs
from wgan_vgg.training.train_loop import check_sizes

# Those of an evaluation's means that the study shows: the notebook's two, and the honest ones.
METRICS = ("report_psnr", "report_ssim", "psnr", "ssim", "rmse_hu")


def run_study(
    study: str,
    config: Config,
    workdir: Path,
    *,
    source: str = "phantoms",
    input_dir: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Trains one model under every protocol of a study, skipping what is already done.

    Each row is also judged on the first row's test split: what a network that was trained and published under another
    protocol is worth under that one. A row whose generator collapsed or diverged is marked, and the study goes on.

    Args:
      study: one of study.STUDIES.
      config: the model, and all that the rows have in common.
      workdir: gets the folder `study`, with study.json, study.md, the records and a run directory a row.
      source: "phantoms" or "lodopab".
      input_dir: the LoDoPaB-CT files, for source "lodopab".
      progress: told of every stage.

    Returns:
      The content of study.json.

    Raises:
      InputError: whatever is wrong with the arguments, the data or `workdir`.
    """
    configs = variant_configs(study, config, source)
    variants = STUDIES[study]
    first = next(iter(configs))
    place = StudyDir(workdir)
    place.create()
    if config.spec.content == "vgg":
        vgg.find_weights(config.vgg)  # a failing download must not show after hours of training
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
                progress=_named(progress, name),
            )
        )
        for name in dict.fromkeys(owners.values())
    }
    for variant_config in configs.values():
        check_sizes(variant_config, data[first].image_shape)
    rows = []
    for name, variant_config in configs.items():
        owner, run = owners[name], place.run(name)
        status = _train_and_judge(variant_config, data[owner], place, name, owner, progress)
        judged = on_first = read_json(run.eval_json(SPLIT))
        if owner != first:
            results = place.on_other_data(name)
            judge(configs[first], data[first], run, results, place.references(first), _named(progress, name))
            on_first = read_json(results.eval_json(SPLIT))
        rows.append(_row(name, variants[name], variant_config, judged, on_first) | status)
    results = {
        "study": study,
        "preset": config.preset,
        "model": config.model,
        "seed": config.seed,
        "caption": describe_data(read_json(place.run(first).eval_json(SPLIT))["data"]),
        "vgg_weights": vgg.describe_weights(config.vgg) if config.spec.content == "vgg" else None,
        "report_batch_size": configs[first].evaluation.report_batch_size,
        "left_out": [variants[name].title for name in variants if name not in configs],
        "rows": rows,
    }
    if not (place.results_json.exists() and read_json(place.results_json) == results):
        write_text(place.results_md, study_markdown(results))
        write_json(place.results_json, results)  # last: it says that the rest is there
    return results


def _train_and_judge(
    config: Config, data: DataSet, place: StudyDir, name: str, owner: str, progress: Progress | None
) -> dict[str, Any]:
    """Trains and judges a row; returns how its training ended. A diverged one is judged by its last checkpoint."""
    run, references, named = place.run(name), place.references(owner), _named(progress, name)
    try:
        last = train_and_judge(config, data, run, references, named, config.model)
    except Diverged as error:
        judge(config, data, run, run, references, named)
        return {"status": "diverged", "message": str(error)}
    return {"status": "collapsed" if last["collapsed"] else "done", "message": None}


def _row(
    name: str,
    variant: Variant,
    config: Config,
    judged: Mapping[str, Any],
    on_first: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "name": name,
        "title": variant.title,
        "source": variant.source,
        "overrides": {key: config_values.flatten(config)[key] for key in applied(variant, config)},
        "images": judged["data"]["images"],
        "patients": judged["data"]["patients"],
        "patients_in_both": judged["data"]["patients_in_both"],
        "step": judged["step"],
        "noisy": _means(judged, NOISY),
        "model": _means(judged, config.model),
        "on_first": _means(on_first, config.model),
    }


def _means(summary: Mapping[str, Any], method: str) -> dict[str, float | None]:
    return {name: summary["methods"][method][name] for name in METRICS}


def _named(progress: Progress | None, name: str) -> Progress | None:
    """Stages are told apart by the row that they are of."""
    return (lambda stage, *now: progress(f"{name}: {stage}", *now)) if progress else None
