"""The networks by name: where each is built, and which settings it has, with its own values for them.

A new network is one file in wgan_vgg/models and one line here; see docs/extending.md.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from wgan_vgg.errors import InputError


@dataclasses.dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
      made_by: a subclass of wgan_vgg.models.generator.Generator or .critic.Critic; or where it is, "module:class",
        which is imported when it is needed: TensorFlow takes seconds.
      settings: the fields of GeneratorConfig or CriticConfig that it has, and their values unless others are given.
    """

    made_by: str | Callable[..., Any]
    settings: Mapping[str, object]


GENERATORS = {
    "plain-cnn": Network(  # report 5.1 and Figure 1
        "wgan_vgg.models.plain_cnn:PlainCnn",
        {"layers": 8, "filters": 32, "use_bias": True, "padding": "same", "output_relu": True},
    ),
    # Sources and what was chosen stand in each one's file.
    "red-cnn": Network("wgan_vgg.models.red_cnn:RedCnn", {"filters": 96, "output_relu": True}),
    "dncnn": Network("wgan_vgg.models.dncnn:DnCnn", {"layers": 17, "filters": 64}),
    "cnn-10": Network("wgan_vgg.models.cnn10:Cnn10", {"filters": 64}),
    "unet": Network("wgan_vgg.models.unet:UNet", {"filters": 64}),
    "dcgan": Network("wgan_vgg.models.dcgan:DcganGenerator", {"filters": 256}),
}
CRITICS = {
    # Report 5.2 and Figure 2; slopes (TF1 repo), padding and linear output (paper) where it is silent.
    "report": Network(
        "wgan_vgg.models.report_critic:ReportCritic",
        {
            "filters": (64, 64, 128, 128, 256, 256),
            "dense_units": 1024,
            "conv_slope": 0.2,
            "dense_slope": 0.2,
            "padding": "same",
            "sigmoid_output": False,
        },
    ),
    "patch": Network("wgan_vgg.models.patch_critic:PatchCritic", {"filters": (64, 128, 256, 512), "conv_slope": 0.2}),
    "dcgan": Network("wgan_vgg.models.dcgan:DcganCritic", {"filters": (64, 128, 256, 512)}),
}


def complete(section: Any, prefix: str, networks: Mapping[str, Network]) -> None:
    """Gives the settings of a network that are None its own values, when its section of a config is made.

    Args:
      section: a GeneratorConfig or CriticConfig; its fields whose default is None are those that not every network has.
      prefix: of its keys, such as "generator.".
      networks: GENERATORS or CRITICS.

    Raises:
      InputError: no such network, or a value for a setting that this one does not have.
    """
    if section.name not in networks:
        raise InputError(f"{prefix}name={section.name!r}: unknown; take one of {', '.join(networks)}")
    settings = networks[section.name].settings
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if field.default is None and value is None:
            object.__setattr__(section, field.name, settings.get(field.name))
        elif field.default is None and field.name not in settings:
            known = ", ".join(settings) or "none"
            raise InputError(f"{prefix}{field.name}={value}: {section.name} has no such setting; it has {known}")


def cleared_by(config: Any, values: Mapping[str, object]) -> dict[str, None]:
    """The keys that overriding `values` in a config makes obsolete: what another network than the one taken had set."""
    return {
        f"{name}.{field.name}": None
        for name in ("generator", "critic")
        if values.get(f"{name}.name", getattr(config, name).name) != getattr(config, name).name
        for field in dataclasses.fields(getattr(config, name))
        if field.default is None
    }
