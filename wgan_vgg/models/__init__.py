"""The networks: generators and critics by name."""

from wgan_vgg.models.generator import Generator
from wgan_vgg.models.registry import build_critic, build_generator, build_generators, critic_of, generator_of

__all__ = ["Generator", "build_critic", "build_generator", "build_generators", "critic_of", "generator_of"]
