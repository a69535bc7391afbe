"""Distance in VGG19 features, of a layer that no model here is trained on."""

import dataclasses
import logging

import numpy as np
import tensorflow as tf

from wgan_vgg.config import EvaluationConfig, VggConfig
from wgan_vgg.errors import InputError
from wgan_vgg.losses import mean_squared_error
from wgan_vgg.models import vgg

logger = logging.getLogger(__name__)


class PerceptualDistance:
    """Mean squared difference of the features of two images in the training range.

    Attributes:
      description: names the weights, for tables.
      identity: changes with everything that decides a distance.
    """

    def __init__(self, config: VggConfig, every: int) -> None:
        """`every`: of so many images one is asked for; the description says so."""
        self._features = vgg.build_vgg(config)
        share = f", one image of {every}" if every > 1 else ""
        self.description = f"{vgg.describe_weights(config)}, {config.layer}{share}"
        self.identity = f"{self.description}, {vgg.weights_identity(config)}"

    def features(self, images: np.ndarray) -> tf.Tensor:
        """Features of images (batch, height, width)."""
        return self._features(images[..., None], training=False)

    def distances(self, truth: tf.Tensor, images: np.ndarray) -> list[float]:
        """One distance an image (batch, height, width), from the features of its truth."""
        return [float(value) for value in mean_squared_error(truth, self.features(images))]


def build(evaluation: EvaluationConfig, config: VggConfig) -> PerceptualDistance | None:
    """The distance that the config asks for; None, with a warning, where the weights cannot be had."""
    if not evaluation.perceptual:
        return None
    try:
        config = dataclasses.replace(config, layer=evaluation.perceptual_layer, before_relu=False)
        return PerceptualDistance(config, evaluation.perceptual_every)
    except InputError as error:
        logger.warning("no perceptual distance: %s", error)
        return None
