"""experiments.config_flags: which value of a config each flag sets."""

import pytest
from absl import flags

from experiments import config_flags

# A short name for what is set by the name of a section.
OTHER_NAMES = {"generator": "generator.name", "critic": "critic.name", "vgg_weights": "vgg.weights"}
EVERY = (*config_flags.DATA_FLAGS, *config_flags.PREPARE_FLAGS, *config_flags.TRAINING_FLAGS)


@pytest.mark.parametrize("name", EVERY)
def test_a_flag_sets_the_value_of_its_own_name(name):
    """Fails where a flag leads to a neighbour's value, as --content_weight to the weight of the gradient penalty."""
    values = flags.FlagValues()
    config_flags.define_config(values, [name])
    values(["program", f"--{name}=7"])
    ((key, value),) = config_flags.read_overrides(values).items()
    assert (key if name in OTHER_NAMES else key.rpartition(".")[2], value) == (OTHER_NAMES.get(name, name), "7")
