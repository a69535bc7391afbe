"""Training in bfloat16 and float16: what stays float32, how losses are scaled, and where it is slower."""

import numpy as np
import pytest
import tensorflow as tf
from small_networks import batch, small_config
from training_runs import tiny

from wgan_vgg import config
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training import adam, gradients, precision_check, train_step
from wgan_vgg.training.distribute import Devices, make_strategy
from wgan_vgg.training.monitor import Monitor
from wgan_vgg.training.state import create_state
from wgan_vgg.training.train_loop import train


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_trains_with_float32_weights_and_losses(script, data_dir, tmp_path, precision):
    flags = tiny("wgan-vgg", data_dir, tmp_path / "b", f"--precision={precision}", "--epochs=1")
    assert script("train", *flags)[0] == 0
    assert script("train", *tiny("wgan-vgg", data_dir, tmp_path / "f", "--epochs=1"))[0] == 0
    reader = tf.train.load_checkpoint(str(tmp_path / "b" / "checkpoints" / "step-000000006"))
    types = {name: kind for name, kind in reader.get_variable_to_dtype_map().items() if kind.is_floating}
    assert set(types.values()) == {tf.float32}
    assert len([name for name in types if "/scale/" in name]) == 2 * (precision == "float16"), "to be resumed with"
    settings = small_config("wgan-vgg", **{"training.precision": precision})
    state = create_state(settings, (8, 8), 24)
    images = batch(0)
    terms = train_step.build_train_step(state, settings, tf.distribute.get_strategy())(images, (images,) * 3, 0.0)
    found = [*terms.values(), state.generator(images[0]), state.critic(images[0]), state.vgg(images[0])]
    assert {value.dtype for value in found} == {tf.float32}
    layers = (state.vgg.get_layer("vgg19").layers[1], state.critic.layers[1], state.generator.layers[1])
    assert {layer.compute_dtype for layer in layers} == {precision}
    half, full = (RunDir(tmp_path / name).rows()[-1]["train"] for name in "bf")
    assert half["vgg"] != full["vgg"], "it does compute otherwise"
    # In float16 the first of the six steps overflow, and are skipped.
    assert half["psnr"] == pytest.approx(full["psnr"], abs=0.5 if precision == "bfloat16" else 1.0)


def float16_state(model="wgan-mse", **values):
    settings = small_config(model, **{"training.precision": "float16", **values})
    return create_state(settings, (8, 8), 100), settings


@pytest.mark.parametrize("model", ["wgan-mse", "generator-mse"])
def test_float16_gradients_are_those_of_float32(model):
    """With seeds for which no ReLU opens or closes by rounding: one of 256 pixels may make several percent."""
    weights = tf.fill([4, 1, 1, 1], 0.3)
    half, settings = float16_state(model, seed=1)
    full = create_state(config.override(settings, {"training.precision": "float32"}), (8, 8), 100)
    kinds = {gradients.generator_gradients: (half.generator_optimizer, [])}
    if half.critic is not None:
        kinds[gradients.critic_gradients] = (half.critic_optimizer, [weights])
    for kind, (optimizer, extra) in kinds.items():
        optimizer.scale.assign(2.0**10)  # at 2^15 one overflows
        scaled, plain = (kind(state, settings, batch(1), *extra, 4)[0] for state in (half, full))
        for one, other in zip(scaled, plain, strict=True):
            assert np.linalg.norm(one / 2**10 - other) <= 0.01 * np.linalg.norm(other) + 1e-6


@pytest.mark.parametrize(("scale", "lost"), [(adam._FIRST_SCALE, False), (1.0, True)])
def test_scaling_keeps_gradients_that_float16_would_lose(scale, lost):
    state, settings = float16_state("generator-mse")
    state.generator_optimizer.scale.assign(scale)
    low_dose = batch(0)[0]
    images = (low_dose, state.generator(low_dose) + 1e-6)  # nearly solved: the loss's gradient at a pixel is 8e-9
    found, _ = gradients.generator_gradients(state, settings, images, 4)
    assert (np.abs(found[0]).max() == 0) == lost


def test_a_step_whose_gradients_overflow_changes_nothing_but_the_scale():
    state, settings = float16_state()
    step = train_step.build_train_step(state, settings, tf.distribute.get_strategy())
    step(batch(0), (batch(0),) * 3, 0.0)
    optimizer = state.generator_optimizer
    kept = (state.generator.trainable_variables, optimizer._momentums, optimizer._velocities)
    before = [variable.numpy() for variables in kept for variable in variables]
    assert np.any(before[-1]), "there is something to be changed"
    optimizer.scale.assign(2.0**80)
    terms = step(batch(0), (batch(0),) * 3, 0.0)
    after = [variable.numpy() for variables in kept for variable in variables]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert float(optimizer.scale) == 2.0**79
    assert all(np.isfinite(value) for value in terms.values()), "it is no reason to stop"
    optimizer.scale.assign(adam._FIRST_SCALE)
    step(batch(0), (batch(0),) * 3, 0.0)
    assert not np.array_equal(before[0], state.generator.trainable_variables[0].numpy())


