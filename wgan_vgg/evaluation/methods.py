"""What can be evaluated: a run, a denoiser of HU, a third-party SavedModel, or third-party denoised images."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_prep.manifest import transposed
from wgan_vgg.checkpoint_reader import load_generator, saved_step
from wgan_vgg.config import MODELS
from wgan_vgg.config.baselines import BASELINES
from wgan_vgg.errors import InputError, reason
from wgan_vgg.evaluation.evaluator import Batch, batches
from wgan_vgg.evaluation.json_types import Place
from wgan_vgg.evaluation.metrics import NOISY, TRUTH
from wgan_vgg.evaluation.outputs import outputs
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import RunDir

SIGNATURE = "serving_default"
_LARGEST = 100.0  # of the range [0, 1] no method goes so far; HU do


@dataclasses.dataclass(frozen=True)
class Method:
    """Something that denoises.

    Attributes:
      denoise: maps a batch to images (batch, height, width) in the training range.
      step: of a run, else None.
      any_image: False where only the records' own images can be had.
    """

    name: str
    denoise: Callable[[Batch], np.ndarray]
    step: int | None = None
    any_image: bool = True


def from_run(run: RunDir, weights: str = "raw", name: str | None = None) -> Method:
    """A run's generator, under a name or its model's, which says so where the weights are not the newest raw ones.

    Raises:
      InputError: as checkpoint_reader.load_generator.
    """
    config, generator = run.load_config(), load_generator(run, weights)
    return Method(
        name or (config.model if weights == "raw" else f"{config.model}-{weights}"),
        lambda batch: outputs(generator, config.generator, batch.low_dose[..., None]),
        saved_step(run, weights),
    )


def beside_run(run: RunDir, *, best: bool = False) -> list[Method]:
    """What is evaluated beside a run's newest weights: their moving average where it has one, the best if asked for."""
    others = ["average"] if run.load_config().training.ema_decay else []
    return [from_run(run, weights) for weights in [*others, *(["best"] if best else [])]]


def from_denoiser(name: str, denoise: Callable[[np.ndarray], np.ndarray], data: DataSet) -> Method:
    """A shipped or exported model as users call it, so that what is deployed is what is evaluated.

    Args:
      name: what tables call it.
      denoise: upright HU (slices, height, width) to the same, as wgan_vgg.load gives it.
      data: the records, whose values become upright HU on the way to it, and back.

    Raises:
      InputError: the name is one of this project's own methods, or the records' low dose has no HU.
    """
    check_name(name)
    if data.config.rescale_low_dose:
        raise InputError(
            f"model {name}: takes HU, and the records' low dose was min-max rescaled; evaluate a run on them"
        )
    turned = transposed(data.manifest)

    def denoised(batch: Batch) -> np.ndarray:
        hu = data.hu.to_hu(batch.low_dose)
        output = denoise(hu.swapaxes(1, 2)).swapaxes(1, 2) if turned else denoise(hu)
        return data.hu.to_values(output).astype(np.float32)

    return Method(name, denoised)


def from_saved_model(folder: Path, name: str) -> Method:
    """A SavedModel's signature `serving_default`: one float32 input (batch, height, width, 1), one such output.

    Of several outputs, `denoised` is taken. A SavedModel is a program: run only one whose source you trust.

    Raises:
      InputError: no SavedModel, or not such a signature.
    """
    check_name(name)
    try:
        model = tf.saved_model.load(str(folder))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise InputError(
            f"saved_model={folder}: not a SavedModel ({reason(error)}); give the folder that has saved_model.pb"
        ) from error
    if SIGNATURE not in model.signatures:
        raise InputError(f"saved_model={folder}: no signature {SIGNATURE}; it has {list(model.signatures) or 'none'}")
    signature = model.signatures[SIGNATURE]
    inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
    if len(inputs) != 1 or (len(outputs) != 1 and "denoised" not in outputs):
        raise InputError(
            f"saved_model={folder}: {SIGNATURE} takes {sorted(inputs)} and gives {sorted(outputs)}; it must take one "
            "image and give one, or one named denoised"
        )
    (argument,), output = inputs, "denoised" if "denoised" in outputs else next(iter(outputs))

    def denoise(batch: Batch) -> np.ndarray:
        try:
            images = signature(**{argument: tf.constant(batch.low_dose[..., None])})[output].numpy()
        except (TypeError, ValueError, tf.errors.OpError) as error:
            raise InputError(
                f"saved_model={folder}: {SIGNATURE} does not take float32 {batch.low_dose.shape + (1,)} "
                f"({reason(error)}); export the model for images of this shape"
            ) from error
        if images.shape != batch.low_dose.shape + (1,):
            raise InputError(
                f"saved_model={folder}: gives shape {images.shape} for an input of {batch.low_dose.shape + (1,)}; "
                "they must be equal"
            )
        return images[..., 0].astype(np.float32)

    return Method(name, denoise)


def from_images(folder: Path, name: str, data: DataSet, split: str) -> Method:
    """Denoised images, one `<patient_id>_<slice_index>.npy` each; all are looked at before any is evaluated.

    They are float32 (height, width), in the range and the orientation of the records.

    Raises:
      InputError: one is missing, too many, of another shape or type, has NaN, or could be of two records.
    """
    check_name(name)
    if not folder.is_dir():
        raise InputError(f"images={folder}: no such folder; give one with a <patient_id>_<slice_index>.npy an image")
    expected = {folder / name for name in image_names(data, split)}
    for path in sorted(expected):
        _read_image(path, data.image_shape)
    for path in sorted(folder.glob("*.npy")):
        if path not in expected:
            raise InputError(f"{path}: the {split} split has no such record; remove it, or give the right --split")

    def denoise(batch: Batch) -> np.ndarray:
        return np.stack([_read_image(folder / image_name(row), data.image_shape) for row in batch.rows])

    return Method(name, denoise, any_image=False)


def image_names(data: DataSet, split: str) -> set[str]:
    """The names of a split's images in a folder of them.

    Raises:
      InputError: two records would have one name, as without patient ids; they cannot be distinguished.
    """
    names: set[str] = set()
    for row in (row for batch in batches(data, split) for row in batch.rows):
        if (name := image_name(row)) in names:
            raise InputError(
                f"{name}: two records of the {split} split have this name; they cannot be distinguished; prepare them "
                "with patient ids"
            )
        names.add(name)
    return names


def image_name(row: Place) -> str:
    """The name of a record's image in a folder of them."""
    return f"{row['patient_id']}_{row['slice_index']}.npy"


def check_name(name: str) -> None:
    """Raises InputError where a foreign method's name is one of this project's own."""
    if name in (NOISY, TRUTH, *BASELINES, *MODELS):
        raise InputError(
            f"name={name}: one of this project's own methods; give another, --name=NAME or --models=NAME=MODEL"
        )


def _read_image(path: Path, shape: tuple[int, int]) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"{path}: missing; every image of the split needs one")
    try:
        image = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a .npy array ({reason(error)}); write it with numpy.save") from error
    if not isinstance(image, np.ndarray) or image.dtype != np.float32 or image.shape != shape:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else "an archive of arrays"
        raise InputError(f"{path}: {found}, expected float32 {shape}; write it so")
    if not np.all(np.isfinite(image)):
        raise InputError(f"{path}: {np.count_nonzero(~np.isfinite(image))} NaN or infinite pixels; correct it")
    if np.abs(image).max() > _LARGEST:
        raise InputError(f"{path}: values up to {np.abs(image).max():g}, expected the data set's [0, 1]; not HU")
    return image
