"""Weights to begin from instead of random ones: another run's, or those in a file."""

import dataclasses
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from wgan_vgg import pretrained
from wgan_vgg.checkpoint_reader import load_generator, read_newest, saved_step
from wgan_vgg.config import GeneratorConfig
from wgan_vgg.errors import InputError
from wgan_vgg.exporters.foreign_networks import find_network
from wgan_vgg.exporters.state_dict import set_state_dict, to_state_dict
from wgan_vgg.json_types import Origin
from wgan_vgg.models import build_generator, generator_of
from wgan_vgg.run_dir import RunDir
from wgan_vgg.tensor_files import read_tensors
from wgan_vgg.training.state import TrainState

logger = logging.getLogger(__name__)

Weights = list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Source:
    """The generator's weights in Keras's order, and what is recorded of them: where from, which step, their sha256."""

    generator: Weights
    description: Origin
    run: RunDir | None = None


def find_source(init_from: str, config: GeneratorConfig) -> Source:
    """The weights that `training.init_from` names, for a generator of this config.

    Args:
      init_from: a run directory, of which the best checkpoint is taken; a file of a generator's weights, see
        tensor_files.read_tensors; or "pretrained:NAME", one of the package's own.
      config: of the run that begins.

    Raises:
      InputError: nothing is there, or no generator in it.
    """
    if init_from.startswith(pretrained.PREFIX):
        file = pretrained.find(init_from.removeprefix(pretrained.PREFIX))
        return _of_file(file, init_from, config)
    path = Path(init_from)
    if init_from in pretrained.index() and not path.exists():
        raise InputError(
            f"training.init_from={init_from}: no such file; the model that ships is pretrained:{init_from}"
        )
    if not path.is_dir():
        return _of_file(path, init_from, config)
    run = RunDir(path)
    step, weights = saved_step(run, "best"), "best"
    if step is None:  # none, or damaged
        step, weights = saved_step(run, "raw"), "raw"
    if step == 0:
        logger.warning("training.init_from=%s: its best weights are those that it began with, of step 0", init_from)
    generator = load_generator(run, weights).get_weights()
    return Source(generator, {"source": init_from, "step": step, "sha256": _digest(generator)}, run)


def _of_file(path: Path, name: str, config: GeneratorConfig) -> Source:
    tensors, network, generator = read_tensors(path)[0], generator_of(config), build_generator(config)
    if tensors.keys() == to_state_dict(generator, network).keys():
        set_state_dict(generator, network, tensors, path)
        weights = generator.get_weights()
    else:  # another program's file
        weights = find_network(tensors, path).weights
    return Source(weights, {"source": name, "step": None, "sha256": _digest(weights)})


def take_over(state: TrainState, source: Source) -> None:
    """Gives a new run's generator the source's weights, and its critic those of the source's run where it has one.

    Raises:
      InputError: another structure.
    """
    _set(state.generator, source.generator, source.description["source"], "generator")
    if state.critic is not None and source.run is not None and source.run.load_config().spec.adversarial:

        def read(prefix: str) -> None:
            tf.train.Checkpoint(critic=state.critic).read(prefix).assert_existing_objects_matched().expect_partial()

        if not (read_newest(source.run.best, read) or read_newest(source.run.checkpoints, read)):
            raise InputError(
                f"training.init_from={source.description['source']}: its critic is of another structure; take the same "
                "critic and patch size, or a run without one"
            )


def _set(model: keras.Model, weights: Sequence[np.ndarray], source: str, network: str) -> None:
    ours, theirs = ([tuple(array.shape) for array in arrays] for arrays in (model.get_weights(), weights))
    if ours != theirs:
        found = next((pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]), (len(ours), len(theirs)))
        raise InputError(
            f"training.init_from={source}: another {network} than this run's ({found[1]} where it has {found[0]}); "
            f"take the same {network} settings"
        )
    model.set_weights(weights)


def _digest(weights: Sequence[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in weights:
        digest.update(np.ascontiguousarray(array, "<f4").tobytes())
    return digest.hexdigest()
