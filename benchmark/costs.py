"""What the networks cost, in multiply-adds, from the shapes of their layers alone."""

import math

import keras

from wgan_vgg.config import Config
from wgan_vgg.training.state import TrainState

FLOPS = 2  # of a multiply-add
_Shape = tuple[int, ...]


def layer_costs(model: keras.Model, image_shape: tuple[int, int]) -> dict[str, int]:
    """Multiply-adds of each convolution and dense layer for one image of that height and width, by its name.

    Biases, activations and pooling are left out, as is usual: they are a hundredth of the arithmetic.
    """
    return {layer.name: _cost(layer, given, made) for layer, given, made in _walk(model, image_shape)}


def convolution_shapes(model: keras.Model, image_shape: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """The different (height, width, channels in, filters) of the model's convolutions, in their order."""
    found = [
        (*given[1:3], *layer.kernel.shape[-2:])
        for layer, given, _ in _walk(model, image_shape)
        if isinstance(layer, keras.layers.Conv2D)
    ]
    return list(dict.fromkeys(found))


def output_shape(model: keras.Model, image_shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a model's output for one image of that height and width."""
    return model.compute_output_shape((1, *image_shape, 1))[1:3]


def _walk(model: keras.Model, image_shape: tuple[int, int]) -> list[tuple[keras.Layer, _Shape, _Shape]]:
    """Each convolution and dense layer with the shapes of its input and output for one image."""
    found: list[tuple[keras.Layer, _Shape, _Shape]] = []

    def call(layer: keras.Layer, x: keras.KerasTensor, *others: object, **options: object) -> keras.KerasTensor:
        made = layer(x, *others, **options)
        if isinstance(layer, keras.Model):
            found.extend(_walk(layer, x.shape[1:3]))
        elif isinstance(layer, keras.layers.Dense | keras.layers.Conv2D | keras.layers.Conv2DTranspose):
            found.append((layer, x.shape, made.shape))
        return made

    images = keras.Input((*image_shape, model.inputs[0].shape[-1]))
    keras.models.clone_model(model, images, clone_function=lambda layer: layer, call_function=call)
    return found


def _cost(layer: keras.Layer, given: _Shape, made: _Shape) -> int:
    """A kernel is applied at each pixel that is written, a transposed one at each that is read."""
    transposed = isinstance(layer, keras.layers.Conv2DTranspose)
    return math.prod(layer.kernel.shape) * math.prod((given if transposed else made)[1:-1])


def critic_update_cost(state: TrainState, image_shape: tuple[int, int]) -> int:
    """Multiply-adds of one critic update for one image of the batch.

    The generator's forward pass; the critic on the real and on the fake image, forward and back to its weights (so not
    back to the image); and the penalty, whose second order needs four passes' worth: the scores, their gradients at
    the image, and through both of these back to the weights.
    """
    generator = layer_costs(state.patch_generator, image_shape)
    critic = layer_costs(state.critic, output_shape(state.patch_generator, image_shape))
    first, whole = next(iter(critic.values())), sum(critic.values())
    return sum(generator.values()) + 2 * (3 * whole - first) + 4 * whole


def generator_update_cost(state: TrainState, image_shape: tuple[int, int]) -> int:
    """Multiply-adds of one generator update for one image of the batch.

    The generator forward and back to its weights; through the critic and through VGG to the output and back; VGG once
    more, forward, for the truth.
    """
    generator = list(layer_costs(state.patch_generator, image_shape).values())
    made = output_shape(state.patch_generator, image_shape)
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
