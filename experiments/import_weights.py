"""Makes a run directory of a generator that was trained elsewhere: PyTorch, safetensors, a TensorFlow checkpoint.

python -m experiments.import_weights --input=FILE --output_dir=RUN

What evaluate, export and denoise take is then RUN.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from experiments.flags import required
from experiments.launch import launch, quiet_tensorflow


def define(values: flags.FlagValues) -> None:
    """The script's flags."""
    flags.DEFINE_string(
        "input", None, "state dict (.pt, .safetensors), or prefix of a TensorFlow checkpoint", flag_values=values
    )
    flags.DEFINE_string("output_dir", None, "run directory", flag_values=values)
    flags.DEFINE_string(
        "layout",
        None,
        "whose file it is, so which values the network takes: notebook, ssinyu, ldct-benchmark, original, or wgan-vgg: "
        "this project's export saved anew, with --data_dir (default: by what the file holds)",
        flag_values=values,
    )
    flags.DEFINE_string(
        "data_dir",
        None,
        "records to evaluate it on, if they have another range of HU; of --layout=wgan-vgg those it was trained on",
        flag_values=values,
    )
    flags.DEFINE_boolean("overwrite", False, "replace an older import", flag_values=values)


def job(values: flags.FlagValues) -> None:
    """Imports and says what."""
    source, output_dir = (Path(text) for text in required(values, "input", "output_dir"))
    quiet_tensorflow()
    from wgan_vgg.exporters.import_weights import import_generator

    data_dir = Path(values.data_dir) if values.data_dir else None
    stored = import_generator(source, output_dir, layout=values.layout, data_dir=data_dir, overwrite=values.overwrite)
    data, generator = stored["data"], stored["config"]["generator"]
    low, high = data["hu_intercept"], data["hu_intercept"] + data["hu_slope"]
    network = f"{generator['name']}{_size(generator)}"
    print(f"wrote {output_dir}: {network}, {data['source']}, for inputs of [{low:g}, {high:g}] HU")


def _size(generator: Mapping[str, Any]) -> str:
    if generator["layers"] is None:
        return ""
    return f" with {generator['layers']} convolutions of {generator['filters']} filters"


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    launch(__doc__, define, job, argv)


if __name__ == "__main__":
    main()
