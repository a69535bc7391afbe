"""Writes a trained run's generator as a SavedModel that needs nothing but TensorFlow.

python -m experiments.export --workdir=RUN --output_dir=SAVED_MODEL
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from data_prep.errors import InputError
from experiments.flags import launch, quiet_tensorflow, required

FORMATS = ("saved_model",)


def define(values: flags.FlagValues) -> None:
    """The script's flags."""
    flags.DEFINE_string("workdir", None, "run directory", flag_values=values)
    flags.DEFINE_string("output_dir", None, "folder of the SavedModel", flag_values=values)
    flags.DEFINE_string("format", "saved_model", f"one of {', '.join(FORMATS)}", flag_values=values)
    flags.DEFINE_string("weights", "raw", "raw, average (with --ema_decay) or best", flag_values=values)
    flags.DEFINE_boolean("overwrite", False, "replace what is there", flag_values=values)


def job(values: flags.FlagValues) -> None:
    """Exports and says where to."""
    workdir, output_dir = (Path(text) for text in required(values, "workdir", "output_dir"))
    if values.format not in FORMATS:
        raise InputError(f"--format={values.format}: unknown; take one of {', '.join(FORMATS)}")
    quiet_tensorflow()
    from wgan_vgg.deploy.export import export_saved_model
    from wgan_vgg.run_dir import RunDir

    written = export_saved_model(RunDir(workdir), output_dir, overwrite=values.overwrite, weights=values.weights)
    print(f"wrote {written}")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    launch(__doc__, define, job, argv)


if __name__ == "__main__":
    main()
