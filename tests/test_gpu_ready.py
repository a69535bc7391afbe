"""That nothing needs a CPU: what can be seen of a GPU without one, with TensorFlow's GPU build."""

import itertools
import re

import numpy as np
import pytest
import tensorflow as tf
from small_networks import batch, small_config
from tensorflow.python.framework import kernels
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from benchmark.costs import LayerWork
from benchmark.gpu import GPUS, all_reduce_seconds, busy_seconds
from wgan_vgg import config
from wgan_vgg.exporters.export import export
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training import gradients
from wgan_vgg.training.state import create_state
from wgan_vgg.training.train_step import build_train_step

pytestmark = pytest.mark.skipif(not tf.test.is_built_with_cuda(), reason="TensorFlow without GPU kernels")


def nodes(function):
    graph = function.graph.as_graph_def()
    return [*graph.node, *itertools.chain.from_iterable(inner.node_def for inner in graph.library.function)]


def without_gpu_kernel(function):
    """Operations of a traced function that TensorFlow can only run on a CPU."""
    return {
        operation
        for operation in {node.op for node in nodes(function)}
        if not {kernel.device_type for kernel in kernels.get_registered_kernels_for_op(operation).kernel}
        & {"GPU", "DEFAULT"}
    }


def test_an_operation_of_the_cpu_alone_would_be_found():
    python = tf.function(lambda x: tf.numpy_function(np.sin, [x], tf.float32)).get_concrete_function(tf.zeros(3))
    assert without_gpu_kernel(python) == {"PyFunc"}


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("model", config.MODELS)
def test_every_operation_of_a_step_has_a_gpu_kernel_and_keeps_channels_last(model, precision):
    settings = small_config(model, **{"training.precision": precision, "training.ema_decay": 0.9})
    state = create_state(settings, (8, 8), 100)
    step = build_train_step(state, settings, tf.distribute.get_strategy())
    fresh = (batch(1),) * 3 if state.critic is not None else ()
    function = step.get_concrete_function(batch(0), fresh, tf.constant(0.0))
    assert without_gpu_kernel(function) == set()
    layouts = {node.attr["data_format"].s for node in nodes(function) if "data_format" in node.attr}
    assert layouts == {b"NHWC"}


def test_every_operation_of_a_saved_model_has_a_gpu_kernel(network, tmp_path):
    signatures = tf.saved_model.load(str(export(RunDir(network), tmp_path / "saved_model", "saved_model"))).signatures
    assert len(signatures) == 3
    for function in signatures.values():
        assert without_gpu_kernel(function) == set()


def lowered(function, *arguments):
    """The HLO that XLA makes of a function for GPUs; its variables as constants, which is what it takes without one."""
    traced = tf.function(function, autograph=False).get_concrete_function(*arguments)
    frozen = convert_variables_to_constants_v2(traced)
    compiled = tf.function(lambda *given: frozen(*given), jit_compile=True, autograph=False)
    return compiled.experimental_get_compiler_ir(*arguments)(stage="hlo", platform_name="GPU")


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_xla_lowers_the_gradients_for_a_gpu(precision):
    settings = small_config("wgan-vgg", **{"training.precision": precision})
    state = create_state(settings, (8, 8), 100)
    text = lowered(lambda *images: gradients.generator_gradients(state, settings, images, 4), *batch(0))
    assert text.count(" convolution(") >= 18  # 8 of the generator, 4 of the critic, 6 of VGG
    types = {"bfloat16": "bf16", "float16": "f16"}
    assert set(re.findall(r"\b(bf16|f16)\[", text)) == ({types[precision]} if precision in types else set())
    penalty = lowered(
        lambda low, normal, weights: gradients.critic_gradients(state, settings, (low, normal), weights, 4),
        *batch(0),
        tf.fill([4, 1, 1, 1], 0.3),
    )
    assert penalty.count(" convolution(") > 10


def test_the_computed_time_is_the_longer_of_arithmetic_and_traffic():
    gpu = GPUS["A100 80 GB"]
    arithmetic = LayerWork(multiply_adds=156_000, elements=1, weights=0, passes=3)
    assert busy_seconds([arithmetic], 0, 1000, "float32", gpu) == pytest.approx(3 * 2 * 156e6 / 156e12)
    assert busy_seconds([arithmetic], 0, 1000, "bfloat16", gpu) == pytest.approx(3 * 2 * 156e6 / 312e12)
    traffic = LayerWork(multiply_adds=1, elements=2039, weights=2_039_000, passes=1)
    assert busy_seconds([traffic], 0, 1000, "float32", gpu) == pytest.approx(4 * 2 * 2_039_000 / 2.039e12)
    assert busy_seconds([traffic], 0, 1000, "bfloat16", gpu) == pytest.approx(2 * 2 * 2_039_000 / 2.039e12)
    assert busy_seconds([], 2_039_000, 1, "bfloat16", gpu) == pytest.approx(28 * 1e-6)


def test_adding_up_gradients_passes_them_nearly_twice_through_the_slowest_link():
    gpu = GPUS["A100 80 GB"]
    assert all_reduce_seconds(300_000_000, 1, gpu) == 0
    assert all_reduce_seconds(300_000_000, 8, gpu) == pytest.approx(2 * 7 / 8 * 4e-3)
    assert all_reduce_seconds(25_000_000, 64, gpu) == pytest.approx(2 * 63 / 64 * 4e-3)
