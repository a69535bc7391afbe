"""A run's generator in the formats that others read, each a folder that appears whole, with its metadata."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import wgan_vgg
from data_prep.staging import check_replaced, staged_folder
from wgan_vgg.checkpoint_reader import load_generator, saved_step
from wgan_vgg.config import nested
from wgan_vgg.errors import InputError
from wgan_vgg.exporters import formats
from wgan_vgg.exporters.precision import PRECISIONS, Samples, cost, find_samples
from wgan_vgg.exporters.saved_model import OPTIMIZATIONS, SAVED_MODEL_METADATA, write_saved_model
from wgan_vgg.files import read_json, write_json
from wgan_vgg.hu import HuMapping
from wgan_vgg.json_types import Metadata, Written
from wgan_vgg.models import Generator, build_generator, generator_of
from wgan_vgg.run_dir import RunDir

METADATA = "metadata.json"
_NAME = "wgan-vgg"  # in every export's metadata


@dataclasses.dataclass(frozen=True)
class Exported:
    """What a writer writes: the generator and what is known of it; `samples` only where precision is not float32."""

    generator: keras.Model
    network: Generator
    mapping: HuMapping
    metadata: Metadata
    precision: str
    samples: Samples | None
    optimize: str  # of OPTIMIZATIONS


def exported_metadata(folder: Path) -> dict[str, Any]:
    """The metadata of an export in any format; empty where there is none."""
    paths = (folder / name for name in (SAVED_MODEL_METADATA, METADATA))
    return next((read_json(path) for path in paths if path.is_file()), {})


def exported_step(folder: Path) -> int | None:
    """The step of the exported weights; None where there is none."""
    return exported_metadata(folder).get("step")


def export_saved_model(run: RunDir, output_dir: Path, *, overwrite: bool = False, weights: str = "raw") -> Path:
    """Writes the generator as a SavedModel with dynamic batch, height and width, which needs nothing but TensorFlow.

    Its signatures, images being (batch, height, width, 1) and the output `denoised` of the input's shape and type:
      serving_default: `low_dose`, float32 in the training range and orientation, as records are;
      denoise_hu: `low_dose_hu`, float32 HU, upright; mapped to the training range as conversion mapped the low-dose
        images, clipped to it or not, as the metadata's `hu.clip` says, and transposed where `hu.transposed` says so;
      denoise_hu_int16: the same in int16, rounded.
    A request of another rank or with more channels is an InvalidArgument; for no images there are none back. NaN and
    infinite pixels give NaN wherever they reach.

    Args:
      run: a trained run.
      output_dir: the SavedModel's folder; appears whole, by one rename.
      overwrite: replace an older export.
      weights: "raw", "average" or "best", see checkpoint_reader.load_generator.

    Returns:
      `output_dir`.

    Raises:
      InputError: no trained run, no such weights, or `output_dir` is taken.
    """
    return export(run, output_dir, "saved_model", overwrite=overwrite, weights=weights)


def export(
    run: RunDir,
    output_dir: Path,
    format: str,
    *,
    overwrite: bool = False,
    weights: str = "raw",
    precision: str = "float32",
    calibration: Path | None = None,
    hu_range: tuple[float, float] | None = None,
    optimize: str = "none",
) -> Path:
    """Writes the generator in one of FORMATS: a SavedModel (see export_saved_model), or a file and its metadata.

    All but the SavedModel work in the training range and orientation; the metadata say how upright HU map to it.

    Args:
      run, output_dir, overwrite, weights: see export_saved_model.
      format: "saved_model"; "keras" (generator.keras), "onnx" (generator.onnx), "tflite" (generator.tflite) or "torch"
        (generator.safetensors, a PyTorch state dict).
      precision: "float32"; for a SavedModel also "bfloat16", of the convolutions; for TFLite "float16", of the
        weights, or "int8", which also quantizes what flows between.
      calibration: what int8 is calibrated on and the cost of less precision measured with, see
        precision.find_samples; by default the run's own records.
      hu_range: see precision.find_samples.
      optimize: "none", plain convolutions; or "cpu", of a SavedModel: a graph that is faster on a CPU and slower on a
        GPU, equal up to rounding.

    Returns:
      `output_dir`.

    Raises:
      InputError: as export_saved_model, an unknown format, precision or optimize, an extra that is not installed, or no
        records.
    """
    if format not in FORMATS:
        raise InputError(f"format={format}: unknown; take one of {', '.join(FORMATS)}")
    precisions = ("float32", *PRECISIONS.get(format, ()))
    if precision not in precisions:
        raise InputError(f"precision={precision}: format={format} takes {', '.join(precisions)}")
    optimizations = tuple(OPTIMIZATIONS) if format == "saved_model" else ("none",)
    if optimize not in optimizations:
        raise InputError(f"optimize={optimize}: format={format} takes {', '.join(optimizations)}")
    check_replaced(output_dir, _is_export, run.path, overwrite=overwrite)
    mapping, generator = HuMapping.from_run(run), load_generator(run, weights)
    network = generator_of(run.load_config().generator)
    metadata = describe(run, generator, mapping, weights)
    samples = None
    if precision != "float32":
        records = calibration or run.stored()["data"].get("path")
        if not records:
            raise InputError(f"precision={precision}: the run was imported, without records; give --calibration")
        samples = find_samples(precision, Path(records), mapping, hu_range)
    exported = Exported(generator, network, mapping, metadata, precision, samples, optimize)
    with staged_folder(output_dir, replace=overwrite) as folder:
        metadata |= FORMATS[format](folder, exported) or {}
        write_json(folder / (SAVED_MODEL_METADATA if format == "saved_model" else METADATA), metadata)
    return output_dir


def _write_saved_model(folder: Path, one: Exported) -> Written:
    said: Written = {} if one.optimize == "none" else {"optimize": one.optimize}
    if one.samples is None:
        write_saved_model(folder, one.generator, one.network.extent, one.mapping, one.optimize)
        return said
    coarser = build_generator(one.network.config, precision=one.precision)
    coarser.set_weights(one.generator.get_weights())
    write_saved_model(folder, coarser, one.network.extent, one.mapping, one.optimize)
    denoise_hu = tf.saved_model.load(str(folder)).signatures["denoise_hu"]

    def denoise(hu: np.ndarray) -> np.ndarray:
        return denoise_hu(low_dose_hu=tf.constant(hu))["denoised"].numpy()

    measured = cost(denoise, one.generator, one.mapping, one.samples)
    return {**said, "precision": one.precision, "cost": measured, "fingerprint": fingerprint(coarser, one.mapping)}


# Each writes its files into a folder, and returns what else the metadata say.
FORMATS: dict[str, Callable[[Path, Exported], Written | None]] = {
    "saved_model": _write_saved_model,
    "keras": lambda folder, one: formats.write_keras(folder, one.generator),
    "onnx": lambda folder, one: formats.write_onnx(folder, one.generator, one.network.extent, one.metadata),
    "tflite": lambda folder, one: formats.write_tflite(
        folder, one.generator, one.network.extent.reach, one.mapping, one.precision, one.samples
    ),
    "torch": lambda folder, one: formats.write_torch(folder, one.generator, one.network, one.metadata),
}


def _is_export(folder: Path) -> bool:
    found = exported_metadata(folder)  # others call a file so, too
    return isinstance(found, dict) and found.get("name") == _NAME and "fingerprint" in found


def describe(run: RunDir, generator: keras.Model, mapping: HuMapping, weights: str) -> Metadata:
    """What travels with an exported model: where it comes from, its HU, its results."""
    config, stored = run.load_config(), run.stored()
    evaluations = {path.stem: read_json(path) for path in sorted(run.evaluations.glob("*.json"))}
    rows, training_data = run.rows(), stored["data"].copy()
    training_data.pop("path", None)
    return {
        "name": _NAME,
        "version": wgan_vgg.__version__,
        "model": config.model,
        "preset": config.preset,
        "seed": config.seed,
        "step": saved_step(run, weights),
        "weights": weights,
        "precision": "float32",
        "fingerprint": fingerprint(generator, mapping),
        "hu": mapping.describe(),
        "warnings": [*mapping.warnings, "not for diagnostic use"],
        "vgg_weights": stored.get("vgg_weights"),
        "training_data": training_data,
        "training_input": stored.get("training_input"),
        "data_config": stored["config"]["data"],
        "generator": nested.to_dict(config.generator),
        "extent": dataclasses.asdict(generator_of(config.generator).extent),
        "metrics": {split: summary["methods"] for split, summary in evaluations.items()} or (rows[-1] if rows else {}),
    }


def fingerprint(generator: keras.Model, mapping: HuMapping) -> str:
    """Tells models apart by what they compute: the sha256 of their layers' settings, weights and HU mapping."""
    digest = hashlib.sha256(json.dumps(mapping.describe()).encode())
    for layer in generator.layers:
        digest.update(json.dumps(layer.get_config(), default=str, sort_keys=True).encode())
        for weight in layer.get_weights():
            digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
