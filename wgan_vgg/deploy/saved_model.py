"""A SavedModel with the HU mapping inside its graph."""

from pathlib import Path

import keras
import tensorflow as tf

from wgan_vgg.deploy.hu import HuMapping
from wgan_vgg.deploy.quick import Arrangement, quick

# TensorFlow keeps its hands off this folder of a SavedModel.
SAVED_MODEL_METADATA = Path("assets.extra") / "metadata.json"


def write_saved_model(folder: Path, generator: keras.Model, mapping: HuMapping, arranged: Arrangement = quick) -> None:
    """Writes a SavedModel with the three signatures that export.export_saved_model describes into a folder.

    `arranged` makes the network's function of the generator: quick.quick, or quick.plain for converters.
    """
    network = arranged(generator)

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
