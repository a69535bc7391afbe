"""What training changes: the networks and their optimizers."""

import dataclasses

import keras
import tensorflow as tf

from wgan_vgg import models
from wgan_vgg.config import Config
from wgan_vgg.models import vgg
from wgan_vgg.training.adam import FusedAdam, ScaledAdam
from wgan_vgg.training.schedules import Schedule


@dataclasses.dataclass(eq=False)  # each is its own: gradients.py keeps compiled functions by it
class TrainState:
    """All that a step changes, and the frozen VGG. What a model or a config does not have is None."""

    step: tf.Variable
    generator: keras.Model
    patch_generator: keras.Model  # the same on training patches, see models.build_generators
    generator_optimizer: keras.optimizers.Optimizer
    average: keras.Model | None  # the generator with the moving average of its weights
    critic: keras.Model | None
    critic_optimizer: keras.optimizers.Optimizer | None
    vgg: keras.Model | None


def create_state(config: Config, image_shape: tuple[int, int], num_train: int) -> TrainState:
    """Networks and optimizers of a run on `num_train` images or patches of a shape; call it inside `strategy.scope()`.

    Optimizers are built here: built later they would not be mirrored over the replicas.
    """

    def adam(schedule: Schedule, betas: tuple[float, float], model: keras.Model) -> keras.optimizers.Optimizer:
        kind = ScaledAdam if config.training.precision == "float16" else FusedAdam
        optimizer = kind(schedule, beta_1=betas[0], beta_2=betas[1])
        optimizer.build(model.trainable_variables)
        return optimizer

    rates, training = config.optimizer, config.training
    generator, patch_generator = models.build_generators(config.generator, config.seed, training.precision)
    critic = critic_optimizer = None
    if config.spec.adversarial:
        shape = models.generator_of(config.generator).trained_shape(image_shape)
        critic = models.build_critic(config.critic, shape, config.seed, training.precision)
        warmup = config.in_steps("training.critic_warmup_", num_train) or 0
        schedule = Schedule(config, rates.critic_lr, num_train, training.critic_steps, warmup)
        critic_optimizer = adam(schedule, rates.critic_betas, critic)
    return TrainState(
        step=tf.Variable(0, dtype=tf.int64, trainable=False, name="step"),
        generator=generator,
        patch_generator=patch_generator,
        generator_optimizer=adam(Schedule(config, rates.generator_lr, num_train), rates.generator_betas, generator),
        average=models.build_generator(config.generator, config.seed) if training.ema_decay else None,
        critic=critic,
        critic_optimizer=critic_optimizer,
        vgg=vgg.build_vgg(config.vgg, training.precision) if config.spec.uses_vgg else None,
    )
