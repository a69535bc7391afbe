"""Denoises CT slices: DICOM, a folder or tree of it, NIfTI, HDF5, .npy, .npz, PNG, TIFF; each to its own kind.

python -m experiments.denoise --model=generator-mse-lodopab --input=SERIES --output=FOLDER
python -m experiments.denoise --list_models

Exit status 5: done, but files that could not be denoised (not readable, NaN in a slice) were left out, so that their
series lack slices; each is named. Files that hold no CT image, such as masks and localizers, are named too, and passed
over: they do not count.

Not for diagnostic use.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from absl import flags

from experiments.flags import HU_RANGE_HELP, check_written, read_range, required
from experiments.launch import DONE, INCOMPLETE, launch, quiet_tensorflow
from experiments.progress import Reporter
from wgan_vgg.errors import InputError

NAMED = 100  # files at the end, at most


def define(values: flags.FlagValues) -> None:
    """The script's flags."""
    flags.DEFINE_string(
        "model",
        None,
        "the name of a model that ships with the package, the folder of a SavedModel of experiments.export, its "
        "generator.safetensors or generator.onnx, or a run directory",
        flag_values=values,
    )
    flags.DEFINE_alias("model_dir", "model", flag_values=values)
    flags.DEFINE_boolean("list_models", False, "only say which models ship with the package", flag_values=values)
    flags.DEFINE_float("strength", 1.0, "1: the network's output, 0: the input, between: mixed", flag_values=values)
    flags.DEFINE_string("weights", "raw", "of a run directory: raw, average or best", flag_values=values)
    flags.DEFINE_string("input", None, "file or folder", flag_values=values)
    flags.DEFINE_string("output", None, "file or folder; rerun to resume a folder", flag_values=values)
    flags.DEFINE_list(
        "hu_range",
        None,
        HU_RANGE_HELP,
        flag_values=values,
    )
    flags.DEFINE_integer("batch", 0, "slices at once; 0: as many as memory_gb allows", flag_values=values)
    flags.DEFINE_integer("tile", 0, "side of tiles; 0: whole slices where memory_gb allows", flag_values=values)
    flags.DEFINE_float("memory_gb", 1.0, "what slices and network may take, roughly", flag_values=values)
    flags.DEFINE_boolean("strict", False, "end at the first bad file instead of leaving it out", flag_values=values)
    flags.DEFINE_boolean("overwrite", False, "replace what is there", flag_values=values)
    flags.DEFINE_boolean(
        "share",
        False,
        "the same command, begun several times and on several hosts, divides the files",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "preview", False, "pictures before and after, in previews/ of OUTPUT, or beside a file", flag_values=values
    )
    flags.DEFINE_string("json", None, "also write what was done, as JSON, to this file", flag_values=values)


def job(values: flags.FlagValues) -> int:
    """Denoises, and says what each series became and which files were left out."""
    if values.list_models:
        from wgan_vgg import pretrained

        for name, entry in pretrained.index().items():
            print(f"{name}: {entry['about']}")
        return DONE
    model, source_text, output_text = required(values, "model", "input", "output")
    source = Path(source_text)
    check_written(values, "json", ".json")
    hu_range = read_range(values, "hu_range")
    from wgan_vgg.files import write_json
    from wgan_vgg.image_files.find import STATE
    from wgan_vgg.inference.denoise import Settings, denoise
    from wgan_vgg.inference.denoiser import load, model_path
    from wgan_vgg.inference.output_files import output_path

    output = output_path(output_text, source)
    if values.json and Path(values.json).resolve() == (output / STATE).resolve():
        raise InputError(f"--json={values.json}: is where the output folder notes its model; name another file")

    settings = Settings(
        hu_range,
        values.batch,
        values.tile,
        values.memory_gb * 1e9,
        values.strict,
        values.overwrite,
        values.preview,
        values.share,
    )
    if model_path(model).suffix != ".onnx":
        quiet_tensorflow()
    with Reporter().shown() as report:
        denoiser = load(model, values.weights, values.strength)
        done = denoise(denoiser, source, output, settings, report, lambda series: print(series.line()))
    if values.json:
        used = {"path": model, "fingerprint": denoiser.fingerprint, "is": denoiser.derivation}
        write_json(Path(values.json), {"model": used, "input": str(source), "output": str(output)} | done.describe())
    rate = f", {done.slices / done.seconds:.3g} slices/s" if done.slices else ""
    rest = "".join(
        f", {count} {what}"
        for what, count in (
            ("done before", done.skipped),
            ("left out", len(done.left_out)),
            ("passed over", len(done.passed_over)),
        )
        if count
    )
    _name("left out", done.left_out)
    print(f"wrote {output}: {done.files} files, {done.slices} slices{rate}{rest}. Not for diagnostic use.")
    return INCOMPLETE if done.left_out else DONE


def _name(what: str, files: Iterable[Path]) -> None:
    names = list(files)
    for path in names[:NAMED]:
        print(f"{what}: {path}")
    if len(names) > NAMED:
        print(f"{what}: {len(names) - NAMED} more; --json=FILE lists all")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    launch(__doc__, define, job, argv)


if __name__ == "__main__":
    main()
