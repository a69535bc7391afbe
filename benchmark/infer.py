"""How fast an exported generator denoises, against onnxruntime and PyTorch where they are asked for."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmark import c_runtime
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

_NO_LAYERS = "SavedModel without layers"
_FROM_C = ", called from C"
_LEAST_PIXELS = 2**18  # per round: 512x512


def inference_rows(
    config: Config,
    precisions: Sequence[str],
    sides: Sequence[int],
    batch_sizes: Sequence[int],
    *,
    rounds: int,
    onnxruntime: bool,
    torch_peer: Callable[[keras.Model], Denoise] | None,
    progress: Progress,
) -> Iterator[Row]:
    """Times SavedModels, as written by experiments.export, on square images; beside them the peers that are given.

    One of them has no layers: what a call costs by itself. It and those that are arranged for CPUs are also called from
    C, which is what a C++ program and TensorFlow Serving pay.
    """
    generator = build_generator(config.generator, config.seed)
    with tempfile.TemporaryDirectory() as folder:
        ours, without_layers = _saved_models(config, precisions, Path(folder))
        peers: dict[str, Denoise] = {}
        if onnxruntime:
            peers["onnxruntime"] = _onnxruntime(config, generator, Path(folder))
        if torch_peer:
            peers["torch"] = torch_peer(generator)
        for number, (side, batch) in enumerate((side, batch) for side in sides for batch in batch_sizes):
            images = np.random.default_rng(number).uniform(size=(batch, side, side, 1)).astype(np.float32)
            # Peers' threads spin for a while after their work: a pause keeps them out of what comes next.
            # A pause also puts threads to sleep, which costs as much as a small image: so that is called repeatedly.
            calls = max(1, _LEAST_PIXELS // images.size)
            timings = time_in_turn(
                {name: _repeat(function, images, calls) for name, function in (ours | peers | without_layers).items()},
                rounds,
                2,
                pause=0.2,
            )
            rates = {name: calls * batch / timing.median for name, timing in timings.items()}
            progress("inference", number + 1, len(sides) * len(batch_sizes))
            flops = FLOPS * sum(layer_costs(generator, (side, side)).values())
            for name in (*ours, *without_layers):
                yield Row(
                    "infer",
                    f"{name}, {side}x{side}, batch {batch}",
                    rates[name],
                    "slices/s",
                    timings[name].spread,
                    peers={f"{peer} float32": rates[peer] for peer in peers} if name in ours else {},
                    details={"GFLOP/s": flops * rates[name] / 1e9} if name in ours else {},
                )


def _repeat(function: Denoise, images: np.ndarray, calls: int) -> Callable[[], object]:
    return lambda: [function(images) for _ in range(calls)]


def _saved_models(
    config: Config, precisions: Sequence[str], root: Path
) -> tuple[dict[str, Denoise], dict[str, Denoise]]:
    """By name: the generator's, and the one without layers."""
    ours: dict[str, Denoise] = {}
    for precision in precisions:
        for optimize in OPTIMIZATIONS:
            name, folder = f"SavedModel {precision}, optimize={optimize}", root / precision / optimize
            _write(config, precision, optimize, folder)
            ours[name] = _signature(folder)
            if optimize == "cpu":
                ours[name + _FROM_C] = c_runtime.load(folder)
    _write_without_layers(root / "without-layers")
    bare = {"": _signature, _FROM_C: c_runtime.load}
    return ours, {_NO_LAYERS + how: load(root / "without-layers") for how, load in bare.items()}


def _write(config: Config, precision: str, optimize: str, folder: Path) -> None:
    generator = build_generator(config.generator, config.seed, precision)
    extent = generator_of(config.generator).extent
    write_saved_model(folder, generator, extent, HuMapping(4096.0, -1024.0), optimize)


def _write_without_layers(folder: Path) -> None:
    specification = tf.TensorSpec([None, None, None, 1], tf.float32, name="low_dose")
    identity = tf.function(lambda low_dose: {"denoised": tf.identity(low_dose)}, input_signature=[specification])
    tf.saved_model.save(tf.Module(), str(folder), signatures={"serving_default": identity})


def _signature(folder: Path) -> Denoise:
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
