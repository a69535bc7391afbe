"""How fast an exported generator denoises, against onnxruntime and PyTorch where they are asked for."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmark.costs import FLOPS, layer_costs
from benchmark.rows import Row
from benchmark.timing import time_in_turn
from data_prep.progress import Progress
from wgan_vgg.config import Config
from wgan_vgg.exporters.formats import write_onnx
from wgan_vgg.exporters.saved_model import OPTIMIZATIONS, write_saved_model
from wgan_vgg.hu import HuMapping
from wgan_vgg.models import build_generator, generator_of

Denoise = Callable[[np.ndarray], np.ndarray]  # float32 (batch, height, width, 1)


def inference_rows(
    config: Config,
    precisions: Sequence[str],
    sides: Sequence[int],
    batch_sizes: Sequence[int],
    *,
    rounds: int,
    torch_peer: Callable[[keras.Model], Denoise] | None,
    progress: Progress,
) -> Iterator[Row]:
    """Times SavedModels, as written by experiments.export, on square images; with a peer, onnxruntime too."""
    generator = build_generator(config.generator, config.seed)
    with tempfile.TemporaryDirectory() as folder:
        ours = {
            f"SavedModel {precision}, optimize={optimize}": _saved_model(config, precision, optimize, Path(folder))
            for precision in precisions
            for optimize in OPTIMIZATIONS
        }
        peers: dict[str, Denoise] = {}
        if torch_peer:
            peers = {"onnxruntime": _onnxruntime(config, generator, Path(folder)), "torch": torch_peer(generator)}
        for number, (side, batch) in enumerate((side, batch) for side in sides for batch in batch_sizes):
            images = np.random.default_rng(number).uniform(size=(batch, side, side, 1)).astype(np.float32)
            # Peers' threads spin for a while after their work: a pause keeps them out of what comes next.
            timings = time_in_turn(
                {name: _call(function, images) for name, function in (ours | peers).items()}, rounds, 2, pause=0.2
            )
            progress("inference", number + 1, len(sides) * len(batch_sizes))
            flops = FLOPS * batch * sum(layer_costs(generator, (side, side)).values())
            for name in ours:
                yield Row(
                    "infer",
                    f"{name}, {side}x{side}, batch {batch}",
                    batch / timings[name].median,
                    "slices/s",
                    timings[name].spread,
                    peers={f"{peer} float32": batch / timings[peer].median for peer in peers},
                    details={"GFLOP/s": flops / timings[name].median / 1e9},
                )


def _call(function: Denoise, images: np.ndarray) -> Callable[[], object]:
    return lambda: function(images)


def _saved_model(config: Config, precision: str, optimize: str, root: Path) -> Denoise:
    folder, generator = root / precision / optimize, build_generator(config.generator, config.seed, precision)
    extent = generator_of(config.generator).extent
    write_saved_model(folder, generator, extent, HuMapping(4096.0, -1024.0), optimize)
    model = tf.saved_model.load(str(folder))
    return lambda images: model.signatures["serving_default"](low_dose=tf.constant(images))["denoised"].numpy()


def _onnxruntime(config: Config, generator: keras.Model, folder: Path) -> Denoise:
    import onnxruntime

    write_onnx(folder, generator, generator_of(config.generator).extent, {})
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    path = str(folder / "generator.onnx")
    session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"low_dose": images})[0]
