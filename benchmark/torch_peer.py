"""The same networks and training step in PyTorch, eager, written as its manual advises, to hold ours against.

Imported only where torch is asked for; nothing else needs it.
"""

import contextlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import torch
from torch import nn

from wgan_vgg.config import Config
from wgan_vgg.errors import InputError
from wgan_vgg.models.vgg import preprocessing
from wgan_vgg.training.gradients import Images
from wgan_vgg.training.state import TrainState


class Peer:
    """Generator, critic, VGG and both optimizers in PyTorch, starting from the weights of a TrainState of wgan-vgg.

    Args:
      state: what to copy.
      config: the run's.
      precision: "float32", or "bfloat16" for autocast.
      channels_last: the memory format of networks and images.
    """

    def __init__(self, state: TrainState, config: Config, precision: str, channels_last: bool) -> None:
        self._config, self._precision = config, precision
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self.generator = copy_network(state.generator).to(memory_format=self._format)
        self._critic = copy_network(state.critic).to(memory_format=self._format)
        assert state.vgg is not None, "wgan-vgg has one"
        self._vgg = copy_network(state.vgg.get_layer("vgg19")).to(memory_format=self._format).requires_grad_(False)
        if precision == "bfloat16":
            self._vgg = self._vgg.to(torch.bfloat16)  # as ours: frozen, so it needs no autocast
        scales, offsets = preprocessing(config.vgg, torchvision=False)
        self._scales, self._offsets = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (scales, offsets))
        rates = config.optimizer
        self._generator_adam, self._critic_adam = (
            torch.optim.Adam(network.parameters(), rate, betas, eps=1e-7, fused=True)
            for network, rate, betas in (
                (self.generator, rates.generator_lr, rates.generator_betas),
                (self._critic, rates.critic_lr, rates.critic_betas),
            )
        )

    def images(self, values: tf.Tensor) -> torch.Tensor:
        """(batch, height, width, 1) as torch wants it: (batch, 1, height, width)."""
        return torch.from_numpy(values.numpy()).permute(0, 3, 1, 2).contiguous(memory_format=self._format)

    def step(
        self, batch: Images, critic_batches: tuple[Images, ...], interpolation: tuple[tf.Tensor, ...]
    ) -> dict[str, float]:
        """One training step, as train_step.replica_step; the terms are those of its last critic update and its own."""
        for images, weights in zip(critic_batches, interpolation, strict=True):
            low_dose, normal_dose = map(self.images, images)
            terms = self._critic_update(low_dose, normal_dose, self.images(weights))
        terms |= self._generator_update(*map(self.images, batch))
        return {name: value.item() for name, value in terms.items()}

    def _autocast(self) -> contextlib.AbstractContextManager:
        return torch.autocast("cpu", torch.bfloat16, enabled=self._precision == "bfloat16")

    def _critic_update(
        self, low_dose: torch.Tensor, normal_dose: torch.Tensor, weights: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        self._critic.requires_grad_(True)
        with torch.no_grad(), self._autocast():
            fake = self.generator(low_dose).float()
        interpolated = (weights * normal_dose + (1 - weights) * fake).requires_grad_()
        with self._autocast():  # for one update: it keeps what it has cast until it ends
            real_scores, fake_scores = self._critic(torch.cat([normal_dose, fake])).float().chunk(2)
            scores = self._critic(interpolated).float()
        (gradients,) = torch.autograd.grad(scores.sum(), interpolated, create_graph=True)
        norms = (gradients.float().square().sum((1, 2, 3)) + 1e-12).sqrt()
        penalty = (norms - 1).square().mean()
        wasserstein = (fake_scores - real_scores).mean()
        self._critic_adam.zero_grad()
        (wasserstein + self._config.loss.gradient_penalty_weight * penalty).backward()
        self._critic_adam.step()
        return {"critic_wasserstein": wasserstein, "gradient_penalty": penalty}

    def _generator_update(self, low_dose: torch.Tensor, normal_dose: torch.Tensor) -> dict[str, torch.Tensor]:
        self._critic.requires_grad_(False)
        with torch.no_grad():
            truth = self._features(normal_dose)
        with self._autocast():
            output = self.generator(low_dose).float()
            wasserstein = -self._critic(output).float().mean()
        vgg = nn.functional.mse_loss(self._features(output), truth)
        self._generator_adam.zero_grad()
        (self._config.loss.content_weight * vgg + wasserstein).backward()
        self._generator_adam.step()
        return {"vgg": vgg, "generator_wasserstein": wasserstein}

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        return self._vgg((images * self._scales + self._offsets).to(self._vgg[0].weight.dtype)).float()


def inference(generator: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """The generator in PyTorch, channels-last, in inference_mode: float32 (batch, height, width, 1) to the same."""
    network = copy_network(generator).to(memory_format=torch.channels_last)

    def denoise(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            given = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
            return network(given).permute(0, 2, 3, 1).numpy()

    return denoise


def copy_network(model: keras.Model) -> nn.Sequential:
    """A Keras chain of convolutions, pooling and dense layers with the same weights, for (batch, channels, h, w).

    Raises:
      InputError: another layer.
    """
    layers: list[nn.Module] = []
    channels = 1
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.padding == "same" and layer.use_bias:
            layers += _convolution(layer)
            channels = layer.filters
        elif isinstance(layer, keras.layers.LeakyReLU):
            layers.append(nn.LeakyReLU(layer.negative_slope))
        elif isinstance(layer, keras.layers.MaxPooling2D):
            layers.append(nn.MaxPool2d(2))
        elif isinstance(layer, keras.layers.Flatten):
            layers.append(nn.Flatten())
        elif isinstance(layer, keras.layers.Dense) and layer.activation is keras.activations.linear:
            layers.append(_dense(layer, channels))
            channels = 1
        elif not isinstance(layer, keras.layers.InputLayer):
            raise InputError(f"peer=torch: has no layer {layer.name}; leave --peer out, or take the preset report")
    return nn.Sequential(*layers)


def _convolution(layer: keras.layers.Conv2D) -> list[nn.Module]:
    """With TensorFlow's SAME padding, which at stride 2 pads an even side at its end only."""
    kernel = layer.kernel.numpy().astype(np.float32).transpose(3, 2, 0, 1)
    stride = layer.strides[0]
    convolution = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, stride, padding=1 if stride == 1 else 0)
    _fill(convolution, kernel, layer.bias)
    before = [nn.ZeroPad2d((0, 1, 0, 1))] if stride == 2 else []
    after = [nn.ReLU()] if layer.activation is keras.activations.relu else []
    return [*before, convolution, *after]


def _dense(layer: keras.layers.Dense, channels: int) -> nn.Linear:
    """Torch flattens channels first, Keras last: the rows of the first dense layer's kernel change places."""
    kernel = layer.kernel.numpy()
    rows, units = kernel.shape
    dense = nn.Linear(rows, units)
    _fill(dense, kernel.reshape(rows // channels, channels, units).swapaxes(0, 1).reshape(rows, units).T, layer.bias)
    return dense


def _fill(module: nn.Module, kernel: np.ndarray, bias: keras.Variable) -> None:
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
        module.bias.copy_(torch.from_numpy(bias.numpy().astype(np.float32)))
