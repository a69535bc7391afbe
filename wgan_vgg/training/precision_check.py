"""Whether less precision is any faster on this machine."""

import time

import tensorflow as tf

_ROUNDS = 3
_SHAPE = (8, 64, 64, 32)  # images as the report's generator has them inside


def speed_of(precision: str) -> float:
    """How many times as fast as in float32 a 3x3 convolution and its gradients are; takes .3 s or so."""
    return _seconds(tf.float32) / _seconds(tf.dtypes.as_dtype(precision))


def slower_than_float32(precision: str) -> str:
    """One line if a precision is slower here than float32, else ""; a GPU is not measured."""
    if precision == "float32" or tf.config.list_physical_devices("GPU"):
        return ""
    speed = speed_of(precision)
    return (
        f"precision={precision}: on this CPU a convolution has {speed:.2f} times its speed in float32, which is faster"
        if speed < 1
        else ""
    )


def _seconds(dtype: tf.DType) -> float:
    """The least of several rounds."""
    images = tf.Variable(tf.zeros(_SHAPE, dtype))  # variables: constants would be folded
    kernels = tf.Variable(tf.zeros((3, 3, _SHAPE[-1], _SHAPE[-1]), dtype))

    @tf.function(autograph=False)
    def convolve() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            result = tf.nn.relu(tf.nn.conv2d(images, kernels, 1, "SAME"))
        return tape.gradient(result, [images, kernels])

    seconds = []
    for _ in range(1 + _ROUNDS):  # the first one traces
        started = time.perf_counter()
        for gradient in convolve():
            gradient.numpy()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])
