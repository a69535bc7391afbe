"""Resume compatibility: whether a run may continue with a config and data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgan_vgg.config import Config, nested
from wgan_vgg.errors import InputError
from wgan_vgg.json_types import StoredRun
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training.warm_start import find_source


def check_same_config(run: RunDir, config: Config, data_fingerprint: str) -> None:
    """Lets a run continue with its own config, a longer one, another evaluation, or another limit of memory.

    Raises:
      InputError: config.json disagrees in anything else, or training.init_from leads nowhere.
    """
    stored = run.stored()
    old, new = dict(stored["config"]), nested.to_dict(config)
    known = nested.flatten(Config())  # a value that earlier versions did not have was what is now its default
    before = known | nested.flatten_dict(old)
    if _begins_alike(stored, config):
        before["training.init_from"] = new["training"]["init_from"]
    found = nested.differences(before, new)
    lengths = [_length(old), _length(new)]
    free = [
        "evaluation.",
        "input.memory_gb:",
        "training.evaluation_",
        "training.monitored_splits",
    ]
    if new["optimizer"]["schedule"] != "cosine":  # there the rates depend on the length
        free += ["training.epochs:", "training.steps:"]
    found = [line for line in found if not line.startswith(tuple(free))]
    if lengths[0][0] != lengths[1][0] or lengths[0][1] > lengths[1][1]:
        found.append(f"training length: {lengths[0][1]} {lengths[0][0]} -> {lengths[1][1]} {lengths[1][0]}")
    if stored["data"]["fingerprint"] != data_fingerprint:
        found.append("data_dir: other records than the run began with")
    if found:
        raise InputError(
            f"workdir {run.path}: holds a run with another config ({'; '.join(found)}); take another workdir, or the "
            "same values (only evaluation.*, when and on which splits training is evaluated, input.memory_gb and, "
            "except under a cosine schedule, a longer training may differ)"
        )


def _begins_alike(stored: StoredRun, config: Config) -> bool:
    """Whether `training.init_from` names what the run began with: another spelling, or where that lies now."""
    one, other = stored["config"]["training"].get("init_from"), config.training.init_from
    if one is None or other is None:
        return one == other
    if Path(one).resolve() == Path(other).resolve():  # by now it may have been trained further
        return True
    began = stored.get("init_from")
    return began is not None and find_source(other, config.generator).description["sha256"] == began["sha256"]


def _length(config: Mapping[str, Any]) -> tuple[str, int]:
    """The unit and the number of a config's training length."""
    training = config["training"]
    return ("epochs", training["epochs"]) if training["epochs"] is not None else ("steps", training["steps"])
