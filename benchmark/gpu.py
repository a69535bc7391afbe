"""What a training step should take on a GPU that is never idle, from its arithmetic and its memory traffic.

A card's cache can hold the images of a small layer, and its memory then has less to do than is counted here.
"""

import dataclasses
from collections.abc import Sequence

from benchmark.costs import FLOPS, LayerWork, step_work
from benchmark.rows import Row
from wgan_vgg.config import Config, override
from wgan_vgg.training.state import TrainState, create_state

_ADAM_PASSES = 7  # over all weights: weight, gradient and two moments are read, weight and moments written

HOST_CARDS = 8  # of a DGX


@dataclasses.dataclass(frozen=True)
class Gpu:
    """What its maker says of it: dense FLOP/s by precision (of float32 as TF32, TensorFlow's default), and bytes/s.

    Attributes:
      bandwidth: of its memory.
      links: to the other cards of its host, in one direction (NVLink).
      network: to other hosts (one InfiniBand port per card, as in DGX A100 and H100).
    """

    flops: dict[str, float]
    bandwidth: float
    links: float
    network: float


GPUS = {
    "A100 80 GB": Gpu({"float32": 156e12, "bfloat16": 312e12}, 2.039e12, 300e9, 25e9),
    "H100 SXM": Gpu({"float32": 494e12, "bfloat16": 989e12}, 3.35e12, 450e9, 50e9),
}


def gpu_rows(config: Config, models: Sequence[str], precisions: Sequence[str]) -> list[Row]:
    """The estimate of each model's step on each GPU.

    Args:
      config: the run's; model and precision are replaced.
      models, precisions: what to look at.
    """
    side, batch = config.data.image_size, config.training.batch_size
    rows = []
    for model in models:
        chosen = override(config, {"model": model})
        state = create_state(chosen, (side, side), 100 * batch)
        work = step_work(chosen, state, (side, side))
        weights = updated_weights(chosen, state)
        for name, gpu in GPUS.items():
            for precision in precisions:
                seconds = busy_seconds(work, weights, batch, precision, gpu)
                adding = {count: all_reduce_seconds(weights, count, gpu) for count in (HOST_CARDS, 64)}
                kept = {f"share kept on {count}": seconds / (seconds + more) for count, more in adding.items()}
                case = f"{model} {precision}, batch {batch}, {side}x{side}, {name}"
                rows.append(
                    Row(
                        "gpu",
                        case,
                        batch / seconds,
                        "images/s, computed",
                        details={"seconds per step": seconds, "MB of gradients per step": 4e-6 * weights, **kept},
                    )
                )
    return rows


def busy_seconds(work: Sequence[LayerWork], weights: int, batch: int, precision: str, gpu: Gpu) -> float:
    """Seconds per step: each layer's arithmetic or its traffic, whichever takes longer, and Adam's traffic.

    Args:
      work: of costs.step_work.
      weights: that Adam changes in a step, each as often as it does.
      batch: images.
      precision: of the convolutions; Adam's is float32.
      gpu: where.
    """
    size = 4 if precision == "float32" else 2
    convolutions = sum(
        layer.passes
        * max(
            FLOPS * batch * layer.multiply_adds / gpu.flops[precision],
            size * (batch * layer.elements + layer.weights) / gpu.bandwidth,
        )
        for layer in work
    )
    return convolutions + 4 * _ADAM_PASSES * weights / gpu.bandwidth


def all_reduce_seconds(weights: int, cards: int, gpu: Gpu) -> float:
    """Seconds per step to add up float32 gradients over cards that each have a batch of their own.

    A ring passes 2 (n - 1) / n of the bytes through each card's slowest link; nothing is computed meanwhile.

    Args:
      weights: of updated_weights.
      cards: how many; HOST_CARDS of them stand in one host.
      gpu: which.
    """
    speed = gpu.links if cards <= HOST_CARDS else gpu.network
    return 2 * (cards - 1) / cards * 4 * weights / speed


def updated_weights(config: Config, state: TrainState) -> int:
    """The generator's weights, and the critic's once for each of its updates."""
    critic = config.training.critic_steps * state.critic.count_params() if state.critic is not None else 0
    return state.generator.count_params() + critic
