"""Writes a trained run's generator for others: a SavedModel that needs nothing but TensorFlow, or another format.

python -m experiments.export --workdir=RUN --output_dir=SAVED_MODEL
python -m experiments.export --workdir=RUN --output_dir=FOLDER --format=keras|onnx|tflite|torch
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments.flags import launch, quiet_tensorflow, required


def define(values: flags.FlagValues) -> None:
    """The script's flags."""
    flags.DEFINE_string("workdir", None, "run directory", flag_values=values)
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
        "data_dir",
        None,
        "records on which less precision is calibrated and its cost measured (default: the run's own)",
        flag_values=values,
    )
    flags.DEFINE_string("weights", "raw", "raw, average (with --ema_decay) or best", flag_values=values)
    flags.DEFINE_boolean("overwrite", False, "replace an older export", flag_values=values)


def job(values: flags.FlagValues) -> None:
    """Exports and says where to."""
    workdir, output_dir = (Path(text) for text in required(values, "workdir", "output_dir"))
    quiet_tensorflow()
    from wgan_vgg.deploy.export import export
    from wgan_vgg.run_dir import RunDir

    export(
        RunDir(workdir),
        output_dir,
        values.format,
        overwrite=values.overwrite,
        weights=values.weights,
        precision=values.precision,
        data_dir=Path(values.data_dir) if values.data_dir else None,
    )
    print(f"wrote {output_dir}")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    launch(__doc__, define, job, argv)


if __name__ == "__main__":
    main()
