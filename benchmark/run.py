"""All parts of a benchmark in one process."""

from collections.abc import Iterator, Sequence

from benchmark.convert import conversion_rows
from benchmark.feed import input_rows
from benchmark.gpu import gpu_rows
from benchmark.infer import inference_rows
from benchmark.operations import operation_rows
from benchmark.rows import Row
from benchmark.scale import scale_rows
from benchmark.start import start_rows
from benchmark.stored import stored_rows
from benchmark.train import training_rows
from data_prep.progress import Progress
from wgan_vgg.config import MODELS, Config


def measure(
    config: Config,
    parts: Sequence[str],
    *,
    models: Sequence[str],
    precisions: Sequence[str],
    sides: Sequence[int],
    batch_sizes: Sequence[int],
    records: Sequence[int],
    shards: Sequence[int],
    processes: Sequence[int],
    rounds: int,
    peer: str,
    progress: Progress,
) -> Iterator[Row]:
    """Measures the parts that `parts` names, see experiments.benchmark; "gpu" is computed.

    Yields rows as they come, those of the training steps together: they are timed in turn.

    Args:
      config: batch, image size, critic steps; `models` and `precisions` replace its own.
      parts, models, precisions: what to time.
      sides, batch_sizes: of the images to infer on; of `sides` are also those whose patches are read by range.
      records, shards: of the splits that are read, see feed.input_rows and stored.stored_rows.
      processes: over which a training is divided, see scale.scale_rows, and hosts that read.
      rounds: how often each thing is timed.
      peer: "onnxruntime": time its inference, too; "torch": and PyTorch, which was imported before TensorFlow; or "".
      progress: called after each part.
    """
    consumed = None
    peer_step = peer_inference = None
    if peer == "torch":
        from benchmark import torch_peer

        peer_step, peer_inference = torch_peer.Peer, torch_peer.inference
    if "train" in parts:
        rows = training_rows(config, models, precisions, rounds=rounds, peer=peer_step, progress=progress)
        consumed = max((_consumed(config, row) for row in rows), default=None)
        yield from rows
    if "gpu" in parts:
        yield from gpu_rows(config, models, precisions)
    if "scale" in parts:
        yield from scale_rows(config, models, processes, progress)
    if "infer" in parts:
        yield from inference_rows(
            config,
            precisions,
            sides,
            batch_sizes,
            rounds=rounds + 2,
            onnxruntime=bool(peer),
            torch_peer=peer_inference,
            progress=progress,
        )
    if "input" in parts:
        yield from input_rows(
            config.data.image_size, records, shards, rounds=rounds, consumed=consumed, progress=progress
        )
        yield from stored_rows(sides, records, processes, rounds=rounds, consumed=consumed, progress=progress)
    if "convert" in parts:
        yield from conversion_rows(config, (config.data.image_size, 0), rounds=rounds, progress=progress)
    if "start" in parts:
        yield from start_rows(config, rounds=rounds, progress=progress)
    if "operations" in parts:
        yield from operation_rows(config, models, precisions, progress)


def _consumed(config: Config, row: Row) -> float:
    """Images a second that a training takes from the input: the critic's updates have batches of their own."""
    fresh = config.training.fresh_critic_batches and MODELS[row.case.split()[0]].adversarial
    return row.rate * (1 + (config.training.critic_steps if fresh else 0))
