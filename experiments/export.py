"""Writes a trained generator for others: a SavedModel that needs nothing but TensorFlow, or another format.

python -m experiments.export --workdir=RUN --output_dir=SAVED_MODEL
python -m experiments.export --model=wgan-vgg-lodopab --output_dir=SAVED_MODEL
python -m experiments.export --workdir=RUN --output_dir=FOLDER --format=keras|onnx|tflite|torch
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments.flags import HU_RANGE_HELP, read_range, required
from experiments.launch import launch, quiet_tensorflow


def define(values: flags.FlagValues) -> None:
    """The script's flags."""
    flags.DEFINE_string(
        "model",
        None,
        "a run directory, the name of a model that ships with the package, or a generator.safetensors",
        flag_values=values,
    )
    flags.DEFINE_alias("workdir", "model", flag_values=values)
    flags.DEFINE_string(
        "output_dir", None, "folder of the SavedModel, or of the file and its metadata.json", flag_values=values
    )
    flags.DEFINE_string(
        "format",
        "saved_model",
        "saved_model (in HU too), keras, onnx, tflite, or torch (a state dict as safetensors)",
        flag_values=values,
    )
    flags.DEFINE_string(
        "precision", "float32", "or bfloat16 for saved_model; float16, int8 for tflite", flag_values=values
    )
    flags.DEFINE_string(
        "optimize", "none", "or cpu, for saved_model: a graph faster on CPUs, slower on GPUs", flag_values=values
    )
    flags.DEFINE_string(
        "calibration",
        None,
        "records, or a folder of DICOM or other images like those to come: on it less precision is calibrated and its "
        "cost measured (default: a run's own records)",
        flag_values=values,
    )
    flags.DEFINE_list("hu_range", None, f"of --calibration: {HU_RANGE_HELP}", flag_values=values)
    flags.DEFINE_string("weights", "raw", "of a run: raw, average (with --ema_decay) or best", flag_values=values)
    flags.DEFINE_boolean("overwrite", False, "replace an older export", flag_values=values)


def job(values: flags.FlagValues) -> None:
    """Exports and says where to."""
    model, output_dir = required(values, "model", "output_dir")
    quiet_tensorflow()
    from wgan_vgg.api import export
    from wgan_vgg.exporters.export import exported_metadata

    written = export(
        model,
        output_dir,
        values.format,
        overwrite=values.overwrite,
        weights=values.weights,
        precision=values.precision,
        calibration=Path(values.calibration) if values.calibration else None,
        hu_range=read_range(values, "hu_range"),
        optimize=values.optimize,
    )
    print(f"wrote {written}")
    found = exported_metadata(written).get("cost")
    if found:
        in_db = f", {found['psnr_cost_db']:+.2f} dB of PSNR lost" if "psnr_cost_db" in found else ""
        print(
            f"cost of {values.precision} on {found['of']}: {found['hu_mean']:.2f} HU on average, 99.9 %: "
            f"{found['hu_p99_9']:.1f}, at most {found['hu_max']:.1f}{in_db}"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    launch(__doc__, define, job, argv)


if __name__ == "__main__":
    main()
