"""What can be exported: the generator of a run, or of a file of weights such as those that ship with the package."""

import dataclasses
import hashlib
import json
from pathlib import Path

import keras
import numpy as np

import wgan_vgg
from wgan_vgg.checkpoint_reader import load_generator, saved_step
from wgan_vgg.config import GeneratorConfig, nested
from wgan_vgg.errors import InputError, reason
from wgan_vgg.exporters.state_dict import set_state_dict
from wgan_vgg.files import read_json
from wgan_vgg.hu import HuMapping
from wgan_vgg.json_types import Metadata
from wgan_vgg.models import Generator, build_generator, generator_of
from wgan_vgg.run_dir import RunDir
from wgan_vgg.tensor_files import read_tensors

NAME = "wgan-vgg"  # in every export's metadata


@dataclasses.dataclass(frozen=True)
class Exportable:
    """A generator, what network it is, how HU map to its range, what is known of it, and where its records were."""

    generator: keras.Model
    network: Generator
    mapping: HuMapping
    metadata: Metadata
    records: Path | None


def of_run(run: RunDir, weights: str) -> Exportable:
    """Of a trained run.

    Raises:
      InputError: no run, or it has no such weights, see checkpoint_reader.load_generator.
    """
    mapping, generator = HuMapping.from_run(run), load_generator(run, weights)
    network = generator_of(run.load_config().generator)
    records = run.stored()["data"].get("path")  # of an imported run ""
    metadata = _describe(run, generator, mapping, weights)
    return Exportable(generator, network, mapping, metadata, Path(records) if records else None)


def of_weights_file(path: Path) -> Exportable:
    """Of a generator.safetensors that experiments.export wrote.

    Raises:
      InputError: another file, or another version's.
    """
    if path.suffix == ".onnx":
        raise InputError(f"{path}: exported already; give the run, or its generator.safetensors")
    tensors, texts = read_tensors(path)
    if "wgan_vgg" not in texts:
        raise InputError(f"{path}: not a file of experiments.export --format=torch; import it first")
    try:
        metadata: Metadata = json.loads(texts["wgan_vgg"])
        config = GeneratorConfig(**metadata["generator"])
        mapping = HuMapping.from_metadata(metadata)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a file of this version ({reason(error)}); export it anew") from error
    generator, network = build_generator(config), generator_of(config)
    set_state_dict(generator, network, tensors, path)
    return Exportable(generator, network, mapping, metadata, None)


def _describe(run: RunDir, generator: keras.Model, mapping: HuMapping, weights: str) -> Metadata:
    """What travels with an exported model: where it comes from, its HU, its results."""
    config, stored = run.load_config(), run.stored()
    evaluations = {path.stem: read_json(path) for path in sorted(run.evaluations.glob("*.json"))}
    rows, training_data = run.rows(), stored["data"].copy()
    training_data.pop("path", None)
    return {
        "name": NAME,
        "version": wgan_vgg.__version__,
        "model": config.model,
        "preset": config.preset,
        "seed": config.seed,
        "step": saved_step(run, weights),
        "weights": weights,
        "precision": "float32",
        "fingerprint": fingerprint(generator, mapping),
        "hu": mapping.describe(),
        "warnings": [*mapping.warnings, "not for diagnostic use"],
        "vgg_weights": stored.get("vgg_weights"),
        "training_data": training_data,
        "training_input": stored.get("training_input"),
        "data_config": stored["config"]["data"],
        "generator": nested.to_dict(config.generator),
        "extent": dataclasses.asdict(generator_of(config.generator).extent),
        "metrics": {split: summary["methods"] for split, summary in evaluations.items()} or (rows[-1] if rows else {}),
    }


def fingerprint(generator: keras.Model, mapping: HuMapping) -> str:
    """Tells models apart by what they compute: the sha256 of their layers' settings, weights and HU mapping."""
    digest = hashlib.sha256(json.dumps(mapping.describe()).encode())
    for layer in generator.layers:
        digest.update(json.dumps(layer.get_config(), default=str, sort_keys=True).encode())
        for weight in layer.get_weights():
            digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
