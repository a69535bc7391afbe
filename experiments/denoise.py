"""Denoises CT slices: DICOM, a folder or tree of it, NIfTI, HDF5, .npy, .npz, PNG, TIFF; each to its own kind.

python -m experiments.denoise --model_dir=SAVED_MODEL --input=SERIES --output=FOLDER

Not for diagnostic use.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from data_prep.errors import InputError
from experiments.flags import launch, quiet_tensorflow, required
from experiments.progress import Reporter


def define(values: flags.FlagValues) -> None:
    """The script's flags."""
    flags.DEFINE_string("model_dir", None, "a SavedModel of experiments.export, or a run directory", flag_values=values)
    flags.DEFINE_string("weights", "raw", "of a run directory: raw, average or best", flag_values=values)
    flags.DEFINE_string("input", None, "file or folder", flag_values=values)
    flags.DEFINE_string("output", None, "file or folder; a folder goes on where it was left", flag_values=values)
    flags.DEFINE_list(
        "hu_range",
        None,
        "LOW,HIGH: the HU of black and white in PNG and TIFF, of 0 and 1 in .npy and .npz (without: those are HU)",
        flag_values=values,
    )
    flags.DEFINE_integer("batch", 0, "slices at once; 0: as many as memory_gb allows", flag_values=values)
    flags.DEFINE_integer("tile", 0, "side of tiles; 0: whole slices where memory_gb allows", flag_values=values)
    flags.DEFINE_float("memory_gb", 1.0, "what the network may take, roughly", flag_values=values)
    flags.DEFINE_boolean("strict", False, "end at the first bad file instead of leaving it out", flag_values=values)
    flags.DEFINE_boolean("overwrite", False, "replace what is there", flag_values=values)
    flags.DEFINE_boolean("preview", False, "pictures before and after, in OUTPUT/previews", flag_values=values)


def job(values: flags.FlagValues) -> None:
    """Denoises and says how much."""
    model_dir, source, output = (Path(text) for text in required(values, "model_dir", "input", "output"))
    hu_range = _hu_range(values.hu_range) if values.hu_range else None
    quiet_tensorflow()
    from wgan_vgg.deploy.denoise import Settings, denoise
    from wgan_vgg.deploy.inference import Denoiser

    settings = Settings(
        hu_range,
        values.batch,
        values.tile,
        values.memory_gb * 1e9,
        values.strict,
        values.overwrite,
        values.preview,
    )
    with Reporter().shown() as report:
        denoiser = Denoiser.load(model_dir, values.weights)
        done = denoise(denoiser, source, output, settings, lambda *now: report(*now, {}))
    rate = f", {done.slices / done.seconds:.3g} slices/s" if done.slices else ""
    rest = "".join(
        f", {count} {what}" for what, count in (("done before", done.skipped), ("left out", done.failed)) if count
    )
    print(f"wrote {output}: {done.files} files, {done.slices} slices{rate}{rest}. Not for diagnostic use.")


def _hu_range(texts: list[str]) -> tuple[float, float]:
    try:
        low, high = (float(text) for text in texts)
    except ValueError as error:
        raise InputError(f"--hu_range={','.join(texts)}: expected LOW,HIGH, two numbers") from error
    return low, high


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    launch(__doc__, define, job, argv)


if __name__ == "__main__":
    main()
