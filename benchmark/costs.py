"""What the networks cost, in multiply-adds, from the shapes of their layers alone."""

import keras

from wgan_vgg.config import Config
from wgan_vgg.training.state import TrainState

FLOPS = 2  # of a multiply-add


def layer_costs(model: keras.Model, image_shape: tuple[int, int]) -> dict[str, int]:
    """Multiply-adds of each convolution and dense layer for one image of that height and width, by its name.

    Biases, activations and pooling are left out, as is usual: they are a hundredth of the arithmetic.
    """
    return {layer.name: cost for layer, cost, _ in _walk(model, image_shape)[0]}


def convolution_shapes(model: keras.Model, image_shape: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """The different (height, width, channels in, filters) of the model's convolutions, in their order."""
    found = [
        (*shape, *layer.kernel.shape[-2:])
        for layer, _, shape in _walk(model, image_shape)[0]
        if isinstance(layer, keras.layers.Conv2D)
    ]
    return list(dict.fromkeys(found))


def _walk(
    model: keras.Model, shape: tuple[int, int]
) -> tuple[list[tuple[keras.Layer, int, tuple[int, int]]], tuple[int, int]]:
    """(layer, multiply-adds, its input's height and width) of a chain of layers, and the output's height and width."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            inner, shape = _walk(layer, shape)
            found += inner
        elif isinstance(layer, keras.layers.Dense):
            found.append((layer, layer.kernel.shape[0] * layer.kernel.shape[1], shape))
        elif isinstance(layer, keras.layers.Conv2D | keras.layers.MaxPooling2D | keras.layers.ZeroPadding2D):
            convolution = isinstance(layer, keras.layers.Conv2D)
            channels = layer.kernel.shape[-2] if convolution else 1
            height, width = layer.compute_output_shape((1, *shape, channels))[1:3]
            if convolution:
                kernel = layer.kernel.shape
                found.append((layer, height * width * kernel[0] * kernel[1] * kernel[2] * kernel[3], shape))
            shape = (height, width)
    return found, shape


def critic_update_cost(state: TrainState, image_shape: tuple[int, int]) -> int:
    """Multiply-adds of one critic update for one image of the batch.

    The generator's forward pass; the critic on the real and on the fake image, forward and back to its weights (so not
    back to the image); and the penalty, whose second order needs four passes' worth: the scores, their gradients at
    the image, and through both of these back to the weights.
    """
    costs, made = _walk(state.patch_generator, image_shape)
    critic = layer_costs(state.critic, made)
    first, whole = next(iter(critic.values())), sum(critic.values())
    return sum(cost for _, cost, _ in costs) + 2 * (3 * whole - first) + 4 * whole


def generator_update_cost(state: TrainState, image_shape: tuple[int, int]) -> int:
    """Multiply-adds of one generator update for one image of the batch.

    The generator forward and back to its weights; through the critic and through VGG to the output and back; VGG once
    more, forward, for the truth.
    """
    costs, made = _walk(state.patch_generator, image_shape)
    generator = [cost for _, cost, _ in costs]
    cost = 3 * sum(generator) - generator[0]
    if state.critic is not None:
        cost += 2 * sum(layer_costs(state.critic, made).values())
    if state.vgg is not None:
        cost += 3 * sum(layer_costs(state.vgg, made).values())
    return cost


def step_flops(config: Config, state: TrainState, image_shape: tuple[int, int]) -> int:
    """Floating-point operations of a training step: all critic updates and the generator's, a batch each."""
    cost = generator_update_cost(state, image_shape)
    if state.critic is not None:
        cost += config.training.critic_steps * critic_update_cost(state, image_shape)
    return FLOPS * config.training.batch_size * cost
