"""Makes TFRecord pairs from LoDoPaB-CT's HDF5 files, from DICOM series, paired or alone, or from phantoms.

python -m experiments.prepare --source=lodopab --input_dir=FOLDER --output_dir=RECORDS --preset=report
python -m experiments.prepare --source=dicom --preset=yang2018 --test_patients=L506 --input_dir=MAYO --output_dir=OUT
python -m experiments.prepare --source=dicom --preset=yang2018 --noise=poisson --dose=0.25 --photons=2e5 \\
    --test_patients=P7 --input_dir=FULL_DOSE_SCANS --output_dir=OUT
python -m experiments.prepare --source=phantoms --preset=demo --write_observations --noise=observations \\
    --projection_coarseness=4 --input_dir=FOLDER --output_dir=RECORDS
python -m experiments.prepare --hosts=4 --host=0 --source=lodopab --input_dir=SHARED/LODOPAB --output_dir=SHARED/RECORDS
python -m experiments.prepare --verify=RECORDS

With --hosts=4, four calls with --host=0 to 3 write a quarter of the shards each; the last to end makes the data set.
With --hosts=4 --beam='--runner=...' one call has Apache Beam's workers do it.
"""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from data_prep.hu import DICOM_RANGE_HU
from data_prep.json_types import Manifest
from data_prep.manifest import MANIFEST, load_manifest
from data_prep.noise_blocks import Smoothness
from data_prep.parts import WHOLE, Part, check_parts
from data_prep.progress import silent
from data_prep.series_names import SeriesNames
from experiments.config_flags import DATA_FLAGS, PREPARE_FLAGS, define_config, read_overrides
from experiments.flags import read_range, required
from experiments.launch import launch, quiet_tensorflow
from experiments.progress import Reporter
from wgan_vgg.config import preset
from wgan_vgg.config.sources import SOURCES, check_given
from wgan_vgg.errors import InputError

_SERIES = {
    "low_dose_folder": "Mayo layout: the low-dose series",
    "normal_dose_folder": "Mayo layout: the normal-dose series",
    "low_dose_description": "other layouts: what the SeriesDescription of the low dose has in it",
    "normal_dose_description": "other layouts: what the SeriesDescription of the normal dose has in it",
}
_SMOOTHNESS = {
    "block_side": "side of a block, pixels",
    "block_stride": "step of the grid that blocks lie on, pixels",
    "cell_side": "side of the parts of a block that must be alike, pixels",
    "mean_tolerance": "how far, in block means, the mean of a part may be from the block's",
    "variance_tolerance": "how far, in block variances, the variance of a part may be from the block's",
}


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
    for name, default in dataclasses.asdict(SeriesNames()).items():
        flags.DEFINE_string(name, default, f"DICOM, {_SERIES[name]}", flag_values=values)
    window = [f"{hu:g}" for hu in DICOM_RANGE_HU]
    flags.DEFINE_list("hu_window", window, "DICOM: the HU that become 0 and 1", flag_values=values)
    for name, default in dataclasses.asdict(Smoothness()).items():
        define_one = flags.DEFINE_integer if isinstance(default, int) else flags.DEFINE_float
        define_one(name, default, f"noise blocks: {_SMOOTHNESS[name]}", flag_values=values)
    flags.DEFINE_integer(
        "hosts",
        1,
        "number of calls, on hosts that share the folders, that divide the shards among them",
        flag_values=values,
    )
    flags.DEFINE_integer("host", 0, "index of this call among --hosts, from 0", flag_values=values)
    flags.DEFINE_string(
        "beam",
        None,
        "have Apache Beam make the --hosts parts: its pipeline options, as '--runner=FlinkRunner'; '': on this machine",
        flag_values=values,
    )
    flags.DEFINE_boolean("strict", False, "DICOM: a malformed file is an error", flag_values=values)


def job(values: flags.FlagValues) -> None:
    """Prepares a data set, or verifies one, and says what it holds."""
    if values.verify:
        quiet_tensorflow()
        from data_prep.manifest import verify

        _describe(verify(Path(values.verify)))
        print(f"{values.verify}: every shard is as it was written")
        return
    given = read_overrides(values)
    config = preset(values.preset, given)
    output_dir, input_dir = (Path(text) for text in required(values, "output_dir", "input_dir"))
    source, options = SOURCES.get(values.source), _options(values)
    if source is None:
        raise InputError(f"--source={values.source}: unknown; take one of {', '.join(SOURCES)}")
    of_observations = ("data.photons", "data.projection_coarseness") if values.write_observations else ()
    check_given(values.source, config.data.noise, {key: given[key] for key in given if key not in of_observations})
    if config.data.dose is not None and "data.photons" not in given:
        raise InputError(
            f"data.dose={config.data.dose:g}: is a share of photons that only you know; give --photons, the normal "
            "dose's (docs/data.md says how to choose them)"
        )
    if values.write_observations and isinstance(config.data.photons, tuple):
        raise InputError(f"--write_observations: simulates one dose; give one of --photons={values.photons}")
    part = Part(values.host, values.hosts)
    if values.beam is not None and (values["host"].present or values.hosts == 1):
        raise InputError(f"--beam: makes all parts itself; give --hosts=N, their number, and no --host (got {part})")
    if part != WHOLE and (source.write or values.download):
        raise InputError(
            f"--hosts={part.of}: all calls would write into --input_dir; make its files first, by one call"
        )
    quiet_tensorflow()
    from data_prep.beam_pipeline import convert_parts
    from data_prep.staging import check_free

    check_parts(output_dir, part)
    check_free(output_dir)
    with Reporter().shown() as report:
        source.make_files(config, input_dir, report)
        convert = functools.partial(
            source.make_records, config, input_dir, output_dir, allow_leak=config.preset == "notebook", **options
        )
        if values.beam is None:
            manifest = convert(part=part, progress=report)
        else:
            convert_parts(functools.partial(convert, progress=silent), part.of, values.beam)
            manifest = load_manifest(output_dir)
    _describe(manifest)
    print(
        f"wrote {output_dir}"
        if (output_dir / MANIFEST).exists()
        else f"wrote host {part.number}'s part; others are missing yet"
    )


def _options(values: flags.FlagValues) -> dict[str, Any]:
    """The flags of the chosen source; those of another one must not be given."""
    for owner, source in SOURCES.items():
        for name in source.options:
            if owner != values.source and values[name].present:
                raise InputError(f"--{name}: goes with --source={owner}, not {values.source}")
    chosen = SOURCES.get(values.source)
    options = {name: values[name].value for name in chosen.options} if chosen else {}
    return options | ({"hu_window": read_range(values, "hu_window")} if "hu_window" in options else {})


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
