"""How fast a training step is, against the machine's convolution peak and against PyTorch."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from benchmark.costs import step_flops
from benchmark.limits import ConvolutionPeak
from benchmark.rows import Row
from benchmark.timing import Timing, time_in_turn
from data_prep.progress import Progress
from wgan_vgg.config import Config, override
from wgan_vgg.models.vgg import build_vgg
from wgan_vgg.training.gradients import Images
from wgan_vgg.training.state import TrainState, create_state
from wgan_vgg.training.train_step import build_train_step, interpolation_weights

PEER_MODEL = "wgan-vgg"
_POOL = 16  # batches, all different; a step takes some of them, in turn


def training_rows(
    config: Config,
    models: Sequence[str],
    precisions: Sequence[str],
    *,
    rounds: int,
    peer: Callable[[TrainState, Config, str, bool], Any] | None,
    progress: Progress,
) -> list[Row]:
    """Times whole training steps of each model, all in turn, on images of `data.image_size`.

    Args:
      config: the run's; model and precision are replaced.
      models, precisions: what to time.
      rounds: how often.
      peer: torch_peer.Peer, to be timed beside PEER_MODEL in both memory formats; None without.
      progress: called after each round.
    """
    side = config.data.image_size
    strategy = _strategy()
    pool = _pool(config)
    functions: dict[tuple[str, ...], Callable[[], object]] = {}
    peaks: dict[str, ConvolutionPeak] = {}
    flops: dict[str, int] = {}
    for precision in precisions:
        peaks[precision] = ConvolutionPeak(build_vgg(config.vgg), (side, side), config.training.batch_size, precision)
        functions |= {("peak", precision, str(i)): one for i, one in enumerate(peaks[precision].functions)}
        for model in models:
            chosen = override(config, {"model": model, "training.precision": precision})
            state = _state(chosen, strategy)
            flops[model] = step_flops(chosen, state, (side, side))
            functions["ours", precision, model] = _step(chosen, state, strategy, _feed(chosen, pool))
            if peer and model == PEER_MODEL:
                for name, channels_last in (("contiguous", False), ("channels-last", True)):
                    step = _peer_step(peer(state, chosen, precision, channels_last), chosen, _feed(chosen, pool))
                    functions["torch", precision, name] = step
    # Peers' threads spin for a while after their work: a pause keeps them out of what comes next.
    timings = time_in_turn(functions, rounds, pause=0.2, progress=progress)
    rates = {
        name: peak.rate([timings["peak", name, str(i)] for i in range(len(peak.functions))])
        for name, peak in peaks.items()
    }
    return [
        _row(config, model, precision, flops[model], timings, rates[precision])
        for precision in precisions
        for model in models
    ]


def _row(
    config: Config,
    model: str,
    precision: str,
    flops: int,
    timings: dict[tuple[str, ...], Timing],
    peak: float,
) -> Row:
    timing, images = timings["ours", precision, model], config.training.batch_size
    peers = {
        f"torch {name} {kind}": images / other.median
        for (program, kind, name), other in timings.items()
        if program == "torch" and kind in (precision, "float32") and model == PEER_MODEL
    }
    same = {name: rate for name, rate in peers.items() if name.endswith(precision)}
    others = {f"times torch {name}": images / timing.median / rate for name, rate in _fastest_others(peers, same)}
    return Row(
        "train",
        f"{model} {precision}, batch {images}, {config.data.image_size}x{config.data.image_size}",
        images / timing.median,
        "images/s",
        timing.spread,
        f"convolution peak {peak / 1e9:.0f} GFLOP/s",
        flops / timing.median / peak,
        same,
        {"seconds per step": timing.median, "GFLOP/s": flops / timing.median / 1e9, **others},
    )


def _fastest_others(peers: dict[str, float], same: dict[str, float]) -> Iterator[tuple[str, float]]:
    rest = [rate for name, rate in peers.items() if name not in same]
    if rest:
        yield "float32", max(rest)


def training_step(config: Config) -> Callable[[], object]:
    """A call that makes one training step, on noise, and reads its terms."""
    strategy = _strategy()
    return _step(config, _state(config, strategy), strategy, _feed(config, _pool(config)))


def _strategy() -> tf.distribute.Strategy:
    return tf.distribute.OneDeviceStrategy("/gpu:0" if tf.config.list_logical_devices("GPU") else "/cpu:0")


def _state(config: Config, strategy: tf.distribute.Strategy) -> TrainState:
    side = config.data.image_size
    with strategy.scope():
        return create_state(config, (side, side), 100 * config.training.batch_size)


def _pool(config: Config) -> list[Images]:
    return [_batch(config.training.batch_size, config.data.image_size, number) for number in range(_POOL)]


def _batch(size: int, side: int, number: int) -> Images:
    """Noise: the arithmetic does not depend on what the images show."""
    normal_dose = tf.random.stateless_uniform([size, side, side, 1], [number, 0])
    return normal_dose + 0.12 * tf.random.stateless_normal([size, side, side, 1], [number, 1]), normal_dose


def _feed(config: Config, pool: Sequence[Images]) -> Iterator[tuple[Images, tuple[Images, ...]]]:
    """What each step takes: the generator's batch, and a fresh one a critic update where the config says so."""
    count = config.training.critic_steps if config.spec.adversarial and config.training.fresh_critic_batches else 0
    batches = itertools.cycle(pool)
    while True:
        yield next(batches), tuple(itertools.islice(batches, count))


def _step(
    config: Config,
    state: TrainState,
    strategy: tf.distribute.Strategy,
    feed: Iterator[tuple[Images, tuple[Images, ...]]],
) -> Callable[[], object]:
    step = build_train_step(state, config, strategy)

    def run() -> dict[str, float]:
        return {name: float(value) for name, value in step(*next(feed), tf.constant(0.0)).items()}

    return run


def _peer_step(peer: Any, config: Config, feed: Iterator[tuple[Images, tuple[Images, ...]]]) -> Callable[[], object]:
    size = tf.constant(config.training.batch_size)
    weights = tuple(
        interpolation_weights(config, number, tf.constant(0, tf.int64), size)
        for number in range(config.training.critic_steps)
    )

    def run() -> dict[str, float]:
        batch, critic_batches = next(feed)
        return peer.step(batch, critic_batches or (batch,) * len(weights), weights)

    return run
