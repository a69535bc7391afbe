"""Ten plain steps on any strategy, for comparing strategies; workers run this file as a script."""

import functools
import pickle
import sys
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from small_networks import SMALL_STEP

from benchmark.scale import environments
from wgan_vgg import config
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.training import distribute, train_step
from wgan_vgg.training.batches import training_batches
from wgan_vgg.training.state import create_state

REPO = Path(__file__).parent.parent
SETTINGS = config.override(
    config.preset("report"),
    {
        "model": "wgan-vgg",
        **SMALL_STEP,
        "training.critic_steps": 2,
        "training.ema_decay": 0.9,
        "loss.content_weight": 1e-5,  # VGG's first block is large; without its whole weight SGD stays finite
    },
)


def run_sgd(strategy: tf.distribute.Strategy, data_dir: Path) -> dict[str, list]:
    """Terms of ten steps, gradients of the first (as SGD's momentum has them), all variables after the last.

    Plain SGD: Adam divides rounding by rounding, so that after ten of its steps weights differ by whole rates.
    """
    data = DataSet.open(data_dir)
    plain = mock.patch("wgan_vgg.training.state.FusedAdam", lambda *_, **__: keras.optimizers.SGD(0.01, momentum=0.1))
    with plain, strategy.scope():
        state = create_state(SETTINGS, (32, 32), 24)
    step = train_step.build_train_step(state, SETTINGS, strategy)
    batches = distribute.distributed(functools.partial(training_batches, SETTINGS, data, 0), strategy)
    terms, gradients = [], []
    for _ in range(10):
        terms.append({name: float(value) for name, value in step(*next(batches), tf.constant(0.0)).items()})
        gradients = gradients or values(state.generator_optimizer.variables, state.critic_optimizer.variables)
    models = (state.generator, state.critic, state.average)
    return {"terms": terms, "gradients": gradients, "variables": values(*(model.weights for model in models))}


def cluster(count: int) -> list[dict[str, str]]:
    """The environment of each of `count` workers on this machine, on ports that are free now."""
    return [environment | {"PYTHONPATH": str(REPO)} for environment in environments(count)]


def values(*lists: list) -> list[np.ndarray]:
    return [np.array(variable.numpy(), np.float64) for variables in lists for variable in variables]


if __name__ == "__main__":
    worker_strategy = distribute.make_strategy(distribute.Devices())
    result = run_sgd(worker_strategy, Path(sys.argv[1]))
    Path(sys.argv[2]).write_bytes(pickle.dumps(result))
