"""Makes a trained and evaluated run one of the models that ship with the package: its weights, its card, its entry.

python -m experiments.publish --workdir=RUN --name=generator-mse-lodopab --about="one line" --data_note=docs/real_ct.md
python -m experiments.publish --name=generator-mse-lodopab --results=EVALUATED

With --results, evaluations of a model that ships (experiments.evaluate --models=NAME --output_dir=EVALUATED, of the
splits validation and test) take the place of those in its card, and nothing else changes.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments.flags import required
from experiments.launch import launch, quiet_tensorflow
from wgan_vgg.errors import InputError


def define(values: flags.FlagValues) -> None:
    """The script's flags."""
    flags.DEFINE_string("workdir", None, "run directory, evaluated on validation and test", flag_values=values)
    flags.DEFINE_string("name", None, "of the model, as denoise and load take it", flag_values=values)
    flags.DEFINE_string("about", None, "one line on the model", flag_values=values)
    flags.DEFINE_string("data_note", None, "Markdown on its data and their licences", flag_values=values)
    flags.DEFINE_string("results", None, "evaluations of a model that ships, for its card", flag_values=values)
    flags.DEFINE_string("weights", "raw", "raw, average (with --ema_decay) or best", flag_values=values)


def job(values: flags.FlagValues) -> None:
    """Publishes, and says where."""
    if values.results:
        for other in ("workdir", "about", "data_note", "weights"):
            if values[other].present:
                raise InputError(f"--{other}: not used with --results, which changes a card's results alone; drop one")
        (name,) = required(values, "name")
    else:
        workdir, name, about, data_note = required(values, "workdir", "name", "about", "data_note")
    quiet_tensorflow()
    from wgan_vgg.reporting.model_card import publish, replace_results
    from wgan_vgg.run_dir import RunDir

    if values.results:
        print(f"wrote {replace_results(name, RunDir(Path(values.results)))}")
        return
    path = publish(RunDir(Path(workdir)), name, about, Path(data_note), weights=values.weights)
    print(f"wrote {path}, its card beside it, and the index")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    launch(__doc__, define, job, argv)


if __name__ == "__main__":
    main()
