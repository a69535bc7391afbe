"""Other flags that scripts share: devices, an evaluation's choices, HU ranges; and what is checked of them."""

import os
from pathlib import Path

from absl import flags

from wgan_vgg.config import MODELS, Config, override
from wgan_vgg.errors import InputError


def define_devices(values: flags.FlagValues) -> None:
    """Defines what a training runs on."""
    flags.DEFINE_string(
        "strategy",
        "auto",
        "one_device, mirrored (all GPUs), multi_worker (TF_CONFIG's hosts), tpu",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "steps_per_call", 1, "steps without Python between them, up to 10, on one device", flag_values=values
    )
    flags.DEFINE_integer(
        "virtual_devices", 0, "split the CPU into this many devices, to try distribution", flag_values=values
    )


def read_evaluation(values: flags.FlagValues, config: Config) -> Config:
    """A config with the given --windows, --baselines, --vgg_weights and --set, which may change the evaluation only."""
    overrides: dict[str, object] = {}
    for name in ("windows", "baselines"):
        if (texts := getattr(values, name)) is not None:
            overrides[f"evaluation.{name}"] = tuple(text.strip() for text in texts if text.strip())
    if values.vgg_weights == "none":
        overrides["evaluation.perceptual"] = False
    elif values.vgg_weights:
        overrides["vgg.weights"] = values.vgg_weights
    for text in values.set:
        key, equals, value = text.partition("=")
        if not equals or not key.startswith("evaluation.") or key in overrides:
            raise InputError(f"--set={text}: expected evaluation.field=value, each once")
        overrides[key] = value
    return override(config, overrides)


def check_model(name: str) -> str:
    """The name of a model.

    Raises:
      InputError: no such model.
    """
    if name not in MODELS:
        raise InputError(f"model {name!r}: unknown; take one of {', '.join(MODELS)}")
    return name


def required(values: flags.FlagValues, *names: str) -> list[str]:
    """The values of flags that must be given.

    Raises:
      InputError: one is not.
    """
    for name in names:
        if not getattr(values, name):
            raise InputError(f"--{name} is required: {values[name].help}")
    return [getattr(values, name) for name in names]


HU_RANGE_HELP = (
    "LOW,HIGH: the HU of black and white in PNG and TIFF, of 0 and 1 in .npy and .npz (without: those are HU)"
)


def read_range(values: flags.FlagValues, name: str) -> tuple[float, float] | None:
    """The HU of a flag such as --hu_range=LOW,HIGH; None where it is not given.

    Raises:
      InputError: not two numbers.
    """
    if (texts := values[name].value) is None:
        return None
    try:
        low, high = (float(text) for text in texts)
    except ValueError as error:
        raise InputError(f"--{name}={','.join(texts)}: expected LOW,HIGH, two numbers") from error
    return low, high


def check_written(values: flags.FlagValues, name: str, ending: str) -> None:
    """Checks the path that a flag, if given, says is to be written at the end.

    Raises:
      InputError: it has another ending, is a folder or a device, or lies where nothing can be written.
    """
    if not (given := getattr(values, name)):
        return
    path = Path(given)
    if path.exists() and not path.is_file():  # a rename onto it would replace a device, too
        raise InputError(f"--{name}={path}: is a folder or a device; name a file")
    if path.suffix != ending:
        raise InputError(f"--{name}={path}: must end in {ending}")
    folder = path.absolute().parent
    if not os.access(folder, os.W_OK):
        raise InputError(f"--{name}={path}: {folder} cannot be written; choose another place")
