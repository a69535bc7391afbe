"""What a run is evaluated by as it trains: all loss terms, D(x), D(G(z)), PSNR, SSIM on fixed images (Figures 4, 6)."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from wgan_vgg import losses
from wgan_vgg.config import Config, nested
from wgan_vgg.crops import centre_crop
from wgan_vgg.evaluation import metrics
from wgan_vgg.evaluation.outputs import outputs
from wgan_vgg.seeds import derive
from wgan_vgg.training.gradient_shares import build_gradient_shares
from wgan_vgg.training.gradients import Images, Terms, critic_terms, generated, generator_terms
from wgan_vgg.training.state import TrainState

_STRIP = 4  # images a TensorBoard strip


class Monitor:
    """Evaluates a TrainState on the same images of each monitored split every time.

    PSNR, SSIM and brightness are of the whole images; the loss terms of their middle of `term_shape`, the size
    of a training patch.
    """

    def __init__(
        self,
        state: TrainState,
        config: Config,
        images: dict[str, Images],
        term_shape: tuple[int, int],
        *,
        transposed: bool = False,
    ) -> None:
        """`transposed`: how the images lie, see manifest.transposed."""
        self._term_shape, self._transposed = term_shape, transposed
        self._images = images
        self._state = state
        self._config = config
        self._terms = build_terms(state, config)
        self._shares = build_gradient_shares(state, config)
        # What the generator must beat: the PSNR of its own input.
        self.input_psnr = {
            split: _mean_psnr(*(part.numpy()[..., 0] for part in pair[::-1])) for split, pair in images.items()
        }

    def evaluate(self) -> dict[str, dict[str, float]]:
        """The mean terms and metrics of each split, and how much of its brightness the output has."""
        return {split: self._evaluate(images) for split, images in self._images.items()}

    def gradient_shares(self) -> dict[str, float] | None:
        """Each term's share of the generator's gradient on a batch of the first split, see gradient_shares.

        None, too, where a gradient overflows in float16, as before the scale of the loss has settled.
        """
        if self._shares is None:
            return None
        size = self._config.training.batch_size
        batch = tuple(centre_crop(part, self._term_shape)[:size] for part in next(iter(self._images.values())))
        shares = {name: float(share) for name, share in self._shares(batch).items()}
        return shares if np.all(np.isfinite(list(shares.values()))) else None

    def _evaluate(self, images: Images) -> dict[str, float]:
        low_dose, normal_dose = images
        size = self._config.training.batch_size
        middle = [centre_crop(part, self._term_shape) for part in images]
        parts = [self._terms(tuple(part[i : i + size] for part in middle)) for i in range(0, len(low_dose), size)]
        values = {name: float(np.mean(np.concatenate([part[name] for part in parts]))) for name in parts[0]}
        truths = normal_dose.numpy()[..., 0]
        denoised = self._outputs(self._state.generator, low_dose)
        values["psnr"] = _mean_psnr(truths, denoised)
        values["ssim"] = float(np.mean([metrics.ssim(t, o) for t, o in zip(truths, denoised, strict=True)]))
        values["brightness"] = float(denoised.mean() / max(truths.mean(), np.finfo(np.float32).tiny))
        if self._state.average is not None:
            values["average_psnr"] = _mean_psnr(truths, self._outputs(self._state.average, low_dose))
        return values

    def _outputs(self, generator: keras.Model, low_dose: tf.Tensor) -> np.ndarray:
        return outputs(generator, self._config.generator, low_dose)

    def write_summaries(self, folder: Path, step: int, values: dict[str, dict[str, float]]) -> None:
        """TensorBoard: a curve per term and split, an upright noisy | denoised | truth strip, hyperparameters.

        The strip is of the last monitored split: one that is not trained on, where there is one.
        """
        low_dose, normal_dose = (part[:_STRIP] for part in list(self._images.values())[-1])
        denoised = self._outputs(self._state.generator, low_dose)[..., np.newaxis]
        parts = (low_dose, tf.constant(denoised), normal_dose)
        strip = tf.concat([tf.transpose(part, (0, 2, 1, 3)) if self._transposed else part for part in parts], axis=2)
        with tf.summary.create_file_writer(str(folder)).as_default(step=step):
            hparams.hparams({name: _plain(value) for name, value in nested.flatten(self._config).items()})
            for split, terms in values.items():
                for name, value in terms.items():
                    tf.summary.scalar(f"{name}/{split}", value)
            tf.summary.image("noisy | denoised | truth", tf.clip_by_value(strip, 0.0, 1.0), max_outputs=_STRIP)


def _mean_psnr(truths: np.ndarray, images: np.ndarray) -> float:
    return float(np.mean([metrics.psnr(t, o) for t, o in zip(truths, images, strict=True)]))


def _plain(value: object) -> bool | int | float | str:
    """The kinds of values that TensorBoard's hyperparameters may have."""
    return value if isinstance(value, bool | int | float | str) else str(value)


def build_terms(state: TrainState, config: Config) -> Callable[[Images], Terms]:
    """A tf.function from images to every term that the model has, per sample."""

    @tf.function(autograph=False, reduce_retracing=True)
    def terms(images: Images) -> Terms:
        patches = generated(state, images, training=False)
        values = generator_terms(state, config, patches, paired=True)
        if state.critic is not None and config.spec.distance is not None:
            values |= critic_terms(state.critic, config.spec.distance, patches)
            seed = [derive(config.seed, "monitor"), 0]
            weights = tf.random.stateless_uniform([tf.shape(patches.real)[0], 1, 1, 1], seed)
            norms = losses.gradient_norms(state.critic, losses.interpolate(patches.real, patches.fake, weights))
            values |= {"gradient_norm": norms, "gradient_penalty": losses.gradient_penalty(norms)}
        return values

    return terms
