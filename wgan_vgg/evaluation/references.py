"""What every model is evaluated beside: the noisy input, the tuned baselines, and the truth's own noise and edges.

They do not depend on the model, so they are evaluated once per data set and kept in a JSON file.
"""

import contextlib
import functools
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import numpy as np

import wgan_vgg
from data_prep.progress import Progress, silent
from data_prep.repeated_scans import scanner
from wgan_vgg.config import EvaluationConfig, nested
from wgan_vgg.config.baselines import BASELINES, Baseline
from wgan_vgg.evaluation import baselines
from wgan_vgg.evaluation.accumulator import Accumulator
from wgan_vgg.evaluation.evaluator import Batch, Evaluator, batches, scale_of
from wgan_vgg.evaluation.image_measures import measure_truth, per_image
from wgan_vgg.evaluation.json_types import LesionResponses, MethodSummary, Row, TruthSummary, Tuned
from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.evaluation.parallel import workers
from wgan_vgg.evaluation.perceptual import PerceptualDistance
from wgan_vgg.evaluation.repeats import VERSION, Repeats
from wgan_vgg.files import read_json, write_json
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import ReferencesDir

Value = TypeVar("Value")


class EvaluatedReferences(TypedDict):
    """What the file keeps.

    Keys:
      rows: of the CSV.
      methods: the summaries of the noisy input and of each baseline.
      responses: by method what observers see of each lesion in repeated scans; empty without these.
    """

    truth: TruthSummary
    methods: dict[str, MethodSummary]
    responses: dict[str, list[LesionResponses | None]]
    rows: list[Row]


class References(EvaluatedReferences):
    """Besides, what tuning chose, and the baselines left out, their packages not being installed."""

    baselines: dict[str, Tuned]
    missing: list[str]


def evaluated_references(
    data: DataSet,
    split: str,
    config: EvaluationConfig,
    perceptual: PerceptualDistance | None,
    folder: ReferencesDir,
    repeats: Repeats | None,
    progress: Progress = silent,
) -> References:
    """The references of a split, from the folder if they are there for the same data and settings.

    Raises:
      InputError: no such split.
    """
    missing = baselines.missing(config.baselines)
    names = [name for name in config.baselines if name not in missing]
    tuning_key: dict[str, Any] = {
        "data": data.fingerprint,
        "images": [data.tuning_split, config.tuning_images],
        "grids": {name: _grid(BASELINES[name], config) for name in names},
        "versions": _versions(),
    }
    photons = data.test_photons.get(split)
    if photons:
        tuning_key["photons"] = photons
    # A filter's strength depends on the noise, so each of several doses has its own.
    scan = scanner(data.manifest, split) if photons else None
    chosen = _kept(
        folder.tuned(photons),
        tuning_key,
        lambda: baselines.tune(data, names, config, progress, scan=scan),
    )
    key = {**tuning_key, "split": split, "evaluation": nested.to_dict(config)}
    key["perceptual"] = perceptual and perceptual.identity
    key |= {"metrics": per_image(config), "scans": VERSION}  # an older version's are others
    evaluated = _kept(
        folder.split(split),
        key,
        lambda: _evaluate_all(data, split, config, perceptual, chosen, repeats, progress),
    )
    return {**evaluated, "baselines": chosen, "missing": missing}


def _evaluate_all(
    data: DataSet,
    split: str,
    config: EvaluationConfig,
    perceptual: PerceptualDistance | None,
    chosen: dict[str, Tuned],
    repeats: Repeats | None,
    progress: Progress,
) -> EvaluatedReferences:
    # What is made of a min-max rescaled input has no HU either.
    methods = dict.fromkeys((NOISY, *chosen), not data.config.rescale_low_dose)
    total, done = data.size(split), 0
    responses: dict[str, list[LesionResponses | None]] = {}
    with workers() as pool:
        evaluator = Evaluator(data, config, perceptual, methods, pool)
        of_truth = Accumulator(scale_of(data), config, in_hu=True)

        def denoise(name: str, batch: Batch) -> np.ndarray:
            if name == NOISY:
                return batch.low_dose
            return baselines.apply(name, chosen[name]["parameters"], batch.low_dose, pool)

        for batch in batches(data, split):
            truths = evaluator.add(batch, {name: denoise(name, batch) for name in methods})
            for row, truth in zip(batch.rows, truths, strict=True):
                of_truth.add(truth, truth.image, row["patient_id"], measure_truth(truth))
            done += len(batch.rows)
            progress("evaluate baselines", done, total)
        if repeats:
            responses = {name: repeats.evaluate(name, functools.partial(denoise, name)) for name in methods}
    own = of_truth.summary()
    return {
        "truth": {
            "means": {"std_hu": own["means"]["std_hu"]},
            "edges": own["edges"],
            "noise_power": own["noise_power"],
        },
        "methods": evaluator.summaries(),
        "responses": responses,
        "rows": evaluator.rows,
    }


def _grid(baseline: Baseline, config: EvaluationConfig) -> dict[str, list[float]]:
    """The values among which a baseline is tuned, its noise's deviation being 1."""
    return {name: list(values) for name, values in (baseline.axes(config, 1.0) | baseline.kinds(config)).items()}


def _kept(path: Path, key: dict[str, Any], make: Callable[[], Value]) -> Value:
    """The file's value if it was made for this key; else makes and keeps it."""
    stored = read_json(path) if path.is_file() else {}
    if stored.get("key") != key:
        stored = {"key": key, "value": make()}
        write_json(path, stored, shared=True)
    return stored["value"]


def _versions() -> dict[str, str]:
    versions = {"wgan_vgg": wgan_vgg.__version__}
    for package in ("scikit-image", "scipy", "PyWavelets", "bm3d"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions
