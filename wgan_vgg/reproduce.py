"""The report's whole experiment: data -> models -> evaluation -> SavedModels -> tables and figures.

Each stage leaves its result under one name at its end, so that a run that was killed, or repeated, goes on
with what is missing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep import tfrecords
from data_prep.errors import InputError
from wgan_vgg import config_values, models, vgg
from wgan_vgg.config import Config, override
from wgan_vgg.data_stage import Progress, prepare_data
from wgan_vgg.deploy.export import export_saved_model, exported_step
from wgan_vgg.evaluation import figures, methods, network_figures, tables
from wgan_vgg.evaluation.evaluate import evaluate, patient_statistics
from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.input_pipeline import DataSet, crop_shape
from wgan_vgg.run_dir import ReferencesDir, ReproductionDir, RunDir, read_json, write_json, write_text
from wgan_vgg.trained_model import newest_step
from wgan_vgg.training.train_loop import check_sizes, train

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
      workdir: holds the data, a run directory a model, and above them results.json, results.md and figures/.
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
    if input_dir and data_dir:
        raise InputError(f"input_dir {input_dir}: not used with data_dir; drop one")
    place = ReproductionDir(workdir)
    place.create()
    if _uses_vgg(configs):
        vgg.find_weights(config.vgg)  # a failing download must not show after hours of training
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
    for model_config in configs.values():
        check_sizes(model_config, data.image_shape)
    runs, outcomes = {}, {}
    for name, model_config in configs.items():
        run = runs[name] = RunDir(place.model(name))
        last = train_and_judge(model_config, data, run, place.references, progress, name)
        for weights, folder in run.exports(averaged=bool(model_config.training.ema_decay)).items():
            if exported_step(folder) != newest_step(run):
                export_saved_model(run, folder, overwrite=True, weights=weights)
        outcomes[name] = _outcome(run, last)
    results = _results(config, data, runs, outcomes)
    if not (place.results_json.exists() and read_json(place.results_json) == results):
        _draw(config, data, runs, place.figures, results["caption"])
        write_text(place.results_md, tables.results_markdown(results))
        write_json(place.results_json, results)  # last: it says that the rest is there
    return results


def train_and_judge(
    config: Config,
    data: DataSet,
    run: RunDir,
    references: ReferencesDir,
    progress: Progress | None,
    name: str,
) -> dict[str, Any]:
    """Trains a run to its end and judges it, as far as that is not done.

    Args:
      config: the run's.
      data: its records.
      run: where it is, or begins.
      references: what it is judged beside, see evaluate.
      progress: told of the training as "train NAME", and of the evaluation.
      name: see `progress`.

    Returns:
      The last row of metrics.jsonl, see train.

    Raises:
      InputError, Diverged: see train and evaluate.
    """
    stage = f"train {name}"
    last = train(config, data, run.path, lambda *now: progress(stage, *now) if progress else None)
    judge(config, data, run, run, references, progress)
    return last


def judge(
    config: Config,
    data: DataSet,
    run: RunDir,
    results: RunDir,
    references: ReferencesDir,
    progress: Progress | None,
) -> None:
    """Evaluates a run's generator on the test split into `results`, unless that was done, see evaluate."""
    if not _judged(run, results, config):
        evaluate(
            methods.of_run(run),
            results,
            data,
            SPLIT,
            config,
            beside=methods.beside_run(run),
            references=references,
            progress=lambda *now: progress(*now, {}) if progress else None,
        )


def _judged(run: RunDir, results: RunDir, config: Config) -> bool:
    """Whether `results` judges the run as it is now, and as the config says."""
    if not results.eval_json(SPLIT).exists():
        return False
    summary = read_json(results.eval_json(SPLIT))
    settings = config_values.to_dict(config.evaluation)
    return summary["step"] == newest_step(run) and summary.get("settings") == settings


def _outcome(run: RunDir, last: dict[str, Any]) -> dict[str, Any]:
    summary = read_json(run.eval_json(SPLIT))
    model = summary["model"]
    return {
        "collapsed": last["collapsed"],
        "initialisation_means": run.rows()[0]["initialisation_means"],
        "last_epoch": last,
        "test": summary["methods"][model],
        "sample": summary["sample"]["methods"][model],
        "published": dict(zip(("ssim", "psnr"), tables.PUBLISHED_TEST.get(model, (None, None)), strict=True)),
    }


