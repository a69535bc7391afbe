"""A SavedModel with the HU mapping inside its graph."""

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from wgan_vgg.deploy.hu import HuMapping

# TensorFlow keeps its hands off this folder of a SavedModel.
SAVED_MODEL_METADATA = Path("assets.extra") / "metadata.json"


# Times the reach: in lower images the rows that both halves share cost more than the halves gain.
_HALVED_FROM = 16


def in_halves(generator: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """generator(images), high images as an upper and a lower half, so that two cores do not wait for each other.

    TensorFlow runs both at a time. The halves share as many rows as the convolutions reach: the result is the whole's.
    """
    reach = sum(isinstance(layer, keras.layers.Conv2D) for layer in generator.layers)

    def halves(images: tf.Tensor) -> tf.Tensor:
        middle = tf.shape(images)[1] // 2
        upper = generator(images[:, : middle + reach], training=False)[:, :middle]
        lower = generator(images[:, middle - reach :], training=False)[:, reach:]
        return tf.concat([upper, lower], axis=1)

    def denoise(images: tf.Tensor) -> tf.Tensor:
        high = tf.shape(images)[1] >= _HALVED_FROM * reach
        return tf.cond(high, lambda: halves(images), lambda: generator(images, training=False))

    return denoise


def write_saved_model(folder: Path, generator: keras.Model, mapping: HuMapping, *, halves: bool = True) -> None:
    """Writes a SavedModel with the three signatures that export.export_saved_model describes into a folder.

    Without `halves` its graph is the plain chain of layers, for converters.
    """
    network = in_halves(generator) if halves else lambda images: generator(images, training=False)

    def serve(low_dose: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"denoised": network(low_dose)}

    def denoise_hu(low_dose_hu: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"denoised": mapping.to_hu(network(mapping.to_values(low_dose_hu)))}

    def denoise_hu_int16(low_dose_hu: tf.Tensor) -> dict[str, tf.Tensor]:
        hu = tf.round(denoise_hu(tf.cast(low_dose_hu, tf.float32))["denoised"])
        return {"denoised": tf.saturate_cast(hu, tf.int16)}

    archive = keras.export.ExportArchive()
    archive.track(generator)
    for name, function, argument, dtype in (
        ("serving_default", serve, "low_dose", tf.float32),
        ("denoise_hu", denoise_hu, "low_dose_hu", tf.float32),
        ("denoise_hu_int16", denoise_hu_int16, "low_dose_hu", tf.int16),
    ):
        specification = tf.TensorSpec([None, None, None, 1], dtype, name=argument)
        archive.add_endpoint(name=name, fn=function, input_signature=[specification])
    archive.write_out(str(folder), verbose=False)
