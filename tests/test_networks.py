"""Networks by name: settings, what they state of themselves against what they do, parts of images against the whole."""

import dataclasses
import itertools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import REPO
from deployed import odd_images
from small_networks import SMALL_CRITICS, VGG, small

from benchmark import costs
from wgan_vgg import config, models
from wgan_vgg.config.networks import CRITICS, GENERATORS
from wgan_vgg.errors import InputError
from wgan_vgg.evaluation.outputs import outputs
from wgan_vgg.training import train_step
from wgan_vgg.training.state import create_state

# Settings


def test_a_network_has_its_own_settings_and_values(wide):
    assert (wide.layers, wide.filters, wide.use_bias, wide.padding) == (3, 4, None, None)
    report = config.GeneratorConfig()
    assert (report.layers, report.filters, report.use_bias, report.padding) == (8, 32, True, "same")
    with pytest.raises(
        InputError, match=r"generator\.use_bias=False: wide has no such setting; it has layers, filters"
    ):
        config.GeneratorConfig(name="wide", use_bias=False)
    with pytest.raises(InputError, match=r"generator\.name='wider': unknown; take one of plain-cnn"):
        config.GeneratorConfig(name="wider")
    with pytest.raises(InputError, match=r"critic\.name='none': unknown; take one of report"):
        config.CriticConfig(name="none")


def test_another_network_leaves_the_presets_settings_of_the_first_one_behind(wide):
    author = config.preset("yang2018-code")
    assert author.generator.padding == "valid"
    assert config.override(author, {"generator.name": "wide"}).generator == wide
    eight = config.override(author, {"generator.name": "wide", "generator.filters": 8})
    assert (eight.generator.layers, eight.generator.filters) == (3, 8)
    again = config.override(author, {"generator.name": "plain-cnn", "generator.filters": 8})
    assert (again.generator.padding, again.generator.filters) == ("valid", 8), "the same network keeps its settings"
    assert config.from_dict(config.nested.to_dict(eight)) == eight


@pytest.mark.parametrize("name", GENERATORS)
def test_layers_are_called_the_same_in_every_build(name):
    """Fails where Keras counts them: the fingerprint of one and the same model would then differ."""
    first, again = (models.build_generator(small(name)) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in again.layers]


# What they state


@pytest.mark.parametrize("name", GENERATORS)
def test_the_stated_reach_is_where_an_input_pixel_matters_and_no_further(name):
    """Fails for a reach one less or one more."""
    settings = small(name)
    extent, generator = models.generator_of(settings).extent, averaging(models.build_generator(settings))
    side = extent.aligned(2 * extent.reach + 3 * extent.multiple + 4)
    images, found = tf.constant(odd_images(8, side, side)), []
    # With pooling it depends on the place within a block.
    for place in range(side // 2, side // 2 + extent.multiple):
        with tf.GradientTape() as tape:
            tape.watch(images)
            output = generator(images)[:, place, place]
        reached = np.argwhere(tape.gradient(output, images).numpy().any(axis=(0, 3)))
        found.append(np.abs(reached - place).max())
    assert max(found) == extent.reach


def averaging(generator):
    """A generator whose kernels are positive, so that no ReLU hides anything."""
    for layer in generator.layers:
        for weight in layer.weights:
            weight.assign(np.full(weight.shape, 1 / np.prod(weight.shape[:-1]) if len(weight.shape) == 4 else 0.0))
    return generator


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("shape", [(50, 61), (64, 64)])
def test_any_size_keeps_it_and_patches_give_the_same_inside(name, shape):
    settings = small(name)
    generator, patch_generator = models.build_generators(settings, seed=1)
    images, multiple = odd_images(2, *shape), models.generator_of(settings).extent.multiple
    output = generator(images)
    assert output.shape == images.shape
    if not any(side % multiple for side in shape) and not models.generator_of(settings).border:
        np.testing.assert_allclose(patch_generator(images), output, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "parameters", "reach"),
    [
        ("plain-cnn", 56_097, 8),  # report, Figure 1
        ("red-cnn", 2 * (25 * 96 + 4 * 25 * 96 * 96) + 9 * 96 + 1, 20),
        ("dncnn", 9 * 64 + 15 * 9 * 64 * 64 + 9 * 64 + 16 * 64 + 1, 17),  # 35x35: section III-A
        ("cnn-10", 81 * 64 + 9 * 64 * 32 + 25 * 32 + 64 + 32 + 1, 7),
        ("unet", 1_861_697, 23),
        ("dcgan", 3_841_825, 11),
    ],
)
def test_sizes_are_those_of_the_papers(name, parameters, reach):
    settings = config.GeneratorConfig(name=name)
    assert models.build_generator(settings).count_params() == parameters
    assert models.generator_of(settings).extent.reach == reach
    if name == "red-cnn":
        assert parameters == 1_848_865, "as counted for the authors' and other programs' RED-CNN"


