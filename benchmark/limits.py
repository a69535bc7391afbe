"""The machine's own limits: how fast it convolves, reads and copies, whatever this project does."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from benchmark.costs import FLOPS, convolution_shapes
from benchmark.timing import Timing


class ConvolutionPeak:
    """The best rate over the shapes of a network's own convolutions, each alone, forward.

    Args:
      network: whose shapes; the frozen VGG19.
      image_shape: height and width of its input.
      batch_size: images.
      precision: "float32" or "bfloat16".
    """

    def __init__(self, network: keras.Model, image_shape: tuple[int, int], batch_size: int, precision: str) -> None:
        dtype = tf.dtypes.as_dtype(precision)
        self.functions: list[Callable[[], object]] = []
        self._flops: list[int] = []
        for height, width, channels, filters in convolution_shapes(network, image_shape):
            images = tf.cast(tf.random.stateless_uniform([batch_size, height, width, channels], [0, 1]), dtype)
            kernel = tf.cast(tf.random.stateless_normal([3, 3, channels, filters], [0, 2]), dtype)
            self.functions.append(_convolution(images, kernel))
            self._flops.append(FLOPS * batch_size * height * width * 9 * channels * filters)

    def rate(self, timings: Sequence[Timing]) -> float:
        """FLOP/s of the best shape, `timings` being those of `functions`."""
        return max(flops / timing.median for flops, timing in zip(self._flops, timings, strict=True))


def _convolution(images: tf.Tensor, kernel: tf.Tensor) -> Callable[[], object]:
    convolve = tf.function(lambda images, kernel: tf.nn.conv2d(images, kernel, 1, "SAME"), autograph=False)
    function = convolve.get_concrete_function(images, kernel)  # once per shape: called, it would warn of retracing
    return lambda: function(images, kernel)[0, 0, 0, 0].numpy()


def read_plainly(paths: Sequence[Path]) -> int:
    """Reads files from end to end, in blocks; returns their bytes."""
    total = 0
    block = bytearray(2**20)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(block):
                total += count
    return total


def copy_plainly(paths: Sequence[Path], folder: Path) -> int:
    """Copies files into a folder; returns their bytes."""
    return sum(Path(shutil.copyfile(path, folder / path.name)).stat().st_size for path in paths)
