import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmark import c_runtime
from wgan_vgg.exporters.saved_model import write_saved_model
from wgan_vgg.extent import Extent
from wgan_vgg.hu import HuMapping


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c") / "model"
    generator = keras.Sequential([keras.Input([None, None, 1]), keras.layers.Conv2D(1, 3, padding="same")])
    write_saved_model(folder, generator, Extent(1, maps=1), HuMapping(2.0, -1.0))
    return folder


def test_the_c_interface_gives_what_python_gets(saved_model):
    images = np.random.default_rng(0).uniform(size=(2, 17, 19, 1)).astype(np.float32)
    model = tf.saved_model.load(str(saved_model))
    for signature, argument in (("serving_default", "low_dose"), ("denoise_hu", "low_dose_hu")):
        expected = model.signatures[signature](**{argument: tf.constant(images)})["denoised"].numpy()
        denoise = c_runtime.load(saved_model, signature)
        for _ in range(2):
            np.testing.assert_array_equal(denoise(images), expected)
    assert denoise(images[:, :0]).shape == (2, 0, 19, 1)


def test_the_c_interface_says_what_is_wrong(saved_model, tmp_path):
    with pytest.raises(RuntimeError, match=r"Shape of tensor .* \[17,19,1\]"):
        c_runtime.load(saved_model)(np.zeros((17, 19, 1), np.float32))
    with pytest.raises(RuntimeError, match="Could not find SavedModel"):
        c_runtime.load(tmp_path)
