"""A generator in the formats that others read, each a folder that appears whole, with its metadata."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from data_prep.staging import check_replaced, staged_folder
from wgan_vgg.errors import InputError
from wgan_vgg.exporters import exportable, formats
from wgan_vgg.exporters.exportable import Exportable, fingerprint
from wgan_vgg.exporters.precision import PRECISIONS, Samples, cost, find_samples
from wgan_vgg.exporters.saved_model import OPTIMIZATIONS, SAVED_MODEL_METADATA, write_saved_model
from wgan_vgg.files import read_json, write_json
from wgan_vgg.json_types import Written
from wgan_vgg.models import build_generator
from wgan_vgg.run_dir import RunDir

METADATA = "metadata.json"


@dataclasses.dataclass(frozen=True)
class Exported(Exportable):
    """What a writer writes, and how; `samples` only where precision is not float32."""

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
    model: RunDir | Path,
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
      model: a trained run, or the generator.safetensors of an export or of a model that ships.
      output_dir, overwrite, weights: see export_saved_model; a file has its weights alone.
      format: "saved_model"; "keras" (generator.keras), "onnx" (generator.onnx), "tflite" (generator.tflite) or "torch"
        (generator.safetensors, a PyTorch state dict).
      precision: "float32"; for a SavedModel also "bfloat16", of the convolutions; for TFLite "float16", of the
        weights, or "int8", which also quantizes what flows between.
      calibration: what int8 is calibrated on and the cost of less precision measured with, see
        precision.find_samples; by default a run's own records.
      hu_range: see precision.find_samples.
      optimize: "none", plain convolutions; or "cpu", of a SavedModel: a graph that is faster on a CPU and slower on a
        GPU, equal up to rounding.

    Returns:
      `output_dir`.

    Raises:
      InputError: as export_saved_model, another file, an unknown format, precision or optimize, an extra that is not
        installed, or no records.
    """
    if format not in FORMATS:
        raise InputError(f"format={format}: unknown; take one of {', '.join(FORMATS)}")
    precisions = ("float32", *PRECISIONS.get(format, ()))
    if precision not in precisions:
        raise InputError(f"precision={precision}: format={format} takes {', '.join(precisions)}")
    optimizations = tuple(OPTIMIZATIONS) if format == "saved_model" else ("none",)
    if optimize not in optimizations:
        raise InputError(f"optimize={optimize}: format={format} takes {', '.join(optimizations)}")
    if not isinstance(model, RunDir):
        RunDir(model).check_weights(weights, model)
    check_replaced(output_dir, _is_export, model.path if isinstance(model, RunDir) else model, overwrite=overwrite)
    found = exportable.of_run(model, weights) if isinstance(model, RunDir) else exportable.of_weights_file(model)
    samples = None
    if precision != "float32":
        records = calibration or found.records
        if records is None:
            what = "the run was imported," if isinstance(model, RunDir) else f"{model} comes"
            raise InputError(f"precision={precision}: {what} without records; give --calibration")
        samples = find_samples(precision, records, found.mapping, hu_range)
    exported = Exported(**vars(found), precision=precision, samples=samples, optimize=optimize)
    metadata = found.metadata
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
    return isinstance(found, dict) and found.get("name") == exportable.NAME and "fingerprint" in found