def _results(config: Config, data: DataSet, runs: dict[str, RunDir], outcomes: dict[str, Any]) -> dict[str, Any]:
    summaries = [read_json(run.eval_json(SPLIT)) for run in runs.values()]
    evaluation, samples = _combined(summaries, config), {}
    for summary in summaries:
        samples |= summary["sample"]["methods"]
    used = next(iter(runs.values())).stored()["config"]["data"]
    description = data.description
    warnings = []
    if description["patients_in_both"] == tfrecords.UNKNOWN_PATIENT:
        warnings.append("the patients are unknown (no patient_ids_rand_*.csv); a patient may be in training and test")
    elif description["patients_in_both"]:
        warnings.append(f"{len(description['patients_in_both'])} test patients also occur in training")
    return {
        "preset": config.preset,
        "seed": config.seed,
        "caption": describe_data(data) + (f"; {vgg.describe_weights(config.vgg)}" if _uses_vgg(outcomes) else ""),
        "data": {**description, **used},
        "test_images": description["images"][SPLIT],
        "test_patients": description["patients"][SPLIT],
        "warnings": warnings,
        "noisy": evaluation["methods"][NOISY],
        "report_batch_size": evaluation["report_batch_size"],
        "sample_rule": summaries[0]["sample"]["rule"],
        "samples": samples,
        "evaluation": evaluation,
        "models": outcomes,
    }


def _combined(summaries: Sequence[Mapping[str, Any]], config: Config) -> dict[str, Any]:
    """One evaluation of all models: what they share, each one's means, and the statistics of all together."""
    shared = ("report_batch_size", "images", "patients", "windows", "truth")
    shared += ("perceptual", "baselines", "missing_baselines")
    means, patient_values = {}, {}
    for summary in summaries:
        means |= summary["methods"]
        patient_values |= summary["patient_values"]
    models = [summary["model"] for summary in summaries]
    return {
        **{name: summaries[0][name] for name in shared},
        "methods": means,
        "statistics": patient_statistics(patient_values, models, summaries[0]["patients"], config),
    }


def _uses_vgg(model_names: Sequence[str]) -> bool:
    return any(override(Config(), {"model": name}).spec.content == "vgg" for name in model_names)


def describe_data(data: DataSet) -> str:
    """What captions say of the data."""
    source = {
        "phantoms": "Synthetic phantoms, not patients",
        "lodopab": "LoDoPaB-CT layout",
        "dicom": "Paired DICOM series",
    }
    config = data.config
    height, width = data.image_shape
    extras = [text for flag, text in _NOISE_VARIANTS.items() if getattr(config, flag)]
    noise = ", ".join([_NOISES[config.noise](config), *extras])
    return f"{source.get(data.manifest['source'], data.manifest['source'])}, {height}x{width}, {noise}"


_NOISES = {
    "gaussian": lambda config: (
        f"gaussian noise of std {config.noise_std:g}"
        if config.noise_std is not None
        else f"gaussian noise of variance {config.noise_variance:g}"
    ),
    "poisson": lambda config: f"simulated counts ({config.photons:g} photons a ray), reconstructed",
    "observations": lambda _: "stored low-dose observations, reconstructed",
    "none": lambda _: "real low-dose scans",
}
_NOISE_VARIANTS = {"shared_noise_field": "one field for all", "rescale_low_dose": "noisy input min-max rescaled"}


def _draw(config: Config, data: DataSet, runs: dict[str, RunDir], folder: Path, caption: str) -> None:
    adversarial = any(run.load_config().spec.adversarial for run in runs.values())
    network_figures.write_network_figures(
        models.build_generator(config.generator),
        models.build_critic(config.critic, crop_shape(config.input, data.image_shape)) if adversarial else None,
        folder,
    )
    mapping = (data.hu_slope, data.manifest["hu_intercept"])
    figures.write_figures(runs, folder, SPLIT, caption, mapping)
    for name, run in runs.items():
        figures.write_figures({name: run}, run.figures, SPLIT, caption, mapping)
