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


@dataclasses.dataclass(frozen=True)
class Gpu:
    """What its maker says of it: dense FLOP/s by precision (of float32 as TF32, TensorFlow's default), and bytes/s."""

    flops: dict[str, float]
    bandwidth: float


GPUS = {
    "A100 80 GB": Gpu({"float32": 156e12, "bfloat16": 312e12}, 2.039e12),
    "H100 SXM": Gpu({"float32": 494e12, "bfloat16": 989e12}, 3.35e12),
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
                case = f"{model} {precision}, batch {batch}, {side}x{side}, {name}"
                rows.append(
                    Row("gpu", case, batch / seconds, "images/s, computed", details={"seconds a step": seconds})
                )
    return rows


def busy_seconds(work: Sequence[LayerWork], weights: int, batch: int, precision: str, gpu: Gpu) -> float:
    """Seconds a step: each layer's arithmetic or its traffic, whichever takes longer, and Adam's traffic.

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


def updated_weights(config: Config, state: TrainState) -> int:
    """The generator's weights, and the critic's once for each of its updates."""
    critic = config.training.critic_steps * state.critic.count_params() if state.critic is not None else 0
    return state.generator.count_params() + critic
