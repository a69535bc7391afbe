"""wgan_vgg.training.train_step: what moves, how often, by how much; composition of the five models."""

from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import batch, small_config

from wgan_vgg import config, losses, models
from wgan_vgg.models import layers
from wgan_vgg.training import gradient_shares, train_step
from wgan_vgg.training.adam import FusedAdam
from wgan_vgg.training.distribute import Devices, make_strategy
from wgan_vgg.training.state import create_state


def run_step(settings, images, critic_images=()):
    state = create_state(settings, (8, 8), 100)
    step = train_step.build_train_step(state, settings, tf.distribute.get_strategy())
    return state, {name: float(value) for name, value in step(images, critic_images, tf.constant(0.0)).items()}


@pytest.mark.parametrize("model", config.MODELS)
def test_each_model_has_exactly_its_terms(model):
    state, terms = run_step(small_config(model), batch(0))
    spec = config.MODELS[model]
    assert (state.critic is not None) == spec.adversarial
    assert (state.vgg is not None) == (spec.content == "vgg")
    expected = {"generator_loss", "zero_share", "generator_gradients", "stop_requests"}
    expected |= {"mse"} if spec.paired else set()
    expected |= {spec.content} if spec.content else set()
    if spec.adversarial:
        expected |= {f"generator_{spec.distance}", f"critic_{spec.distance}", "critic_loss", "gradient_penalty"}
        expected |= {"real_score", "fake_score", "gradient_norm", "critic_gradients"}
    assert set(terms) == expected
    content = terms.get(spec.content, 0.0)
    total = 0.1 * content + terms[f"generator_{spec.distance}"] if spec.adversarial else content
    assert terms["generator_loss"] == pytest.approx(total, rel=1e-5)


def test_critic_moves_n_times_and_generator_once_a_step():
    settings = small_config("wgan-mse")
    state, _ = run_step(settings, batch(0))
    assert int(state.critic_optimizer.iterations) == 3
    assert int(state.generator_optimizer.iterations) == 1
    assert int(state.step) == 1


