"""The generators that ship with the package: trained on real CT with simulated dose, each with its card beside it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.digests import digest
from wgan_vgg.errors import InputError

PREFIX = "pretrained:"
_FOLDER = Path(__file__).parent
_INDEX = _FOLDER / "index.json"  # name -> {"sha256": {suffix: digest}, "about", "best_baseline"}


def index() -> dict[str, dict[str, Any]]:
    """What there is: by name its files' sha256, a line about it, the best tuned baseline it was evaluated beside."""
    return json.loads(_INDEX.read_text())


def find(name: str, suffix: str = ".safetensors") -> Path:
    """A model's file.

    Args:
      name: of the model.
      suffix: ".safetensors", weights as experiments.export --format=torch writes them; ".onnx", the same as
        --format=onnx does.

    Raises:
      InputError: no such model, or its file is not the one that was published.
    """
    models = index()
    if name not in models:
        raise InputError(f"pretrained model {name!r}: unknown; take one of {', '.join(models) or 'none yet'}")
    path = _FOLDER / f"{name}{suffix}"
    if not path.is_file():
        raise InputError(f"{path}: missing; install the package again")
    if (found := digest(path)) != models[name]["sha256"][suffix]:
        raise InputError(f"{path}: not the file that was published (sha256 {found}); install the package again")
    return path


def path_of(model: str | Path, suffix: str = ".safetensors") -> Path:
    """The file of the model of that name, see find; of any other the path that it is, where nothing need be.

    Raises:
      InputError: see find.
    """
    return find(str(model), suffix) if str(model) in index() else Path(model)


def example() -> tuple[np.ndarray, np.ndarray]:
    """One real slice at simulated low dose and at normal dose, see example.md: float32 HU (height, width)."""
    with np.load(_FOLDER / "example.npz") as arrays:
        return arrays["low_dose_hu"].astype(np.float32), arrays["normal_dose_hu"].astype(np.float32)


def card(name: str) -> str:
    """The model card, Markdown: data, training, results, what it must not be used for.

    Raises:
      InputError: no such model.
    """
    return find(name).with_suffix(".md").read_text()
