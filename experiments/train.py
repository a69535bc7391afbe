"""Trains one model on prepared records; the same command resumes.

python -m experiments.train --preset=report --model=wgan-vgg --data_dir=RECORDS --workdir=RUN
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from experiments.config_flags import TRAINING_FLAGS, define_config, read_overrides, say_not_taken
from experiments.flags import check_model, define_devices, required
from experiments.launch import DONE, FAILED_TRAINING, launch, quiet_tensorflow
from experiments.progress import Reporter
from wgan_vgg.config import MODELS, for_model, preset
from wgan_vgg.errors import InputError


def define(values: flags.FlagValues) -> None:
    """The script's flags."""
    define_config(values, list(TRAINING_FLAGS))
    flags.DEFINE_string("model", "wgan-vgg", f"one of {', '.join(MODELS)}", flag_values=values)
    flags.DEFINE_string("data_dir", None, "folder of records", flag_values=values)
    flags.DEFINE_string("workdir", None, "run directory", flag_values=values)
    flags.DEFINE_integer("max_steps", None, "end, saved, at this step at the latest", flag_values=values)
    flags.DEFINE_integer("profile", 0, "profile this many steps for TensorBoard", flag_values=values)
    define_devices(values)


def job(values: flags.FlagValues) -> int:
    """Trains and says how it ended."""
    given = read_overrides(values, forbidden_section="data")
    if given.get("training.init_from") in MODELS:
        name = given["training.init_from"]
        raise InputError(f"--init_from={name}: a model's name is experiments.reproduce's; of a folder give ./{name}")
    config = for_model(preset(values.preset, given), check_model(values.model), given)
    data_dir, workdir = (Path(text) for text in required(values, "data_dir", "workdir"))
    quiet_tensorflow()
    from wgan_vgg.checkpoint_reader import newest_step
    from wgan_vgg.input_pipeline import DataSet
    from wgan_vgg.run_dir import RunDir, held_out_split
    from wgan_vgg.training.distribute import Devices
    from wgan_vgg.training.train_loop import train

    with Reporter().shown() as report:
        data = DataSet.open(data_dir)
        last = train(
            config,
            data,
            workdir,
            report,
            devices=Devices(values.strategy, values.virtual_devices, values.steps_per_call),
            max_steps=values.max_steps,
            profile_steps=values.profile,
        )
    split = held_out_split(last)
    quality = ", ".join(f"{name} {last[split][name]:.4g}" for name in ("psnr", "ssim"))
    reached = newest_step(RunDir(workdir))
    later = f"trained to step {reached}; " if reached and reached > last["step"] else ""
    print(f"{later}step {last['step']}: {split} {quality}. {_ending(last)}".rstrip())
    say_not_taken(preset(values.preset, given), [values.model], given)
    return FAILED_TRAINING if last["collapsed"] else DONE


def _ending(last: Mapping[str, Any]) -> str:
    if last["collapsed"]:
        return "collapsed: the generator's output is black; lower generator_lr or take another seed"
    return "stopped early: best_metric has not improved" if last["stopped_early"] else ""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    launch(__doc__, define, job, argv)


if __name__ == "__main__":
    main()
