"""Networks by name: settings, what they state of themselves against what they do, parts of images against the whole."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from deployed import odd_images, save_run

from wgan_vgg import config, models
from wgan_vgg.config.networks import GENERATORS, Network
from wgan_vgg.errors import InputError
from wgan_vgg.exporters.inference_graph import arranged_for_cpu
from wgan_vgg.inference.denoiser import Denoiser
from wgan_vgg.models import Extent, Generator

# Small enough for tests, of the same structure.
SMALL = {"plain-cnn": {"layers": 3, "filters": 4}}


def small(name, **values):
    return config.GeneratorConfig(name=name, **SMALL.get(name, {}), **values)


class Wide(Generator):
    """5x5 convolutions, a pixel's own neighbourhood: one to read, one to write."""

    @property
    def extent(self):
        return Extent(reach=2 * self.config.layers, maps=3 * self.config.filters)

    def connect(self, x, layers):
        for _ in range(self.config.layers - 1):
            x = layers.convolution(self.config.filters, 5, activation="relu")(x)
        return layers.convolution(1, 5, name="denoised", exact=True)(x)


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setitem(GENERATORS, "wide", Network(Wide, {"layers": 3, "filters": 4}))
    return config.GeneratorConfig(name="wide")


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


# Parts of images


@pytest.mark.parametrize("tile", [16, 21, 40])
def test_tiles_of_a_5x5_network_are_the_whole(wide, tile, tmp_path):
    """Fails where a layer counts for one pixel, as of 3x3 ones."""
    check_tiles(wide, tile, tmp_path)


@pytest.mark.parametrize("name", GENERATORS)
def test_tiles_and_halves_of_every_network_are_the_whole(name, tmp_path):
    check_tiles(small(name), 21, tmp_path)
    settings = small(name)
    generator, extent = models.build_generator(settings, seed=3), models.generator_of(settings).extent
    for height in (16 * extent.overlap, 16 * extent.overlap + 5):
        images = odd_images(1, height, extent.smallest_side + 2)
        np.testing.assert_allclose(
            tf.function(arranged_for_cpu(generator, extent))(images), generator(images), atol=1e-5
        )


def check_tiles(settings, tile, folder):
    whole = config.override(config.preset("demo"), {"model": "generator-mse"})
    whole = dataclasses.replace(whole, generator=settings)
    denoiser = Denoiser.load(save_run(folder, whole, models.build_generator(settings, seed=3), {}).path)
    hu = 4096 * odd_images(2, 71, 90)[..., 0] - 1024
    one, parts = denoiser(hu), denoiser(hu, tile=tile)
    np.testing.assert_allclose(parts, one, atol=0.05)
    assert one.std() > 1
    spoiled = dataclasses.replace(denoiser, extent=dataclasses.replace(denoiser.extent, reach=0))
    assert np.abs(spoiled(hu, tile=tile) - one).max() > 0.05, "there is nothing that a seam could show"
