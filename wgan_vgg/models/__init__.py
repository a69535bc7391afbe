"""The networks: generators and critics by name."""

from wgan_vgg.models.generator import Extent, Generator
from wgan_vgg.models.registry import build_critic, build_generator, build_generators, critic_of, generator_of

__all__ = ["Extent", "Generator", "build_critic", "build_generator", "build_generators", "critic_of", "generator_of"]
