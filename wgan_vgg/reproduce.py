"""The report's whole experiment: data -> models -> evaluation -> SavedModels -> tables and figures.

Each stage leaves its result under one name at its end, so that a run that was killed, or repeated, goes on
with what is missing.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from data_prep import lodopab, phantoms, prepare, tfrecords
from data_prep.errors import InputError
from wgan_vgg import config_values, vgg
from wgan_vgg.config import Config, override
from wgan_vgg.deploy.export import export_saved_model, exported_step
from wgan_vgg.evaluation import methods
from wgan_vgg.evaluation.evaluate import evaluate
from wgan_vgg.evaluation.report import write_report
from wgan_vgg.evaluation.results import collect
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import ReproductionDir, RunDir, read_json, write_json
from wgan_vgg.trained_model import newest_step
from wgan_vgg.training.train_loop import check_sizes, train

# Called as progress(stage, done, total, terms).
Progress = Callable[[str, int, int, dict[str, float]], None]
SPLIT = "test"


def reproduce(
    config: Config,
    model_names: Sequence[str],
    workdir: Path,
    *,
    source: str = "phantoms",
    input_dir: Path | None = None,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Runs the experiment, skipping what is already done.

    Args:
      config: the preset with its overrides; its `model` is replaced by each of `model_names`.
      model_names: what to train.
      workdir: holds the data, a run directory a model, and above them results.json, results.md, report.html
        and figures/.
      source: "phantoms" or "lodopab".
      input_dir: the LoDoPaB-CT files, for source "lodopab".
      data_dir: records that are already prepared, instead of `source`.
      progress: told of every stage.

    Returns:
      The content of results.json.

    Raises:
      InputError: whatever is wrong with the arguments, the data or `workdir`.
    """
    configs = {name: override(config, {"model": name}) for name in model_names}
    if not configs:
        raise InputError("models: name at least one")
    if input_dir and (data_dir or source == "phantoms"):
        raise InputError(
            f"input_dir {input_dir}: not used with {'data_dir' if data_dir else 'source=phantoms'}; drop one"
        )
    place = ReproductionDir(workdir)
    place.create()
    if _uses_vgg(configs):
        vgg.find_weights(config.vgg)  # a failing download must not show after hours of training
    data = DataSet.open(data_dir or prepare_data(config, place, source, input_dir, progress))
    for model_config in configs.values():
        check_sizes(model_config, data.image_shape)
    runs: dict[str, RunDir] = {}
    for name, model_config in configs.items():
        run = runs[name] = RunDir(place.model(name))
        stage = f"train {name}"
        train(model_config, data, run.path, lambda *now, s=stage: progress(s, *now) if progress else None)
        if not _judged(run, model_config):
            evaluate(
                methods.of_run(run),
                run,
                data,
                SPLIT,
                model_config,
                beside=methods.beside_run(run),
                references=place.references,
                progress=lambda *now: progress(*now, {}) if progress else None,
            )
        for weights, folder in run.exports(averaged=bool(model_config.training.ema_decay)).items():
            if exported_step(folder) != newest_step(run):
                export_saved_model(run, folder, overwrite=True, weights=weights)
    results = collect(runs, SPLIT)
    if not (place.results_json.exists() and read_json(place.results_json) == results):
        write_report(place, runs, results, SPLIT)
        write_json(place.results_json, results)  # last: it says that the rest is there
    return results


def prepare_data(
    config: Config, place: ReproductionDir, source: str, input_dir: Path | None, progress: Progress | None
) -> Path:
    """Makes the records under the work directory, unless the same ones are there.

    Raises:
      InputError: records of other settings or other files are there.
    """
    settings = dataclasses.asdict(config.data)
    if source == "phantoms":
        input_dir = place.phantoms
        write_phantoms(config, input_dir, _stage(progress, "make phantoms"))
    elif input_dir is None:
        raise InputError(f"source={source}: give the folder of its files with --input_dir")
    if place.data.exists():
        manifest = tfrecords.load_manifest(place.data)
        found = config_values.differences(
            {"seed": manifest["seed"], "data": manifest["data"]},
            {"seed": config.seed, "data": config_values.to_dict(config.data)},
        )
        for name, size in manifest["input_files"].items():
            if not (input_dir / name).is_file() or (input_dir / name).stat().st_size != size:
                found.append(f"input_dir: {name} is not the file the records were made of")
        if found:
            raise InputError(f"{place.data}: made with other settings ({'; '.join(found)}); take another workdir")
        return place.data
    prepare.prepare_lodopab(
        input_dir,
        place.data,
        seed=config.seed,
        allow_leak=config.preset == "notebook",
        progress=_stage(progress, "convert to TFRecord"),
        **settings,
    )
    return place.data


def write_phantoms(config: Config, output_dir: Path, progress: Callable[[int, int], None] | None) -> None:
    """Writes the config's phantoms, unless they are there.

    Raises:
      InputError: other files are there.
    """
    patients = {part: getattr(config.phantoms, f"{part}_patients") for part in lodopab.PARTS}
    slices = (config.phantoms.min_slices, config.phantoms.max_slices)
    if output_dir.is_dir() and any(output_dir.iterdir()):
        phantoms.check_same(output_dir, patients=patients, slices_per_patient=slices, seed=config.seed)
        return
    phantoms.write_phantoms(
        output_dir, patients=patients, slices_per_patient=slices, seed=config.seed, progress=progress
    )


def _stage(progress: Progress | None, stage: str) -> Callable[[int, int], None] | None:
    return (lambda done, total: progress(stage, done, total, {})) if progress else None


def _judged(run: RunDir, config: Config) -> bool:
    """Whether the run was judged as it is now, and as the config says."""
    if not run.eval_json(SPLIT).exists():
        return False
    summary = read_json(run.eval_json(SPLIT))
    settings = config_values.to_dict(config.evaluation)
    return summary["step"] == newest_step(run) and summary.get("settings") == settings


def _uses_vgg(model_names: Sequence[str]) -> bool:
    return any(override(Config(), {"model": name}).spec.content == "vgg" for name in model_names)
