"""What a network costs on this machine: its parameters, a training step, a denoised slice."""

import functools
import statistics
import time
from collections.abc import Callable
from typing import TypedDict

import tensorflow as tf

from wgan_vgg.config import Config
from wgan_vgg.crops import crop_shape
from wgan_vgg.evaluation.outputs import outputs
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.training import distribute
from wgan_vgg.training.batches import training_batches
from wgan_vgg.training.state import create_state
from wgan_vgg.training.train_step import build_train_step

_LEAST, _ENOUGH_SECONDS = 3, 4.0  # calls that are timed


class RowCosts(TypedDict):
    """Medians; `parameters` are the generator's."""

    parameters: int
    seconds_a_step: float
    seconds_a_slice: float


def measure(config: Config, data: DataSet) -> RowCosts:
    """Times whole training steps, with the reading of their batches, and whole slices, one at a time.

    The networks have random weights, which cost what trained ones do. The machine should have nothing else to do.
    """
    strategy = distribute.make_strategy(distribute.Devices())
    with strategy.scope():
        state = create_state(config, crop_shape(config.input, data.image_shape), data.size("train"))
    step = build_train_step(state, config, strategy)
    batches = distribute.distributed(functools.partial(training_batches, config, data, 0), strategy)
    low_dose = data.first("train", 1)[0]

    def one_step() -> None:
        images, critic_images = next(batches)
        terms = step(images, critic_images, tf.constant(0.0))
        terms["generator_loss"].numpy()

    return {
        "parameters": state.generator.count_params(),
        "seconds_a_step": _seconds(one_step),
        "seconds_a_slice": _seconds(lambda: outputs(state.generator, config.generator, low_dose)),
    }


def _seconds(call: Callable[[], object]) -> float:
    """The median of a call's time; the first one, which traces, is not counted."""
    call()
    times: list[float] = []
    while len(times) < _LEAST or sum(times) < _ENOUGH_SECONDS:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
