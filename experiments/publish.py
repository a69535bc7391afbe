"""Makes a trained and evaluated run one of the models that ship with the package: its weights, its card, its entry.

python -m experiments.publish --workdir=RUN --name=generator-mse-lodopab --about="one line" --data_note=docs/real_ct.md
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments.flags import required
from experiments.launch import launch, quiet_tensorflow


def define(values: flags.FlagValues) -> None:
    """The script's flags."""
    flags.DEFINE_string("workdir", None, "run directory, evaluated on validation and test", flag_values=values)
    flags.DEFINE_string("name", None, "of the model, as denoise and load take it", flag_values=values)
    flags.DEFINE_string("about", None, "one line on the model", flag_values=values)
    flags.DEFINE_string("data_note", None, "Markdown on its data and their licences", flag_values=values)
    flags.DEFINE_string("weights", "raw", "raw, average (with --ema_decay) or best", flag_values=values)


def job(values: flags.FlagValues) -> None:
    """Publishes, and says where."""
    workdir, name, about, data_note = required(values, "workdir", "name", "about", "data_note")
    quiet_tensorflow()
    from wgan_vgg.reporting.model_card import publish
    from wgan_vgg.run_dir import RunDir

    path = publish(RunDir(Path(workdir)), name, about, Path(data_note), weights=values.weights)
    print(f"wrote {path}, its card beside it, and the index")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    launch(__doc__, define, job, argv)


if __name__ == "__main__":
    main()
