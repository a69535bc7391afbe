"""The report's whole experiment: data, the four models, tables, figures, SavedModels; rerun to resume.

python -m experiments.reproduce --preset=demo --workdir=FOLDER
python -m experiments.reproduce --preset=report --source=lodopab --input_dir=HDF5_FILES --workdir=FOLDER

python -m experiments.reproduce --study=relatives --preset=lodopab --data_dir=RECORDS --row_seconds=240 --workdir=FOLDER

With --study=protocol: one model instead, under the report's protocol and under one change of it at a time. With
--study=relatives: every generator, every loss and training without pairs, each for the same time, in one table.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from absl import flags

from experiments.config_flags import DATA_FLAGS, TRAINING_FLAGS, define_config, read_overrides, say_not_taken
from experiments.flags import check_model, required
from experiments.launch import DONE, FAILED_TRAINING, launch, quiet_tensorflow
from experiments.progress import Reporter
from wgan_vgg.config import REPORT_MODELS, Config, for_model, preset
from wgan_vgg.config.sources import SOURCES, check_given
from wgan_vgg.errors import InputError
from wgan_vgg.reproduction.protocols import COMMON, STUDIES

RELATIVES = "relatives"
# Of the others, experiments.prepare makes records for --data_dir.
TAKEN = [name for name, source in SOURCES.items() if source.reproducible]


def define(values: flags.FlagValues) -> None:
    """The script's flags."""
    define_config(values, [*DATA_FLAGS, *TRAINING_FLAGS])
    models = "models to train, with commas; with --study=relatives its rows (default: all)"
    flags.DEFINE_list("models", list(REPORT_MODELS), models, flag_values=values)
    flags.DEFINE_string(
        "study", None, f"instead of the report's tables: {', '.join([*STUDIES, RELATIVES])}", flag_values=values
    )
    flags.DEFINE_float("row_seconds", 240.0, "--study=relatives: training of each row", flag_values=values)
    flags.DEFINE_string("model", None, "the study's model (default: the preset's)", flag_values=values)
    flags.DEFINE_integer(
        "seeds",
        1,
        "trainings of each model (of each of a study's rows) on the same data, with --seed and the seeds after it",
        flag_values=values,
    )
    flags.DEFINE_string("workdir", None, "folder for everything that is made", flag_values=values)
    flags.DEFINE_string("source", "phantoms", f"where slices come from: {', '.join(TAKEN)}", flag_values=values)
    flags.DEFINE_string("input_dir", None, "folder of LoDoPaB-CT's HDF5 files", flag_values=values)
    flags.DEFINE_string("data_dir", None, "folder of prepared records, instead of a source", flag_values=values)


def job(values: flags.FlagValues) -> int:
    """Reproduces and prints Table 3, or runs a study and prints its table."""
    studies = (*STUDIES, RELATIVES)
    if values.study is not None and values.study not in studies:
        raise InputError(f"--study={values.study}: unknown; take one of {', '.join(studies)}")
    if values["row_seconds"].present and values.study != RELATIVES:
        raise InputError("--row_seconds: goes with --study=relatives; give --steps or --epochs")
    if values.study == RELATIVES:
        return _relatives(values)
    if values.study is not None:
        for name in ("models", "data_dir"):
            if values[name].present:
                raise InputError(f"--{name}: not used with --study, which trains one --model on data it makes; drop it")
    given = read_overrides(values, forbidden_section="data" if values.data_dir else "")
    config = preset(values.preset, given)
    models = [check_model(name) for name in values.models]
    (workdir,) = (Path(text) for text in required(values, "workdir"))
    if values.source not in TAKEN:
        raise InputError(f"--source={values.source}: unknown; take one of {', '.join(TAKEN)}")
    if values.data_dir:
        _check_without_source(values, given)
    else:
        check_given(values.source, config.data.noise, given)
    if values.study is not None:
        return _study(values, config, given, workdir)
    if values.model is not None:
        raise InputError(f"--model={values.model}: goes with --study; name what to train with --models")
    quiet_tensorflow()
    from wgan_vgg.reporting.tables import test_table
    from wgan_vgg.reproduction.reproduce import reproduce
    from wgan_vgg.run_dir import ReproductionDir

    with Reporter().shown() as report:
        results = reproduce(
            config,
            models,
            workdir,
            given=given,
            seeds=values.seeds,
            source=values.source,
            input_dir=Path(values.input_dir) if values.input_dir else None,
            data_dir=Path(values.data_dir) if values.data_dir else None,
            progress=report,
        )
    parts = [results["verdict"], results["caption"], test_table(results)]
    print("\n\n".join([*parts, f"wrote {ReproductionDir(workdir).report_html}"]))
    say_not_taken(config, models, given)
    return FAILED_TRAINING if any(model["collapsed"] for model in results["models"].values()) else DONE


def _check_without_source(values: flags.FlagValues, given: Mapping[str, str]) -> None:
    """Refuses what decides nothing where records are given."""
    sections = [key for key in given if key.startswith("phantoms.")]
    for name in (*(["--source"] if values["source"].present else []), *sections):
        raise InputError(f"{name}: not used with --data_dir={values.data_dir}; drop one")


def _relatives(values: flags.FlagValues) -> int:
    """Makes the relatives' table and prints its page."""
    for name in ("model", "source", "input_dir", "steps", "epochs"):
        if values[name].present:
            raise InputError(f"--{name}: not used with --study=relatives, which trains rows on --data_dir; drop it")
    given = read_overrides(values, forbidden_section="data")
    config = preset(values.preset, given)
    workdir, data_dir = (Path(text) for text in required(values, "workdir", "data_dir"))
    quiet_tensorflow()
    from wgan_vgg.reporting.relatives_tables import relatives_markdown
    from wgan_vgg.reproduction import relatives
    from wgan_vgg.reproduction.run_relatives import run_relatives
    from wgan_vgg.run_dir import RelativesDir

    names = values.models if values["models"].present else list(relatives.RELATIVES)
    with Reporter().shown() as report:
        results = run_relatives(
            config,
            names,
            data_dir,
            workdir,
            row_seconds=values.row_seconds,
            given=given,
            seeds=values.seeds,
            progress=report,
        )
    print(f"{relatives_markdown(results)}\nwrote {RelativesDir(workdir).results_md}")
    return FAILED_TRAINING if any(row["ending"] for row in results["rows"]) else DONE


def _study(values: flags.FlagValues, config: Config, given: Collection[str], workdir: Path) -> int:
    """Runs a study and prints its page."""
    for key in given:
        if key in COMMON:
            raise InputError(f"{key}: not used with --study={values.study}, which decides it; leave it out")
    if values.model is not None:
        config = for_model(config, check_model(values.model), given)
    quiet_tensorflow()
    from wgan_vgg.reporting.study_tables import study_markdown
    from wgan_vgg.reproduction.run_study import run_study
    from wgan_vgg.run_dir import StudyDir

    with Reporter().shown() as report:
        results = run_study(
            values.study,
            config,
            workdir,
            seeds=values.seeds,
            source=values.source,
            input_dir=Path(values.input_dir) if values.input_dir else None,
            progress=report,
        )
    print(f"{study_markdown(results)}\nwrote {StudyDir(workdir).results_md}")
    return DONE if all(row["status"] == "done" for row in results["rows"]) else FAILED_TRAINING


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    launch(__doc__, define, job, argv)


if __name__ == "__main__":
    main()
