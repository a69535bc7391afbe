"""A run's generator as a SavedModel that needs nothing but TensorFlow."""

from pathlib import Path

import keras
import tensorflow as tf

from data_prep.errors import InputError
from data_prep.staging import staged_folder
from wgan_vgg.run_dir import RunDir, read_json, write_json
from wgan_vgg.trained_model import load_generator, saved_step

# TensorFlow keeps its hands off this folder of a SavedModel.
METADATA = Path("assets.extra") / "metadata.json"


def exported_step(saved_model: Path) -> int | None:
    """The training step of which a SavedModel is; None where there is none."""
    return read_json(saved_model / METADATA)["step"] if (saved_model / METADATA).is_file() else None


def export_saved_model(run: RunDir, output_dir: Path, *, overwrite: bool = False, weights: str = "raw") -> Path:
    """Writes the generator as a SavedModel with dynamic batch, height and width.

    Its signature `serving_default` takes `low_dose`, float32 (batch, height, width, 1) in the training range,
    and returns `denoised`, the same shape.

    Args:
      run: a trained run.
      output_dir: the SavedModel's folder; appears whole, by one rename.
      overwrite: replace what is there.
      weights: "raw", "average" or "best", see trained_model.load_generator.

    Returns:
      `output_dir`.

    Raises:
      InputError: no trained run, no such weights, or `output_dir` is taken.
    """
    if output_dir.exists() and not overwrite:
        raise InputError(f"output_dir {output_dir}: exists already; add --overwrite or choose another")
    generator = load_generator(run, weights)
    archive = keras.export.ExportArchive()
    archive.track(generator)
    archive.add_endpoint(
        name="serving_default",
        fn=lambda low_dose: {"denoised": generator(low_dose, training=False)},
        input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32, name="low_dose")],
    )
    with staged_folder(output_dir, replace=overwrite) as folder:
        archive.write_out(str(folder), verbose=False)
        write_json(
            folder / METADATA, {"model": run.load_config().model, "step": saved_step(run, weights), "weights": weights}
        )
    return output_dir
