"""wgan_vgg.exporters.inference_graph: rearranged, a generator says the same."""

import numpy as np
import pytest
import tensorflow as tf

from wgan_vgg import config, models
from wgan_vgg.exporters.inference_graph import arranged_for_cpu

SMALL = config.GeneratorConfig(layers=3, filters=4)
STANDARDIZED = config.GeneratorConfig(layers=3, filters=4, input_mean=0.3, input_std=0.2, output_relu=False)


@pytest.mark.parametrize(
    ("settings", "precision"), [(SMALL, "float32"), (STANDARDIZED, "float32"), (SMALL, "bfloat16")]
)
def test_arranged_is_plain(settings, precision):
    """Fails where a half lacks rows, a shift goes the wrong way, or the bias, the ReLU or what follows is left out."""
    generator = models.build_generator(settings, 5, precision)
    generator.get_layer("denoised").bias.assign([-1.0])
    extent = models.generator_of(settings).extent
    given = tf.function(arranged_for_cpu(generator, extent), input_signature=[tf.TensorSpec([None, None, None, 1])])
    assert given.get_concrete_function().structured_outputs.shape.as_list() == [None, None, None, 1]
    for height in (5, 47, 48, 49, 101):  # halves from 16 * 3 rows on
        images = tf.random.stateless_uniform([2, height, 11, 1], [height, 0])
        wanted = generator(images).numpy()
        assert wanted.std() > 0.01
        assert (wanted == 0).any() == settings.output_relu, "the ReLU has nothing to do"
        # bfloat16's sums may be in another order in a half, and then rounded to another one of its 8 bits.
        tolerance = 1e-6 if precision == "float32" else 0.01
        np.testing.assert_allclose(given(images), wanted, atol=tolerance * wanted.max(), err_msg=str(height))


def test_the_reach_is_one_pixel_a_convolution():
    generator = models.build_generator(STANDARDIZED)
    assert models.generator_of(STANDARDIZED).extent.reach == 3
    images = np.zeros((1, 15, 15, 1), np.float32)
    changed = images.copy()
    changed[0, 7, 7] = 1.0
    moved = np.argwhere(generator(changed).numpy() != generator(images).numpy())
    assert (moved[:, 1].min(), moved[:, 1].max()) == (4, 10)
