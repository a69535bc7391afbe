"""Evaluates a method on a split of prepared records, beside the noisy input and tuned baselines.

python -m experiments.evaluate --workdir=RUN --data_dir=RECORDS --split=test
python -m experiments.evaluate --models=generator-mse-lodopab --output_dir=RESULTS --data_dir=RECORDS
python -m experiments.evaluate --models=generator-mse-lodopab --strengths=1,0.8,0.6 --output_dir=DIR --data_dir=RECORDS
python -m experiments.evaluate --saved_model=FOLDER --output_dir=RESULTS --data_dir=RECORDS
python -m experiments.evaluate --images=FOLDER --output_dir=RESULTS --data_dir=RECORDS
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments.flags import read_evaluation, required
from experiments.launch import launch, quiet_tensorflow
from experiments.progress import Reporter
from wgan_vgg.config import Config
from wgan_vgg.errors import InputError

METHODS = ("workdir", "models", "saved_model", "images")


def define(values: flags.FlagValues) -> None:
    """The script's flags."""
    flags.DEFINE_string("workdir", None, "run directory", flag_values=values)
    flags.DEFINE_list(
        "models",
        None,
        "models as denoise takes them, shipped, exported or runs, in one table; MODEL or NAME=MODEL each",
        flag_values=values,
    )
    flags.DEFINE_list(
        "strengths",
        ["1"],
        "with --models: a row for each of these mixtures with the input, see denoise --strength",
        flag_values=values,
    )
    flags.DEFINE_string(
        "saved_model", None, "a third-party SavedModel, instead of a run: its serving_default", flag_values=values
    )
    flags.DEFINE_string(
        "images",
        None,
        "folder of third-party denoised images, instead of a run: <patient_id>_<slice_index>.npy, float32, in the data "
        "set's range, lying as its records do",
        flag_values=values,
    )
    flags.DEFINE_boolean("best", False, "evaluate the run's best checkpoint, too", flag_values=values)
    flags.DEFINE_string("name", None, "what tables call it (default: its folder's name)", flag_values=values)
    flags.DEFINE_string("output_dir", None, "where its results go, as in a run directory", flag_values=values)
    flags.DEFINE_string(
        "references",
        None,
        "folder that keeps what the baselines did on these records, for other models, too (default: in the results)",
        flag_values=values,
    )
    flags.DEFINE_string("data_dir", None, "folder of records", flag_values=values)
    flags.DEFINE_string("split", "test", "which split", flag_values=values)
    flags.DEFINE_list(
        "windows", None, "HU windows for PSNR and SSIM: lung, soft_tissue, bone, brain", flag_values=values
    )
    flags.DEFINE_list("baselines", None, "baselines to evaluate beside it, all by default", flag_values=values)
    flags.DEFINE_string(
        "vgg_weights", None, "weights of the perceptual distance: imagenet, random, a file, or none", flag_values=values
    )
    flags.DEFINE_multi_string("set", [], "any other choice, as --set=evaluation.edges=8", flag_values=values)
    flags.DEFINE_string(
        "save_images", None, "folder for the low-dose, normal-dose and denoised arrays (.npy)", flag_values=values
    )


def job(values: flags.FlagValues) -> None:
    """Evaluates and prints the tables."""
    given = [name for name in METHODS if getattr(values, name)]
    if len(given) != 1:
        raise InputError(f"--{', --'.join(METHODS)}: give one of them, got {', '.join(given) or 'none'}")
    if given != ["workdir"] and values.best:
        raise InputError("--best: goes with --workdir, which holds checkpoints")
    if given == ["workdir"] and (values.output_dir or values.name):
        raise InputError("--output_dir, --name: a run has its own; leave them out, or give --saved_model or --images")
    if given == ["models"] and values.name:
        raise InputError("--name: goes with --saved_model or --images; write --models=NAME=MODEL")
    strengths = _strengths(values)
    if given != ["models"] and strengths != [1]:
        raise InputError("--strengths: goes with --models")
    folder = Path("" if given == ["models"] else getattr(values, given[0]))
    (data_dir,) = required(values, "data_dir")
    output_dir = folder if given == ["workdir"] else Path(*required(values, "output_dir"))
    read_evaluation(values, Config())  # mistakes show before TensorFlow is there
    quiet_tensorflow()
    from wgan_vgg.evaluation import methods
    from wgan_vgg.evaluation.evaluate import evaluate, warn_of_other_data
    from wgan_vgg.inference.denoiser import load
    from wgan_vgg.input_pipeline import DataSet
    from wgan_vgg.reporting.comparison_tables import comparison_markdown
    from wgan_vgg.reporting.dose_tables import dose_markdown, of_dose
    from wgan_vgg.reporting.verdict import verdict
    from wgan_vgg.run_dir import ReferencesDir, RunDir

    results = RunDir(output_dir)
    config = read_evaluation(values, results.load_config() if given == ["workdir"] else Config())
    data = DataSet.open(Path(data_dir))
    beside = []
    name = values.name or folder.resolve().name
    if given == ["workdir"]:
        warn_of_other_data(results, data)
        method, beside = methods.from_run(results), methods.beside_run(results, best=values.best)
    elif given == ["models"]:
        denoisers = {name: load(one) for name, one in _named(values.models).items()}
        for name in denoisers:
            methods.check_name(name)
        method, *beside = [
            methods.from_denoiser(_at(name, strength), dataclasses.replace(denoiser, strength=strength), data)
            for name, denoiser in denoisers.items()
            for strength in strengths
        ]
    elif given == ["saved_model"]:
        method = methods.from_saved_model(folder, name)
    else:
        method = methods.from_images(folder, name, data, values.split)
    splits = data.of_every_dose(values.split) if given != ["images"] else (values.split,)
    with Reporter().shown() as report:
        summaries = {
            split: evaluate(
                method,
                results,
                data,
                split,
                config,
                beside=beside,
                references=ReferencesDir(Path(values.references)) if values.references else None,
                save_images=Path(values.save_images) if values.save_images and split == values.split else None,
                progress=report,
            )
            for split in splits
        }
    summary = summaries[values.split]
    parts = [verdict(summary), comparison_markdown(summary)]
    if len(splits) > 1:
        doses = [of_dose(data.test_photons[split], one) for split, one in summaries.items()]
        parts.append(dose_markdown(sorted(doses, key=lambda dose: dose["photons"])))
    files = ", ".join(f"{results.eval_json(split)} and {results.eval_csv(split)}" for split in splits)
    print("\n\n".join([*parts, f"wrote {files}"]))


def _strengths(values: flags.FlagValues) -> list[float]:
    try:
        strengths = [float(text) for text in values.strengths]
    except ValueError:
        strengths = []
    if (
        not strengths
        or len({_at("", one) for one in strengths}) < len(strengths)
        or not all(0 < one <= 1 for one in strengths)
    ):
        raise InputError(f"--strengths={','.join(values.strengths)}: give numbers above 0, up to 1, each once")
    return strengths


def _at(name: str, strength: float) -> str:
    return name if strength == 1 else f"{name} at {strength:g}"


def _named(models: Sequence[str]) -> dict[str, str]:
    """By name, what --models says: MODEL, whose name is its last part, or NAME=MODEL."""
    named: dict[str, str] = {}
    for text in models:
        given, model = ("", text) if "=" not in text or Path(text).exists() else text.split("=", 1)
        name = given or Path(model).name
        if name in named:
            raise InputError(f"--models={','.join(models)}: two are called {name}; give NAME=MODEL")
        named[name] = model
    return named


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    launch(__doc__, define, job, argv)


if __name__ == "__main__":
    main()
