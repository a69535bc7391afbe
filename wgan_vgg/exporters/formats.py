"""The generator as a .keras file, ONNX, TFLite and a PyTorch state dict, all in the training range and orientation."""

import dataclasses
import json
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from wgan_vgg.errors import InputError, install
from wgan_vgg.exporters.non_finite import nan_keeping_model
from wgan_vgg.exporters.precision import Samples, cost
from wgan_vgg.exporters.state_dict import to_state_dict, write_safetensors
from wgan_vgg.extent import Extent
from wgan_vgg.hu import HuMapping
from wgan_vgg.json_types import Written
from wgan_vgg.models import Generator

# nan_keeping_model's, in TFLite
_NAN_OPERATIONS = ("ABS", "LESS_EQUAL", "CAST", "SUB", "MAX_POOL_2D", "GREATER", "SELECT_V2")
_ONNX_AXES = ("batch", "height", "width")


def write_keras(folder: Path, generator: keras.Model) -> None:
    """Writes generator.keras, which needs Keras alone."""
    generator.save(folder / "generator.keras")


def write_onnx(folder: Path, generator: keras.Model, extent: Extent, metadata: Mapping[str, object]) -> None:
    """Writes generator.onnx: `low_dose` -> `denoised`, float32 (batch, height, width, 1), all three dynamic.

    Raises:
      InputError: tf2onnx is not installed.
    """
    try:
        import onnx
        import tf2onnx  # noqa: F401  (Keras imports it)
    except ImportError as error:
        raise InputError(f"format=onnx needs tf2onnx: {install('onnx')}") from error
    path = folder / "generator.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of Keras, which gives tf2onnx the np.object it misses
        specification = tf.TensorSpec([None, None, None, 1], tf.float32, name="low_dose")
        model = nan_keeping_model(generator, extent.reach)
        model.export(path, format="onnx", verbose=False, input_signature=[specification])
    model = onnx.load(path)
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["denoised" if name == output.name else name for name in node.output]
    output.name = "denoised"
    for value in (*model.graph.input, *model.graph.output):
        for axis, name in zip(value.type.tensor_type.shape.dim, _ONNX_AXES, strict=False):
            axis.dim_param = name
    model.graph.name = "wgan_vgg"
    texts = {"wgan_vgg": json.dumps(metadata), "extent": json.dumps(dataclasses.asdict(extent))}
    onnx.helper.set_model_props(model, texts)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def write_torch(folder: Path, generator: keras.Model, network: Generator, metadata: Mapping[str, object]) -> None:
    """Writes generator.safetensors, see state_dict."""
    state = to_state_dict(generator, network)
    write_safetensors(folder / "generator.safetensors", state, {"wgan_vgg": json.dumps(metadata)})


def write_tflite(
    folder: Path, generator: keras.Model, reach: int, mapping: HuMapping, precision: str, samples: Samples | None
) -> Written:
    """Writes generator.tflite, signature `low_dose` -> `denoised`, float32 whatever flows inside.

    Args:
      folder: where to.
      generator, mapping, precision: see export.export.
      reach: of the generator, see extent.Extent.
      samples: what int8 is calibrated and the cost measured on; None for float32.

    Returns:
      For the metadata: the precision, and what it costs, see precision.cost.
    """
    with tempfile.TemporaryDirectory(dir=folder) as saved_model, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own, about itself
        _write_for_conversion(saved_model, generator, reach)
        converter = tf.lite.TFLiteConverter.from_saved_model(saved_model, signature_keys=["serving_default"])
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            assert samples is not None, "export finds some for all but float32"
            content = _quantized(converter, samples)
        else:
            content = converter.convert()
    (folder / "generator.tflite").write_bytes(content)
    if samples is None:
        return {"precision": precision}
    runner = tflite_runner(content)

    def denoise(hu: np.ndarray) -> np.ndarray:
        return mapping.to_hu(runner(low_dose=mapping.to_values(hu))["denoised"])

    return {"precision": precision, "cost": cost(denoise, generator, mapping, samples)}


def _quantized(converter: tf.lite.TFLiteConverter, samples: Samples) -> bytes:
    """The model with its convolutions in int8, calibrated on the samples.

    What finds and sets NaN stays float32: 8 bits have none.
    """
    converter.representative_dataset = lambda: ([image[np.newaxis]] for image in samples.calibration)
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=[*_NAN_OPERATIONS], fully_quantize=False)
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=converter.representative_dataset, debug_options=options
    )
    return debugger.get_nondebug_quantized_model()


def _write_for_conversion(folder: str, generator: keras.Model, reach: int) -> None:
    """A SavedModel of the chain of layers alone: no branches, no arrangement for speed."""
    model = nan_keeping_model(generator, reach)
    archive = keras.export.ExportArchive()
    archive.track(model)
    specification = tf.TensorSpec([None, None, None, 1], tf.float32, name="low_dose")
    archive.add_endpoint("serving_default", lambda low_dose: {"denoised": model(low_dose)}, [specification])
    archive.write_out(folder, verbose=False)


def tflite_runner(content: bytes) -> Any:
    """A TFLite model's signature, called as runner(low_dose=images)["denoised"]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it will move to another package some day
        return tf.lite.Interpreter(model_content=content).get_signature_runner("serving_default")
