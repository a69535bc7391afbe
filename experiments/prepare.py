"""Makes TFRecord pairs from LoDoPaB-CT's HDF5 files, from DICOM series, paired or alone, or from phantoms.

python -m experiments.prepare --source=lodopab --input_dir=FOLDER --output_dir=RECORDS --preset=report
python -m experiments.prepare --source=dicom --preset=yang2018 --test_patients=L506 --input_dir=MAYO --output_dir=OUT
python -m experiments.prepare --source=dicom --preset=yang2018 --noise=poisson --dose=0.25 --photons=2e5 \\
    --test_patients=P7 --input_dir=FULL_DOSE_SCANS --output_dir=OUT
python -m experiments.prepare --source=phantoms --preset=demo --write_observations --noise=observations \\
    --projection_coarseness=4 --input_dir=FOLDER --output_dir=RECORDS
python -m experiments.prepare --verify=RECORDS
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from data_prep.json_types import Manifest
from experiments.flags import DATA_FLAGS, PREPARE_FLAGS, define_config, read_config, required
from experiments.launch import launch, quiet_tensorflow
from experiments.progress import Reporter
from wgan_vgg.config import Config
from wgan_vgg.errors import InputError

SOURCES = ("phantoms", "lodopab", "dicom")


def define(values: flags.FlagValues) -> None:
    """The script's flags."""
    define_config(values, [*DATA_FLAGS, *PREPARE_FLAGS])
    flags.DEFINE_string("source", "lodopab", f"where slices come from: {', '.join(SOURCES)}", flag_values=values)
    flags.DEFINE_string("input_dir", None, "folder of the source files; phantoms are written there", flag_values=values)
    flags.DEFINE_string("output_dir", None, "folder of records to be made", flag_values=values)
    flags.DEFINE_string("verify", None, "only hash the shards of this folder of records again", flag_values=values)
    flags.DEFINE_boolean(
        "write_observations", False, "phantoms: simulate low-dose sinograms beside them too", flag_values=values
    )
    flags.DEFINE_list("download", [], "parts of LoDoPaB-CT to bring to --input_dir first", flag_values=values)
    flags.DEFINE_list("test_patients", [], "DICOM: patients of the test split, by id", flag_values=values)
    flags.DEFINE_list(
        "validation_patients",
        None,
        "DICOM: patients of the validation split; by default one training patient in ten, none if left empty",
        flag_values=values,
    )
    flags.DEFINE_string("low_dose_folder", "quarter_3mm", "DICOM, Mayo layout: the low-dose series", flag_values=values)
    flags.DEFINE_string("normal_dose_folder", "full_3mm", "DICOM, Mayo layout: its partner", flag_values=values)
    for role, name in (("low", "Low Dose Images"), ("normal", "Full Dose Images")):
        about = f"DICOM, other layouts: what the SeriesDescription of the {role} dose has in it"
        flags.DEFINE_string(f"{role}_dose_description", name, about, flag_values=values)
    flags.DEFINE_list("hu_window", ["-1024", "3072"], "DICOM: the HU that become 0 and 1", flag_values=values)
    flags.DEFINE_boolean("strict", False, "DICOM: a malformed file is an error", flag_values=values)


def job(values: flags.FlagValues) -> None:
    """Prepares a data set, or verifies one, and says what it holds."""
    if values.verify:
        quiet_tensorflow()
        from data_prep.manifest import verify

        _describe(verify(Path(values.verify)))
        print(f"{values.verify}: every shard is as it was written")
        return
    config = read_config(values)
    output_dir, input_dir = (Path(text) for text in required(values, "output_dir", "input_dir"))
    if values.source not in SOURCES:
        raise InputError(f"--source={values.source}: unknown; take one of {', '.join(SOURCES)}")
    if values.download and values.source != "lodopab":
        raise InputError(f"--download={','.join(values.download)}: goes with --source=lodopab")
    if values.write_observations and values.source != "phantoms":
        raise InputError(f"--write_observations: goes with --source=phantoms, not {values.source}")
    if values.write_observations and isinstance(config.data.photons, tuple):
        raise InputError(f"--write_observations: simulates one dose; give one of --photons={values.photons}")
    quiet_tensorflow()
    from data_prep.staging import check_free

    check_free(output_dir)
    prepare = _prepare_dicom if values.source == "dicom" else _prepare_lodopab
    with Reporter().shown() as report:
        manifest = prepare(values, config, input_dir, output_dir, report)
    _describe(manifest)
    print(f"wrote {output_dir}")


def _prepare_lodopab(
    values: flags.FlagValues, config: Config, input_dir: Path, output_dir: Path, report: Reporter
) -> Manifest:
    from data_prep.geometry import Geometry
    from data_prep.observations import write_observations
    from data_prep.prepare import prepare_lodopab
    from wgan_vgg.reproduction.data_stage import write_phantoms

    if values.source == "phantoms":
        write_phantoms(config, input_dir, report)
    if values.write_observations:
        write_observations(
            input_dir,
            photons=config.data.single_photons,
            seed=config.seed,
            geometry=Geometry().coarser(config.data.projection_coarseness),
            progress=report,
        )
    if values.download:
        from data_prep.download import download_lodopab

        observations = config.data.noise == "observations"
        print(download_lodopab(input_dir, values.download, observations=observations, progress=report))
    return prepare_lodopab(
        input_dir,
        output_dir,
        config.data,
        seed=config.seed,
        allow_leak=config.preset == "notebook",
        progress=report,
    )


def _prepare_dicom(
    values: flags.FlagValues, config: Config, input_dir: Path, output_dir: Path, report: Reporter
) -> Manifest:
    from data_prep.prepare_dicom import prepare_dicom

    try:
        low, high = (float(text) for text in values.hu_window)
    except ValueError as error:
        raise InputError(f"--hu_window={','.join(values.hu_window)}: expected two numbers, as -1024,3072") from error
    return prepare_dicom(
        input_dir,
        output_dir,
        config.data,
        seed=config.seed,
        test_patients=values.test_patients,
        validation_patients=values.validation_patients,
        low_dose_folder=values.low_dose_folder,
        normal_dose_folder=values.normal_dose_folder,
        low_dose_description=values.low_dose_description,
        normal_dose_description=values.normal_dose_description,
        hu_window=(low, high),
        strict=values.strict,
        progress=report,
    )


def _describe(manifest: Manifest) -> None:
    for split, entry in manifest["splits"].items():
        patients = manifest["patients"][split]
        count = len(patients) if isinstance(patients, list) else patients
        print(f"{split}: {entry['records']} images, patients: {count}, {len(entry['shards'])} shards")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    launch(__doc__, define, job, argv)


if __name__ == "__main__":
    main()
