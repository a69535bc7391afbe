"""Generators that were trained by other programs, as run directories of this one."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from data_prep import lodopab
from data_prep.digests import digest
from data_prep.manifest import load_manifest, low_dose_clip, transposed
from data_prep.staging import check_replaced, staged_folder
from wgan_vgg.config import Config, GeneratorConfig, nested, override, preset
from wgan_vgg.config.networks import GENERATORS
from wgan_vgg.errors import InputError
from wgan_vgg.exporters.foreign_networks import Found, find_network
from wgan_vgg.exporters.state_dict import set_state_dict
from wgan_vgg.files import write_json
from wgan_vgg.hu import HuMapping
from wgan_vgg.json_types import StoredRun, ValueRange
from wgan_vgg.models import build_generator, generator_of
from wgan_vgg.run_dir import RunDir
from wgan_vgg.tensor_files import read_tensors

_MAYO = (-1024.0, 4096.0)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Whose file it is: the names give that away, and it decides all that the weights themselves do not say.

    Attributes:
      names: how the first kernel's name may begin.
      beside: what else the program's files hold, where the names alone do not tell it from others.
      preset: the nearest of this project's.
      offset, scale: the network takes and gives (HU - offset) / scale.
      output_relu: whether a ReLU follows the last convolution.
      clip: what its low-dose inputs were clipped to, as fractions of that range.
      transposed: its images lay so, see manifest.transposed.
    """

    names: tuple[str, ...]
    preset: str
    offset: float
    scale: float
    output_relu: bool = True
    clip: tuple[float, float] | None = None
    transposed: bool = False
    beside: frozenset[str] = frozenset()


OWN = "wgan-vgg"  # the layout of this project's own export
LAYOUTS = {
    # The report's authors: LoDoPaB-CT's range, the low-dose image min-max rescaled.
    "notebook": Layout(("convlayers.",), "notebook", lodopab.HU_INTERCEPT, lodopab.HU_SLOPE, transposed=True),
    "ssinyu": Layout(("generator.net.",), "yang2018", *_MAYO),  # prep.py: norm_range_min, norm_range_max
    # WGAN-VGG, RED-CNN and CNN-10. Stored values, which are HU + 1024, less their mean and divided by their standard
    # deviation (info.yml). Known by the entries of its save_checkpoint: `net.` alone could be anybody's, older exports
    # of this project included.
    "ldct-benchmark": Layout(
        ("model_state_dict.net.", "model_state_dict.conv1.", "model_state_dict.layers."),
        "yang2018",
        481.454 - 1024,
        502.185,
        output_relu=False,
        beside=frozenset(("args", "iteration")),
    ),
    "original": Layout(("generator/g_conv_",), "original", *_MAYO, clip=(0.0, 1.0)),
}


def import_generator(
    source: Path, output_dir: Path, *, layout: str | None = None, data_dir: Path | None = None, overwrite: bool = False
) -> StoredRun:
    """Makes a run directory, for evaluation, export and inference, of a generator trained elsewhere.

    The network is found among the tensors, see foreign_networks; a state dict that experiments.export wrote says all
    itself.

    Args:
      source: see tensor_files.read_tensors.
      output_dir: the run directory; appears whole.
      layout: one of LAYOUTS, or OWN; by default by what the file holds.
      data_dir: records on which it will be evaluated; the network's range and orientation are converted to theirs, by
        default they stay what it was trained on. Of layout OWN the records it was trained on: saved anew, the file lost
        its range.
      overwrite: replace an older import.

    Returns:
      The content of config.json.

    Raises:
      InputError: no such file, no such generator in it, an unknown layout, or `output_dir` is taken.
    """
    check_replaced(output_dir, _is_import, source, overwrite=overwrite)
    tensors, texts = read_tensors(source)
    if "wgan_vgg" in texts and layout in (None, OWN):
        layout, (settings, mapping) = OWN, _own(texts["wgan_vgg"], source)
        if data_dir:
            raise InputError(f"data_dir={data_dir}: {source} says its range itself; leave it out")
        generator = build_generator(settings.generator)
        set_state_dict(generator, generator_of(settings.generator), tensors, source)
    else:
        found = find_network(tensors, source)
        layout = layout or _layout_of(found.tensor, texts, source)
        if layout not in (*LAYOUTS, OWN):
            raise InputError(f"layout={layout}: unknown; take one of {', '.join((*LAYOUTS, OWN))}")
        if layout == OWN:
            settings, mapping = _saved_anew(data_dir, has_bias=found.settings.get("use_bias", True) is True)
        else:
            settings, mapping = _foreign(LAYOUTS[layout], found, data_dir)
        settings = override(settings, {f"generator.{name}": value for name, value in found.settings.items()})
        weights = found.weights
        if layout in LAYOUTS and mapping["transposed"] != LAYOUTS[layout].transposed:
            # Transposed kernels do to transposed images what the kernels do to images.
            weights = [array.swapaxes(0, 1) if array.ndim == 4 else array for array in weights]
        generator = build_generator(settings.generator)
        generator.set_weights(weights)
    stored: StoredRun = {
        "config": nested.to_dict(settings),
        "vgg_weights": None,
        "data": {
            "source": f"imported ({layout})",
            "file": source.name,
            "fingerprint": digest(source_file(source)),
            **mapping,
        },
    }
    with staged_folder(output_dir, replace=overwrite) as folder:
        run = RunDir(folder)
        write_json(run.config, stored)
        tf.train.Checkpoint(generator=generator).write(str(run.checkpoints / "step-000000000"))
    return stored


