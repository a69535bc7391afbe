"""Frozen VGG19 features of CT images: the only place that knows VGG's weights and preprocessing."""

import logging
import os
from pathlib import Path

import h5py
import keras
import numpy as np

from data_prep.digests import digest
from wgan_vgg.config import VggConfig
from wgan_vgg.errors import InputError, reason
from wgan_vgg.models.vgg_files import IMAGENET_MD5, load_weights
from wgan_vgg.seeds import derive

logger = logging.getLogger(__name__)

IMAGENET_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
# Caffe's channel means on [0, 255], in the order blue, green, red.
_BGR_MEANS = (103.939, 116.779, 123.68)
# torchvision.models.vgg19's, on [0, 1], in the order red, green, blue.
_TORCHVISION_MEANS, _TORCHVISION_DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_RANDOM_SEED = 19  # fixed: random features are the same in every run, whatever its seed


def build_vgg(config: VggConfig, precision: str = "float32") -> keras.Model:
    """VGG19 up to one layer, frozen, taking grey CT images as they are.

    The image in [0, 1] is scaled to [0, 255], repeated to three channels, and has the means subtracted as
    keras.applications.vgg19.preprocess_input does (grey: red, green and blue are the same, only the means'
    order matters). torchvision's weights were trained on another scale, mean and deviation, which are taken for them,
    unless `mean_order` is "rgb": the notebook gave them Caffe's means in that order.

    Args:
      config: the layer, whether before its ReLU, the means' order, and where the weights come from.
      precision: "float32", or "bfloat16" or "float16" for frozen weights and convolutions of that type.

    Returns:
      Model from float32 (batch, height, width, 1) in [0, 1] to float32 features (batch, h, w, depth).

    Raises:
      InputError: the weights are missing or not VGG19's, or a pooling layer is asked for before its ReLU.
    """
    weights = find_weights(config)
    network = keras.applications.VGG19(include_top=False, weights=None, input_shape=(None, None, 3))
    torchvision = False
    if weights is None:
        _randomize(network)
    else:
        torchvision = load_weights(network, weights)
    layer = network.get_layer(config.layer)
    if config.before_relu:
        if not isinstance(layer, keras.layers.Conv2D):
            raise InputError(f"vgg.before_relu: {config.layer} is no convolution, it has no ReLU")
        layer.activation = keras.activations.linear
    frozen = _in_precision(keras.Model(network.input, layer.output, name="vgg19"), precision)
    scales, offsets = preprocessing(config, torchvision)
    image = keras.Input((None, None, 1), name="image")
    channels = keras.layers.Concatenate(name="grey_to_rgb")([image, image, image])
    scaled = keras.layers.Rescaling(scales, offsets, name="preprocess")(channels)
    features = keras.layers.Activation("linear", dtype="float32", name="features")(frozen(scaled))
    model = keras.Model(image, features, name="vgg_features")
    model.trainable = False
    return model


def preprocessing(config: VggConfig, torchvision: bool) -> tuple[list[float], list[float]]:
    """Scale and offset of each channel."""
    if torchvision and config.mean_order == "bgr":
        scales = [1 / deviation for deviation in _TORCHVISION_DEVIATIONS]
        return scales, [-mean * scale for mean, scale in zip(_TORCHVISION_MEANS, scales, strict=True)]
    means = _BGR_MEANS if config.mean_order == "bgr" else _BGR_MEANS[::-1]
    return [255.0] * 3, [-mean for mean in means]


def smallest_side(config: VggConfig) -> int:
    """Sides below this have nothing left at the layer: each of VGG's five blocks ends by halving them."""
    block, _, layer = config.layer.partition("_")
    return 2 ** (int(block.removeprefix("block")) - (layer != "pool"))


def describe_weights(config: VggConfig) -> str:
    """How tables and captions name the weights."""
    return {"random": "random VGG19 features (seeded He-normal, not ImageNet)", "imagenet": "ImageNet VGG19"}.get(
        config.weights, f"VGG19 weights from {Path(config.weights).name}"
    )


def weights_identity(config: VggConfig) -> str:
    """What distinguishes the weights and their input's preprocessing from others of the same description."""
    named = {"random": "seeded", "imagenet": IMAGENET_MD5}
    weights = named.get(config.weights) or digest(Path(config.weights), "md5")
    return f"{weights}, mean {config.mean_order}"


def _in_precision(network: keras.Model, precision: str) -> keras.Model:
    """The same network with weights and computation of another type; keras.applications takes none."""
    if precision == "float32":
        return network
    clone = keras.models.clone_model(
        network, clone_function=lambda layer: layer.from_config(layer.get_config() | {"dtype": precision})
    )
    clone.set_weights([weight.astype(np.float32) for weight in network.get_weights()])
    return clone


def _randomize(network: keras.Model) -> None:
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            initializer = keras.initializers.HeNormal(seed=derive(_RANDOM_SEED, layer.name))
            layer.kernel.assign(initializer(layer.kernel.shape))


def find_weights(config: VggConfig) -> Path | None:
    """The file of the weights, downloaded if need be; None for random ones.

    Raises:
      InputError: there is no such file, it is not the official one, or the download failed.
    """
    weights = config.weights
    if weights == "random":
        return None
    if weights != "imagenet":
        path = Path(weights)
        if not path.is_file():
            raise InputError(
                f"vgg_weights={weights}: no such file; give imagenet, random or a file (Keras no-top .h5, vgg19.npy of "
                "tensorflow-vgg, torchvision's state dict)"
            )
        actual = digest(path, "md5")
        if h5py.is_hdf5(path) and actual != IMAGENET_MD5:
            logger.warning("%s: md5 %s, not the official file's %s", path, actual, IMAGENET_MD5)
        return path
    path = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models" / IMAGENET_URL.rsplit("/", 1)[1]
    if path.exists():
        # get_file with a hash would delete a file that does not match; it is the user's.
        actual = digest(path, "md5")
        if actual != IMAGENET_MD5:
            raise InputError(f"{path}: md5 {actual}, expected {IMAGENET_MD5}; move it away to have it downloaded anew")
        return path
    try:
        return Path(keras.utils.get_file(path.name, IMAGENET_URL, cache_subdir="models", file_hash=IMAGENET_MD5))
    except Exception as error:  # urllib raises several kinds, Keras wraps them in a bare Exception
        raise InputError(
            f"vgg_weights=imagenet: the download failed ({reason(error)}); put {path.name} into "
            f"{path.parent}, or give --vgg_weights=PATH or --vgg_weights=random"
        ) from error