def test_critic_update_moves_only_the_critic():
    settings = small_config("wgan-mse")
    state = create_state(settings, (8, 8), 100)
    generator, critic = state.generator.get_weights(), state.critic.get_weights()
    train_step.critic_update(state, settings, batch(0), tf.fill([4, 1, 1, 1], 0.5), 4)
    assert all(np.array_equal(a, b) for a, b in zip(generator, state.generator.get_weights(), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(critic[:-1], state.critic.get_weights()[:-1], strict=True))


def test_generator_update_moves_only_the_generator():
    settings = small_config("wgan-vgg")
    state = create_state(settings, (8, 8), 100)
    generator, critic = state.generator.get_weights(), state.critic.get_weights()
    train_step.generator_update(state, settings, batch(0), 4)
    assert all(np.array_equal(a, b) for a, b in zip(critic, state.critic.get_weights(), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(generator, state.generator.get_weights(), strict=True))


def test_critic_gradient_is_that_of_the_whole_loss():
    """The two tapes' gradients, added by hand, equal one tape's over -D(x) + D(G(z)) + lambda * penalty."""
    settings = small_config("wgan-mse")
    state = create_state(settings, (8, 8), 100)
    low_dose, normal_dose = batch(0)
    weights = tf.random.stateless_uniform([4, 1, 1, 1], [5, 5])
    seen = []
    state.critic_optimizer.apply = lambda gradients, _: seen.extend(gradients)
    train_step.critic_update(state, settings, (low_dose, normal_dose), weights, 4)
    variables = [v.value for v in state.critic.trainable_variables]
    with tf.GradientTape() as tape:
        fake = state.generator(low_dose)
        loss = tf.reduce_mean(losses.critic_wasserstein(state.critic(normal_dose), state.critic(fake)))
        interpolated = losses.interpolate(normal_dose, fake, weights)
        loss += 10.0 * tf.reduce_mean(losses.gradient_penalty(losses.gradient_norms(state.critic, interpolated)))
    for ours, whole in zip(seen, tape.gradient(loss, variables), strict=True):
        np.testing.assert_allclose(ours, whole, rtol=1e-4, atol=1e-6)


def penalty_graph(critic):
    """Operations of the penalty's gradient at the critic's weights, and that gradient at fixed images."""

    @tf.function
    def gradients(images):
        with tf.GradientTape() as tape:
            penalty = tf.reduce_mean(losses.gradient_penalty(losses.gradient_norms(critic, images)))
        weights = [weight.value for weight in critic.trainable_weights]
        return tape.gradient(penalty, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    images = batch(3)[0]
    needed, found = [tensor.op for tensor in gradients.get_concrete_function(images).graph.outputs], set()
    while needed:
        operation = needed.pop()
        if operation not in found:
            found.add(operation)
            needed += [tensor.op for tensor in operation.inputs]
    return Counter(operation.type for operation in found), gradients(images)


def test_the_penalty_costs_four_passes_and_its_gradient_is_that_of_keras_own_layer(monkeypatch):
    settings = small_config("wgan-mse").critic
    counts, ours = penalty_graph(models.build_critic(settings, (8, 8), seed=1))
    assert counts["Conv2D"] == 2 * 2, "forward, and through the gradient at the images"
    assert (counts["Conv2DBackpropInput"], counts["Conv2DBackpropFilter"]) == (2, 2)
    monkeypatch.setattr(layers, "PiecewiseLeakyReLU", keras.layers.LeakyReLU)
    counts, plain = penalty_graph(models.build_critic(settings, (8, 8), seed=1))
    assert counts["Conv2DBackpropFilter"] > 2, "Keras's own takes more: else ours is not needed any longer"
    for one, other in zip(ours, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_fused_adam_is_keras_adam():
    found = {}
    for kind in (keras.optimizers.Adam, FusedAdam):
        variable = keras.Variable(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4))
        rate = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
        optimizer = kind(rate, beta_1=0.5, beta_2=0.9)
        optimizer.build([variable])
        for step in range(5):
            optimizer.apply([tf.sin(variable.value * (step + 1))], [variable])
        found[kind] = [value.numpy() for value in (variable, *optimizer.variables)]
    for ours, keras_own in zip(found[FusedAdam], found[keras.optimizers.Adam], strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-5, atol=1e-7)
    assert not np.allclose(found[FusedAdam][0], np.linspace(-1, 1, 12).reshape(3, 4), atol=0.1)


def test_fused_adam_goes_on_from_a_checkpoint_of_keras_adam(tmp_path):
    """Runs of earlier versions were saved with Keras's own."""
    variable = keras.Variable([1.0, -2.0])
    earlier = keras.optimizers.Adam(0.1, beta_1=0.5, beta_2=0.9)
    earlier.build([variable])
    earlier.apply([tf.constant([0.5, 3.0])], [variable])
    saved = tf.train.Checkpoint(optimizer=earlier, variable=variable.value).save(str(tmp_path / "step"))
    earlier.apply([tf.constant([-1.0, 0.1])], [variable])
    restored = keras.Variable([9.0, 9.0])
    fused = FusedAdam(0.1, beta_1=0.5, beta_2=0.9)
    fused.build([restored])
    status = tf.train.Checkpoint(optimizer=fused, variable=restored.value).restore(saved)
    status.assert_consumed()
    fused.apply([tf.constant([-1.0, 0.1])], [restored])
    np.testing.assert_allclose(restored.numpy(), variable.numpy(), rtol=1e-6)


def test_fused_adam_on_two_replicas_is_keras_adam_on_the_summed_gradient():
    strategy = make_strategy(Devices("mirrored", virtual_devices=2))
    start = np.linspace(-1, 1, 6, dtype=np.float32)
    with strategy.scope():
        mirrored = keras.Variable(start)
        optimizer = FusedAdam(0.1, beta_1=0.5, beta_2=0.9)
        optimizer.build([mirrored])

    @tf.function
    def step(number):
        def replica():
            share = 1.0 + 2.0 * tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.float32)
            optimizer.apply([share * tf.sin(tf.constant(start) * number)], [mirrored])

        strategy.run(replica)

    alone = keras.Variable(start)
    plain = keras.optimizers.Adam(0.1, beta_1=0.5, beta_2=0.9)
    for number in range(1, 5):
        step(tf.constant(float(number)))
        plain.apply([4.0 * tf.sin(tf.constant(start) * float(number))], [alone])  # 1 + 3, what the replicas have
    for variable, single in zip((mirrored, *optimizer.variables), (alone, *plain.variables), strict=True):
        for copy in strategy.experimental_local_results(variable.value):
            np.testing.assert_allclose(copy.numpy(), single.numpy(), rtol=1e-5, atol=1e-7)


def test_gradients_compiled_by_xla_are_the_same():
    """On two devices; the second step sees what the first one changed."""
    strategy = make_strategy(Devices("mirrored", virtual_devices=2))
    found = []
    for xla in (False, True):
        settings = small_config("wgan-vgg", **{"training.xla": xla})
        with strategy.scope():
            state = create_state(settings, (8, 8), 100)
        step = train_step.build_train_step(state, settings, strategy)
        shares = strategy.experimental_distribute_values_from_function(
            lambda context: batch(context.replica_id_in_sync_group, 2)
        )
        for _ in range(2):
            terms = step(shares, (shares,) * 3, tf.constant(0.0))
        traced = str(step.get_concrete_function(shares, (shares,) * 3, tf.constant(0.0)).graph.as_graph_def())
        assert ("_XlaMustCompile" in traced) == xla
        found.append([float(value) for value in terms.values()])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-6)


def test_critic_takes_fresh_batches_where_given():
    settings = small_config("wgan-mse")
    _, same = run_step(settings, batch(0))
    _, fresh = run_step(settings, batch(0), (batch(1), batch(2), batch(3)))
    _, again = run_step(settings, batch(0), (batch(0), batch(0), batch(0)))
    assert same["critic_loss"] == again["critic_loss"]
    assert same["critic_loss"] != fresh["critic_loss"]


def test_interpolation_weights_are_uniform_one_a_sample_and_differ_between_updates():
    settings = small_config("wgan-mse", **{"training.batch_size": 512})
    first = train_step.interpolation_weights(settings, 0, tf.constant(0, tf.int64), 512).numpy()
    assert first.shape == (512, 1, 1, 1)
    assert (first >= 0).all()
    assert (first < 1).all()
    assert first.std() == pytest.approx(12**-0.5, rel=0.1)
    for step, number in ((0, 1), (1, 0)):
        other = train_step.interpolation_weights(settings, number, tf.constant(step, tf.int64), 512).numpy()
        assert not np.array_equal(first, other)


def test_gradient_shares_are_norms_of_the_weighted_terms_gradients():
    """wgan-mse: at a weight of 0 the MSE has none of the gradient, at a huge one all; it is not the losses' share."""
    images = tuple(tf.random.stateless_uniform([2, 32, 32, 1], [0, number]) for number in range(2))
    found = {}
    for weight in (0.0, 0.1, 1e6):
        settings = config.override(
            config.preset("demo"),
            {"model": "wgan-mse", "loss.content_weight": weight, "critic.filters": (4, 4), "critic.dense_units": 8},
        )
        state = create_state(settings, (32, 32), 24)
        shares = gradient_shares.build_gradient_shares(state, settings)
        found[weight] = {name: float(value) for name, value in shares(images).items()}
        assert sum(found[weight].values()) == pytest.approx(1.0, abs=1e-5)
    assert found[0.0]["mse"] == 0.0
    assert found[1e6]["mse"] > 0.999
    variables = state.generator.trainable_variables
    norms = {}
    for name in ("mse", "generator_wasserstein"):
        with tf.GradientTape() as tape:
            output = state.generator(images[0])
            loss = (
                0.1 * tf.reduce_mean((output - images[1]) ** 2)
                if name == "mse"
                else -tf.reduce_mean(state.critic(output))
            )
        norms[name] = float(tf.linalg.global_norm(tape.gradient(loss, [v.value for v in variables])))
    assert found[0.1]["mse"] == pytest.approx(norms["mse"] / sum(norms.values()), rel=1e-3)
    for model in ("generator-mse", "wgan"):
        settings = config.override(config.preset("demo"), {"model": model})
        assert gradient_shares.build_gradient_shares(create_state(settings, (64, 64), 24), settings) is None
