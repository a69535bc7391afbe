"""A SavedModel with the HU mapping inside its graph."""

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from wgan_vgg.exporters.inference_graph import Network, arranged_for_cpu
from wgan_vgg.exporters.non_finite import keeping_nan
from wgan_vgg.extent import Extent
from wgan_vgg.hu import HuMapping

# TensorFlow keeps its hands off this folder of a SavedModel.
SAVED_MODEL_METADATA = Path("assets.extra") / "metadata.json"
# How the graph computes: the chain of layers, which suits every device, or what is faster on a CPU and slower on a GPU.
OPTIMIZATIONS: dict[str, Callable[[keras.Model, Extent], Network]] = {
    "none": lambda generator, _: lambda images: generator(images, training=False),
    "cpu": arranged_for_cpu,
}


def write_saved_model(
    folder: Path, generator: keras.Model, extent: Extent, mapping: HuMapping, optimize: str = "none"
) -> None:
    """Writes a SavedModel with the three signatures that export.export_saved_model describes into a folder.

    Args:
      folder: where to.
      generator, extent, mapping: what it computes, and how far it reaches.
      optimize: one of OPTIMIZATIONS.
    """
    network, distance = OPTIMIZATIONS[optimize](generator, extent), extent.reach

    def in_hu(hu: tf.Tensor) -> tf.Tensor:
        return mapping.to_hu(network(mapping.to_values(hu)))

    def in_int16(hu: tf.Tensor) -> tf.Tensor:
        return tf.saturate_cast(tf.round(in_hu(tf.cast(hu, tf.float32))), tf.int16)

    def serve(low_dose: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"denoised": _guarded(keeping_nan(network, distance), low_dose)}

    def denoise_hu(low_dose_hu: tf.Tensor) -> dict[str, tf.Tensor]:
        # A rescaled model takes the lowest and the highest value of the whole image.
        kept = keeping_nan(in_hu, None if mapping.rescaled else distance)
        return {"denoised": _guarded(kept, low_dose_hu)}

    def denoise_hu_int16(low_dose_hu: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"denoised": _guarded(in_int16, low_dose_hu)}

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


def _guarded(network: Network, images: tf.Tensor) -> tf.Tensor:
    """network(images) for any request: nothing for no pixels, InvalidArgument for what are no images.

    A server hands tensors of any shape to the graph, and some end the process inside TensorFlow's convolution. The
    check is an operation of its own, which everything else waits for.
    """
    images = tf.ensure_shape(images, [None, None, None, 1], name="expected_batch_height_width_1")
    return tf.cond(tf.size(images) > 0, lambda: network(images), lambda: images)