def test_the_pages_tables_are_those_of_the_built_networks():
    page = (REPO / "docs" / "relatives.md").read_text()
    row = r"^\| `([\w-]+)` \| ([\d,]+) \| (\d+) \| ([\d,]+) \|"
    found = re.findall(row, page, re.MULTILINE)
    assert [name for name, *_ in found] == list(GENERATORS)
    for name, *numbers in found:
        settings = config.GeneratorConfig(name=name)
        generator = models.build_generator(settings)
        cost = sum(costs.layer_costs(generator, (8192, 8192)).values()) / 8192**2
        wanted = [generator.count_params(), models.generator_of(settings).extent.reach]
        parameters, reach, stated = (int(number.replace(",", "")) for number in numbers)
        assert [parameters, reach] == wanted, name
        assert stated == pytest.approx(cost, rel=0.005 if name == "red-cnn" else 1e-6), name  # it does less at borders
    critics = re.findall(r"^\| `([\w-]+)` \| ([\d,]+) \| \D", page, re.MULTILINE)
    sizes = {name: models.build_critic(config.CriticConfig(name=name), (64, 64)).count_params() for name in CRITICS}
    assert {name: int(number.replace(",", "")) for name, number in critics} == sizes


@pytest.mark.parametrize(("name", "parameters"), [("report", 17_923_521), ("patch", 2_762_689), ("dcgan", 4_180_481)])
def test_critics_have_one_score_an_image_which_is_its_own(name, parameters):
    settings = config.CriticConfig(name=name)
    critic = models.build_critic(settings, (64, 64), seed=1)
    assert critic.count_params() == parameters
    images = odd_images(3, 64, 64)
    scores = critic(images)
    assert scores.shape == (3, 1)
    np.testing.assert_allclose(critic(images[1:2]), scores[1:2], rtol=1e-4, atol=1e-5)
    least = models.critic_of(settings).smallest_side
    assert models.build_critic(settings, (least, least))(odd_images(1, least, least)).shape == (1, 1)
    with pytest.raises(InputError, match=f"the critic takes {least}x{least} or more"):
        models.build_critic(settings, (64, least - 1))


def test_a_score_of_the_patch_critic_sees_70x70_pixels():
    critic = models.build_critic(config.CriticConfig(name="patch", filters=(1, 1, 1, 1)), (120, 120))
    averaging(critic)
    scores = keras.Model(critic.input, critic.get_layer("score").output)
    images = tf.constant(odd_images(1, 120, 120))
    with tf.GradientTape() as tape:
        tape.watch(images)
        score = scores(images)[0, 7, 7]
    rows = np.argwhere(tape.gradient(score, images).numpy())[:, 1]
    assert rows.max() - rows.min() + 1 == 70


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_and_critic_makes_a_step_of_every_model(name):
    critics, precisions = itertools.cycle(SMALL_CRITICS), itertools.cycle(("float32", "bfloat16"))
    for model in config.MODELS:
        settings = config.override(config.preset("report"), {"model": model, "training.batch_size": 2, **VGG})
        settings = config.override(settings, {"training.precision": next(precisions)})
        critic = next(critics)
        settings = dataclasses.replace(
            settings, generator=small(name), critic=config.CriticConfig(name=critic, **SMALL_CRITICS[critic])
        )
        state = create_state(settings, (24, 24), 10)
        before = [weight.copy() for weight in state.generator.get_weights()]
        images = tuple(tf.constant(odd_images(2, 24, 24, seed)) for seed in (1, 2))
        if state.critic is not None:
            train_step.critic_update(state, settings, images, tf.fill([2, 1, 1, 1], 0.5), 2)
        terms = train_step.generator_update(state, settings, images, 2)
        assert all(np.isfinite(value) for value in terms.values()), model
        moved = [not np.array_equal(*pair) for pair in zip(before, state.generator.get_weights(), strict=True)]
        assert np.mean(moved) > 0.5, model


@pytest.mark.parametrize(("name", "most"), [("dcgan", 2), ("plain-cnn", 8)])
def test_whole_images_pass_in_parts_that_fit_memory(name, most):
    """362x362: 1,024 values of 4 bytes per pixel make 537 MB of one image. All at once took more than 24 GiB."""
    sizes = []
    images = np.zeros((9, 362, 362, 1), np.float32)

    def identity(part: np.ndarray, training: bool) -> tf.Tensor:
        sizes.append(len(part))
        return tf.constant(part)

    found = outputs(identity, config.GeneratorConfig(name=name), images)
    assert (found.shape, max(sizes), sum(sizes)) == ((9, 362, 362), most, 9)
