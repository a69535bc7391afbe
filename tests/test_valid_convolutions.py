"""Generators of "valid" convolutions without biases, and the preset of the paper's first author's own code."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from deployed import odd_images, save_run
from training_runs import checkpoint_digest, tiny, without_times

from benchmark import costs
from data_prep.errors import InputError
from data_prep.manifest import load_manifest
from wgan_vgg import config, models
from wgan_vgg.checkpoint_reader import load_generator
from wgan_vgg.config import GeneratorConfig
from wgan_vgg.exporters.export import export
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training.gradients import generated, generator_terms, weighted_terms
from wgan_vgg.training.state import create_state
from wgan_vgg.training.train_loop import check_sizes

AUTHOR = config.preset("yang2018-code")
VALID = ("--set=generator.padding=valid", "--set=generator.use_bias=false")


def repeated(images, pixels):
    """Images (count, height, width, 1) with their border pixels repeated outwards."""
    return np.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), mode="edge")


def convolved(generator, images):
    """VALID convolutions with the generator's kernels, a ReLU after each, by TensorFlow's own operation."""
    for kernel in generator.get_weights():
        images = tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "VALID"))
    return images.numpy()


# The network


def test_the_authors_generator_has_kernels_only():
    generator = models.build_generator(AUTHOR.generator)
    assert generator.count_params() == 9 * (1 * 32 + 6 * 32 * 32 + 32 * 1) == 55_872
    assert [weight.ndim for weight in generator.get_weights()] == [4] * 8


def test_patches_shrink_and_whole_images_do_not():
    generator, patch_generator = models.build_generators(AUTHOR.generator, seed=3)
    images = odd_images(2, 80, 70)
    inner = patch_generator(images).numpy()
    assert inner.shape[1:3] == models.generator_of(AUTHOR.generator).trained_shape((80, 70)) == (64, 54)
    np.testing.assert_allclose(inner, convolved(generator, images), atol=1e-5)
    assert inner.std() > 0.01
    for shape in ((2, 37, 53), (1, 9, 20), (1, 3, 1), (1, 1, 1)):
        whole = odd_images(*shape)
        assert generator(whole).shape == whole.shape
        np.testing.assert_allclose(generator(whole), convolved(generator, repeated(whole, 8)), atol=1e-5)


def test_patches_train_the_generators_own_weights_and_without_a_border_there_is_one_model():
    pairs = zip(*(generator.weights for generator in models.build_generators(AUTHOR.generator)), strict=True)
    assert all(one is other for one, other in pairs)
    same, patch_generator = models.build_generators(GeneratorConfig())
    assert patch_generator is same
    standardized = dataclasses.replace(AUTHOR.generator, input_mean=0.5, input_std=2.0, output_relu=False)
    image, (generator, patch_generator) = odd_images(1, 20, 20), models.build_generators(standardized)
    np.testing.assert_allclose(generator(image), patch_generator(repeated(image, 8)), atol=1e-5)


# The preset


@pytest.mark.parametrize(("name", "weight"), [("wgan-mse", 204.8), ("wgan-vgg", 409.6)])
def test_the_losses_are_the_authors_sums(name, weight):
    """train_wgan.py: 1e-1 * reduce_sum(squared_difference(a, b)) / (2.0 * batch_size), of images or of features."""
    few = {"vgg.weights": "random", "critic.filters": (4, 4), "critic.dense_units": 4, "training.batch_size": 2}
    settings = config.override(config.for_model(AUTHOR, name), few)
    assert settings.loss.content_weight == pytest.approx(weight)
    state = create_state(settings, (80, 80), 2)
    images = (tf.constant(odd_images(2, 80, 80, seed=1)), tf.constant(odd_images(2, 80, 80, seed=2)))
    patches = generated(state, images, training=True)
    _, real, fake = patches
    np.testing.assert_array_equal(real, images[1][:, 8:-8, 8:-8])
    assert state.critic.input_shape == (None, 64, 64, 1)
    compared = (state.vgg(real), state.vgg(fake)) if name == "wgan-vgg" else (real, fake)
    theirs = 1e-1 * tf.reduce_sum(tf.math.squared_difference(*compared)) / (2.0 * 2)
    ours = weighted_terms(settings, generator_terms(state, settings, patches, paired=True))
    content = "vgg" if name == "wgan-vgg" else "mse"
    assert float(tf.reduce_mean(ours[content])) == pytest.approx(float(theirs), rel=1e-5)
    assert float(theirs) > 0
    assert float(tf.reduce_mean(ours["generator_wasserstein"])) == pytest.approx(
        -float(tf.reduce_mean(state.critic(fake))), rel=1e-5
    )


def test_the_authors_values():
    assert (AUTHOR.input.patch_size, AUTHOR.data.noise, AUTHOR.data.image_size) == (80, "none", 0)
    assert (AUTHOR.optimizer.generator_lr, AUTHOR.optimizer.critic_lr) == (1e-4, 1e-4)
    assert AUTHOR.optimizer.generator_betas == AUTHOR.optimizer.critic_betas == (0.5, 0.9)
    assert AUTHOR.loss.gradient_penalty_weight == 1.0
    assert (AUTHOR.training.batch_size, AUTHOR.training.epochs, AUTHOR.training.critic_steps) == (128, 100, 4)
    given = config.override(AUTHOR, {"loss.content_weight": 7.0})
    assert config.for_model(given, "wgan-mse").loss.content_weight == 7.0, "who asks for a weight gets it"


@pytest.mark.parametrize(
    ("model", "side", "message"),
    [
        ("generator-mse", 16, "16x16: the generator takes 17x17 or more"),
        ("wgan-mse", 23, "23x23: the critic takes 24x24 or more"),
        ("generator-vgg", 31, "31x31: the VGG takes 32x32 or more"),
    ],
)
def test_patches_that_leave_nothing_are_refused(model, side, message):
    settings = config.override(AUTHOR, {"model": model, "input.patch_size": side, "vgg.weights": "random"})
    with pytest.raises(InputError, match=message):
        check_sizes(settings, (64, 64))
    check_sizes(config.override(settings, {"input.patch_size": side + 1}), (64, 64))


def test_a_step_costs_what_patches_cost():
    few = {"model": "wgan-mse", "critic.filters": (4, 4), "critic.dense_units": 4, "training.batch_size": 1}
    settings = config.override(AUTHOR, few | {"generator.layers": 2, "training.critic_steps": 1})
    state = create_state(settings, (12, 12), 1)
    first, second = 10 * 10 * 9 * 32, 8 * 8 * 9 * 32
    critic = [8 * 8 * 9 * 4, 4 * 4 * 9 * 4 * 4, 4 * 4 * 4 * 4, 4]
    expected = (first + second) + 2 * (3 * sum(critic) - critic[0]) + 4 * sum(critic)
    expected += 3 * (first + second) - first + 2 * sum(critic)
    assert costs.step_flops(settings, state, (12, 12)) == 2 * expected


# From training to files


@pytest.fixture(scope="module")
def trained(data_dir, tmp_path_factory):
    """An unbroken run of 12 steps, and one that was stopped after 5 and went on."""
    from experiments.train import main

    folder = tmp_path_factory.mktemp("valid")
    more = (*VALID, "--ema_decay=0.9", "--critic_steps=1")
    for name, flags in (("whole", []), ("broken", ["--max_steps=5"]), ("broken", [])):
        with pytest.raises(SystemExit) as exit_info:
            main([str(text) for text in tiny("wgan-vgg", data_dir, folder / name, *more, *flags)])
        assert exit_info.value.code == 0
    return folder


def test_a_resumed_training_ends_as_an_unbroken_one(trained):
    whole, broken = (RunDir(trained / name) for name in ("whole", "broken"))
    rows = without_times(whole.rows())
    assert rows == without_times(broken.rows())
    assert checkpoint_digest(whole.path, 12) == checkpoint_digest(broken.path, 12)
    assert rows[-1]["validation"]["psnr"] != rows[0]["validation"]["psnr"]
    assert "vgg" in rows[-1]["gradient_shares"]
    assert [kernel.shape for kernel in load_generator(whole, "average").get_weights()] == [
        *((3, 3, 1, 8), (3, 3, 8, 8), (3, 3, 8, 1))
    ]


def test_another_run_begins_with_its_weights(trained, data_dir, tmp_path, script):
    weights = export(RunDir(trained / "whole"), tmp_path / "torch", "torch") / "generator.safetensors"
    flags = (f"--init_from={weights}", "--max_steps=1")
    status, _, err = script("train", *tiny("generator-mse", data_dir, tmp_path / "run", *VALID, *flags))
    assert status == 0, err
    status, _, err = script("train", *tiny("generator-mse", data_dir, tmp_path / "other", *flags))
    assert (status, "another generator than this run's" in err) == (2, True)


def test_evaluate_judges_whole_images(trained, data_dir, script):
    quick = ["--baselines=gaussian", "--vgg_weights=none", "--set=evaluation.tuning_images=2"]
    status, out, err = script("evaluate", f"--workdir={trained / 'whole'}", f"--data_dir={data_dir}", *quick)
    assert status == 0, err
    assert "wgan-vgg" in out


def test_a_run_of_an_earlier_version_has_same_convolutions_with_biases(data_dir, tmp_path):
    settings = config.override(config.preset("report"), {"model": "generator-mse"})
    old = save_run(tmp_path, settings, models.build_generator(settings.generator), dict(load_manifest(data_dir)))
    stored = json.loads(old.config.read_text())
    for name in ("padding", "use_bias"):
        del stored["config"]["generator"][name]
    old.config.write_text(json.dumps(stored))
    assert old.load_config().generator == GeneratorConfig()
    assert load_generator(old).count_params() == 56_097