def _is_import(folder: Path) -> bool:
    run = RunDir(folder)
    return run.config.is_file() and str(run.stored()["data"].get("source")).startswith("imported (")


def source_file(source: Path) -> Path:
    """The file itself; of a TensorFlow checkpoint its weights."""
    prefix = source.with_suffix("") if source.suffix == ".index" else source
    return next(iter(sorted(source.parent.glob(f"{prefix.name}.data-*"))), source)


def _layout_of(name: str, beside: Mapping[str, str], source: Path) -> str:
    for layout, known in LAYOUTS.items():
        if name.startswith(known.names) and known.beside <= beside.keys():
            return layout
    raise InputError(
        f"{source}: a generator, but its tensors are named {name}, which does not tell its range of values; say whose "
        f"it is with --layout={'|'.join((*LAYOUTS, OWN))} ({OWN}: this project's export, saved anew)"
    )


def _value_range(slope: float, intercept: float, clip: tuple[float, float] | None, lies_transposed: bool) -> ValueRange:
    return {
        "hu_slope": slope,
        "hu_intercept": intercept,
        "low_dose_clip": clip and list(clip),
        "transposed": lies_transposed,
    }


def _foreign(layout: Layout, found: Found, data_dir: Path | None) -> tuple[Config, ValueRange]:
    settings = override(preset(layout.preset), {"model": "wgan-vgg"})
    offset, scale = (layout.offset, layout.scale) if layout.preset == "notebook" else _MAYO
    clip, lies_transposed = layout.clip, layout.transposed
    if data_dir:
        if settings.data.rescale_low_dose:
            raise InputError(
                f"data_dir={data_dir}: the notebook's input is rescaled, so in no data's range; leave it out"
            )
        manifest = load_manifest(data_dir)
        offset, scale, clip = manifest["hu_intercept"], manifest["hu_slope"], low_dose_clip(manifest)
        lies_transposed = transposed(manifest)
    network = str(found.settings["name"])
    generator = GeneratorConfig(
        name=network,
        output_relu=layout.output_relu if "output_relu" in GENERATORS[network].settings else None,
        input_mean=(layout.offset - offset) / scale,
        input_std=layout.scale / scale,
    )
    mapping = _value_range(scale, offset, clip, lies_transposed)
    return dataclasses.replace(settings, generator=generator), mapping


def _saved_anew(data_dir: Path | None, *, has_bias: bool) -> tuple[Config, ValueRange]:
    """Of an own export whose metadata are gone: a generator as the presets with or without biases have it.

    It is in its records' range and orientation.
    """
    if data_dir is None:
        raise InputError(
            f"layout={OWN}: a state dict that was saved anew does not say its range of HU; give the records it was "
            "trained on with --data_dir, or import the export's own generator.safetensors, which says it"
        )
    manifest = load_manifest(data_dir)
    values = {"model": "wgan-vgg", "data.rescale_low_dose": manifest["data"]["rescale_low_dose"]}
    clip = low_dose_clip(manifest)
    mapping = _value_range(manifest["hu_slope"], manifest["hu_intercept"], clip, transposed(manifest))
    return override(preset("report" if has_bias else "yang2018-code"), values), mapping


def _own(text: str, source: Path) -> tuple[Config, ValueRange]:
    try:
        metadata = json.loads(text)
        values = {"model": metadata["model"], "data.rescale_low_dose": metadata["hu"]["rescaled"]}
        values |= {f"generator.{name}": value for name, value in metadata["generator"].items()}
        hu = HuMapping.from_metadata(metadata)
        mapping = _value_range(hu.slope, hu.intercept, hu.clip, hu.transposed)
        return override(preset(metadata["preset"]), values), mapping
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{source}: its metadata are not this project's ({error}); give --layout") from error
