"""What the networks cost, in multiply-adds, from the shapes of their layers alone."""

import dataclasses
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


@dataclasses.dataclass(frozen=True)
class LayerWork:
    """One layer in a training step, for each image of the batch.

    Attributes:
      multiply_adds, elements: of one pass through it, and what it reads and writes beside its weights.
      weights: of its kernel.
      passes: forward and backward, in the whole step.
    """

    multiply_adds: int
    elements: int
    weights: int
    passes: int


def step_work(config: Config, state: TrainState, image_shape: tuple[int, int]) -> list[LayerWork]:
    """Each layer of each network that a step goes through: the passes of all critic updates and of the generator's.

    A critic update: the generator forward; the critic on the real and on the fake image, forward and back to its
    weights (so not back to the image); and the penalty, whose second order needs four passes' worth: the scores, their
    gradients at the image, and through both of these back to the weights. The generator's: the generator forward and
    back to its weights; through the critic and through VGG to the output and back; VGG once more, forward, for the
    truth.
    """
    made = output_shape(state.patch_generator, image_shape)
    updates = config.training.critic_steps if state.critic is not None else 0
    work = _work(state.patch_generator, image_shape, first=updates + 2, others=updates + 3)
    if state.critic is not None:
        work += _work(state.critic, made, first=8 * updates + 2, others=10 * updates + 2)
    if state.vgg is not None:
        work += _work(state.vgg, made, first=3, others=3)
    return work


def _work(model: keras.Model, image_shape: tuple[int, int], *, first: int, others: int) -> list[LayerWork]:
    """Its layers, of which the first one has another number of passes."""
    return [
        LayerWork(
            _cost(layer, given, made),
            math.prod(given[1:]) + math.prod(made[1:]),
            math.prod(layer.kernel.shape),
            others if number else first,
        )
        for number, (layer, given, made) in enumerate(_walk(model, image_shape))
    ]


def step_flops(config: Config, state: TrainState, image_shape: tuple[int, int]) -> int:
    """Floating-point operations of a training step: all critic updates and the generator's, a batch each."""
    work = step_work(config, state, image_shape)
    return FLOPS * config.training.batch_size * sum(layer.multiply_adds * layer.passes for layer in work)