def test_gradients_that_are_never_finite_are_reported_once_the_scale_is_at_its_end():
    state, settings = float16_state("generator-mse")
    images = (tf.fill((4, 8, 8, 1), np.nan), batch(0)[1])
    reported = []
    for _ in range(17):
        reported.append(float(gradients.generator_gradients(state, settings, images, 4)[1]["generator_gradients"]))
        train_step.generator_update(state, settings, images, 4)
    assert reported[:16] == [0.0] * 16
    assert np.isnan(reported[16])


def test_shares_of_a_gradient_that_overflows_are_left_out():
    """NaN would stand in metrics.jsonl, and in the warning that is made of it."""
    state, settings = float16_state("wgan-vgg")
    watch = Monitor(state, settings, {"train": batch(0)}, (8, 8))
    state.generator_optimizer.scale.assign(2.0**80)
    assert watch.gradient_shares() is None
    state.generator_optimizer.scale.assign(1.0)
    assert sum(watch.gradient_shares().values()) == pytest.approx(1.0)


def test_the_scale_grows_again(monkeypatch):
    monkeypatch.setattr(adam, "_GROWS_AFTER", 2)
    state, settings = float16_state("generator-mse")
    scales = []
    for _ in range(5):
        train_step.generator_update(state, settings, batch(0), 4)
        scales.append(float(state.generator_optimizer.scale) / adam._FIRST_SCALE)
    assert scales == [1, 2, 2, 4, 4]


def test_what_overflows_on_one_replica_is_skipped_on_all():
    """Fails where a replica looks at its own gradients, as Keras's LossScaleOptimizer does."""
    strategy = make_strategy(Devices("mirrored", virtual_devices=2))
    settings = small_config("generator-mse", **{"training.precision": "float16"})
    with strategy.scope():
        state = create_state(settings, (8, 8), 100)
    step = train_step.build_train_step(state, settings, strategy)
    low_dose, normal_dose = batch(0)
    parts = [(low_dose[:2], normal_dose[:2]), (low_dose[2:], normal_dose[2:])]
    broken = [parts[0], (parts[1][0], tf.fill((2, 8, 8, 1), np.nan))]

    def take(values):
        images = (
            strategy.experimental_distribute_values_from_function(
                lambda context: values[context.replica_id_in_sync_group][0]
            ),
            strategy.experimental_distribute_values_from_function(
                lambda context: values[context.replica_id_in_sync_group][1]
            ),
        )
        step(images, (), tf.constant(0.0))
        variables = (*state.generator.trainable_variables, *state.generator_optimizer.variables[1:])
        shown = [strategy.experimental_local_results(getattr(variable, "value", variable)) for variable in variables]
        scales = strategy.experimental_local_results(state.generator_optimizer.scale)
        return [[part.numpy() for part in one] for one in shown], [float(scale) for scale in scales]

    good, scales = take(parts)
    assert scales == [adam._FIRST_SCALE] * 2
    kept, scales = take(broken)
    assert scales == [adam._FIRST_SCALE / 2] * 2
    skipped = [np.array_equal(one, other) for one, other in zip(good, kept, strict=True) if one[0].ndim]
    assert all(skipped)
    moved, _ = take(parts)
    assert all(np.array_equal(*replicas) for replicas in moved), "the replicas stay alike"
    assert not np.array_equal(moved[0], kept[0])


@pytest.mark.parametrize(("speed", "said"), [(0.5, 1), (1.5, 0)])
def test_a_bfloat16_slower_than_float32_is_said_in_one_line(data_dir, tmp_path, monkeypatch, caplog, speed, said):
    monkeypatch.setattr(precision_check, "speed_of", lambda _: speed)
    settings = config.override(config.preset("demo"), {"training.precision": "bfloat16", "training.epochs": 1})
    train(config.for_model(settings, "generator-mse"), DataSet.open(data_dir), tmp_path)
    lines = [record.getMessage() for record in caplog.records if "bfloat16" in record.getMessage()]
    assert len(lines) == said
    assert all("0.50 times its speed in float32, which is faster" in line for line in lines)
    assert precision_check.slower_than_float32("float32") == ""


def test_the_speed_of_bfloat16_is_of_two_measurements(monkeypatch):
    """The convolution is a real one: the ratio of its times, each the least of three."""
    clock = iter([0, 9, 0, 4, 0, 2, 0, 3, 0, 9, 0, 1, 0, 2, 0, 5])
    monkeypatch.setattr(precision_check.time, "perf_counter", lambda: next(clock))
    assert precision_check.speed_of("bfloat16") == 2 / 1
