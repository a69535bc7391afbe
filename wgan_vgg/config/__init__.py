"""What decides a run's result: the schema with its rules, the presets, and overriding by "section.field" keys."""

from data_prep.config import DataConfig
from wgan_vgg.config.models import MODELS, REPORT_MODELS, ModelSpec
from wgan_vgg.config.presets import PRESETS, for_model, from_dict, not_taken, override, preset
from wgan_vgg.config.schema import Config
from wgan_vgg.config.sections import (
    CriticConfig,
    EvaluationConfig,
    GeneratorConfig,
    InputConfig,
    LossConfig,
    OptimizerConfig,
    PhantomConfig,
    TrainingConfig,
    VggConfig,
)

__all__ = [
    "MODELS",
    "PRESETS",
    "REPORT_MODELS",
    "Config",
    "CriticConfig",
    "DataConfig",
    "EvaluationConfig",
    "GeneratorConfig",
    "InputConfig",
    "LossConfig",
    "ModelSpec",
    "OptimizerConfig",
    "PhantomConfig",
    "TrainingConfig",
    "VggConfig",
    "for_model",
    "from_dict",
    "not_taken",
    "override",
    "preset",
]
