"""Generators that were trained by other programs, as run directories of this one."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_prep import lodopab
from data_prep.manifest import load_manifest, low_dose_clip, transposed
from data_prep.staging import check_replaced, staged_folder
from wgan_vgg.config import Config, GeneratorConfig, nested, override, preset
from wgan_vgg.errors import InputError
from wgan_vgg.files import write_json
from wgan_vgg.hu import HuMapping
from wgan_vgg.json_types import StoredRun, ValueRange
from wgan_vgg.models import build_generator
from wgan_vgg.run_dir import RunDir
from wgan_vgg.tensor_files import read_tensors

_NEEDED = "3x3 convolutions of 1-32-...-32-1 channels, eight in the paper, all with biases or none"
_MAYO = (-1024.0, 4096.0)
Convolutions = list[tuple[np.ndarray, ...]]  # kernel and, where there is one, bias of each, in order


@dataclasses.dataclass(frozen=True)
class Layout:
    """Whose file it is: the names give that away, and it decides all that the weights themselves do not say.

    Attributes:
      names: how the kernels' names begin.
      beside: what else the program's files hold, where the names alone do not tell it from others.
      preset: the nearest of this project's.
      offset, scale: the network takes and gives (HU - offset) / scale.
      output_relu: whether a ReLU follows the last convolution.
      clip: what its low-dose inputs were clipped to, as fractions of that range.
      transposed: its images lay so, see manifest.transposed.
    """

    names: str
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
    "notebook": Layout("convlayers.", "notebook", lodopab.HU_INTERCEPT, lodopab.HU_SLOPE, transposed=True),
    "ssinyu": Layout("generator.net.", "yang2018", *_MAYO),  # prep.py: norm_range_min, norm_range_max
    # Stored values, which are HU + 1024, less their mean and divided by their standard deviation (info.yml). Known
    # by the entries of its save_checkpoint: `net.` alone could be anybody's, older exports of this project included.
    "ldct-benchmark": Layout(
        "model_state_dict.net.",
        "yang2018",
        481.454 - 1024,
        502.185,
        output_relu=False,
        beside=frozenset(("args", "iteration")),
    ),
    "original": Layout("generator/g_conv_", "original", *_MAYO, clip=(0.0, 1.0)),
}


def import_generator(
    source: Path, output_dir: Path, *, layout: str | None = None, data_dir: Path | None = None, overwrite: bool = False
) -> StoredRun:
    """Makes a run directory, for evaluation, export and inference, of a generator trained elsewhere.

    The kernels are found by their structure, see find_convolutions; a state dict that experiments.export wrote says
    the rest itself.

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
    name, convolutions = find_convolutions(tensors, source)
    if "wgan_vgg" in texts and layout in (None, OWN):
        layout, (settings, mapping) = OWN, _own(texts["wgan_vgg"], source)
        if data_dir:
            raise InputError(f"data_dir={data_dir}: {source} says its range itself; leave it out")
    else:
        layout = layout or _layout_of(name, texts, source)
        if layout not in (*LAYOUTS, OWN):
            raise InputError(f"layout={layout}: unknown; take one of {', '.join((*LAYOUTS, OWN))}")
        if layout == OWN:
            settings, mapping = _saved_anew(data_dir, has_bias=len(convolutions[0]) == 2)
        else:
            settings, mapping = _foreign(LAYOUTS[layout], data_dir)
    if layout in LAYOUTS and mapping["transposed"] != LAYOUTS[layout].transposed:
        # Transposed kernels do to transposed images what the kernels do to images.
        convolutions = [(kernel.swapaxes(0, 1), *bias) for kernel, *bias in convolutions]
    sizes = {"generator.layers": len(convolutions), "generator.filters": convolutions[0][0].shape[-1]}
    settings = override(settings, sizes | {"generator.use_bias": len(convolutions[0]) == 2})
    generator = build_generator(settings.generator)
    generator.set_weights(in_order(convolutions))
    with source_file(source).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    stored: StoredRun = {
        "config": nested.to_dict(settings),
        "vgg_weights": None,
        "data": {"source": f"imported ({layout})", "file": source.name, "fingerprint": digest, **mapping},
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


def find_convolutions(tensors: Mapping[str, np.ndarray], source: Path) -> tuple[str, Convolutions]:
    """The generator among tensors, by structure.

    Kernels whose names differ in one number only are one network, in the order of that number. It is a
    generator if it goes from 1 channel over always the same number back to 1. What TensorFlow's optimizers keep of a
    kernel has its shape too, and a name below its own.

    Returns:
      The first kernel's name; kernels (3, 3, in, out) with their biases, if they have any, float32.

    Raises:
      InputError: there is none, or several; says what was found.
    """
    chains: dict[tuple[str, str], dict[int, str]] = {}
    kernels = (name for name, tensor in tensors.items() if tensor.ndim == 4)
    for name in (name for name in kernels if name.rpartition("/")[0] not in tensors):
        for number in re.finditer(r"\d+", name):
            chains.setdefault((name[: number.start()], name[number.end() :]), {})[int(number[0])] = name
    found = {}
    for names in ([chain[number] for number in sorted(chain)] for chain in chains.values()):
        convolutions = [(_kernel(tensors[name]), *_bias(tensors, name)) for name in names]
        if _is_generator(convolutions):
            found[names[0]] = convolutions
    if len(found) != 1:
        shapes = [f"{name} {tensor.shape}" for name, tensor in tensors.items() if tensor.ndim == 4]
        what = f"{len(found)} of them, {', '.join(found)}" if found else f"{len(tensors)} tensors, of which kernels: "
        what += "" if found else ", ".join(shapes[:4] + ["..."] * (len(shapes) > 4)) or "none"
        raise InputError(f"{source}: expected one generator, {_NEEDED}; found {what}")
    ((name, convolutions),) = found.items()
    if not all(np.isfinite(array).all() for array in in_order(convolutions)):
        raise InputError(f"{source}: NaN or infinite weights in {name} or after it")
    return name, [tuple(array.astype(np.float32) for array in one) for one in convolutions]


def in_order(convolutions: Convolutions) -> list[np.ndarray]:
    """Kernels and biases as keras.Model.set_weights takes them."""
    return [array for one in convolutions for array in one]


def _kernel(tensor: np.ndarray) -> np.ndarray:
    """(height, width, in, out), as TensorFlow has it; PyTorch has (out, in, height, width)."""
    return tensor if tensor.shape[:2] == (3, 3) else tensor.transpose(2, 3, 1, 0)


def _bias(tensors: Mapping[str, np.ndarray], kernel: str) -> list[np.ndarray]:
    """The vector beside a kernel, if there is one."""
    parent = kernel[: max(kernel.rfind("."), kernel.rfind("/")) + 1]
    beside = [t for name, t in tensors.items() if t.ndim == 1 and re.fullmatch(rf"{re.escape(parent)}[^./]*", name)]
    return beside if len(beside) == 1 else []


def _is_generator(convolutions: Convolutions) -> bool:
    channels = [1, *[kernel.shape[3] for kernel, *_ in convolutions]]
    return (
        len(convolutions) > 1
        and len({len(one) for one in convolutions}) == 1
        and len(set(channels[1:-1])) == 1
        and channels[-1] == 1
        and all(
            kernel.shape == (3, 3, before, after) and all(one.shape == (after,) for one in bias)
            for (kernel, *bias), before, after in zip(convolutions, channels[:-1], channels[1:], strict=True)
        )
    )


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


def _foreign(layout: Layout, data_dir: Path | None) -> tuple[Config, ValueRange]:
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
    generator = GeneratorConfig(
        output_relu=layout.output_relu,
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
