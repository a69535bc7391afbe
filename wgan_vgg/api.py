"""The functions that `import wgan_vgg` offers: each is one call of the library, with paths as text or Path."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep.progress import Progress, silent
from wgan_vgg import pretrained
from wgan_vgg.config import Config, override
from wgan_vgg.config.sources import SOURCES
from wgan_vgg.errors import InputError
from wgan_vgg.evaluation import methods
from wgan_vgg.evaluation.evaluate import evaluate as _evaluate
from wgan_vgg.evaluation.json_types import Summary
from wgan_vgg.exporters.export import export as _export
from wgan_vgg.inference.denoise import denoise as _denoise
from wgan_vgg.inference.denoiser import load
from wgan_vgg.inference.output_files import output_path
from wgan_vgg.inference.settings import Outcome, Settings
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.json_types import EpochRow
from wgan_vgg.reproduction.data_stage import prepare_data
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training.distribute import Devices
from wgan_vgg.training.train_loop import train as _train

AnyPath = str | Path


def prepare(
    config: Config,
    output_dir: AnyPath,
    *,
    source: str = "phantoms",
    input_dir: AnyPath | None = None,
    progress: Progress = silent,
) -> DataSet:
    """Makes TFRecords of LoDoPaB-CT files, of phantoms or of another source, unless the same ones are there.

    Args:
      config: its data section, its seed and, for phantoms, its phantoms.
      output_dir: folder of the records.
      source: "lodopab", files in `input_dir`; or "phantoms", which are written there first, by default beside the
        records.
      input_dir: see `source`.

    Raises:
      InputError: see data_stage.prepare_data.
    """
    folder = Path(output_dir)
    given = Path(input_dir) if input_dir is not None else None
    made_here = source in SOURCES and SOURCES[source].write is not None
    prepare_data(
        config,
        folder,
        source,
        phantoms_dir=given if made_here and given else folder.with_name(f"{folder.name}-{source}"),
        input_dir=None if made_here else given,
        allow_leak=config.preset == "notebook",
        progress=progress,
    )
    return DataSet.open(folder)


def train(
    config: Config,
    data: DataSet | AnyPath,
    workdir: AnyPath,
    *,
    devices: Devices | None = None,
    progress: Progress = silent,
) -> EpochRow:
    """Trains to the end of the config's run, or resumes one.

    Args:
      config: what to train, see `preset`; its model is `config.model`.
      data: records, or their folder.
      workdir: the run directory.
      devices: what it runs on; by default all GPUs.
      progress: called after each step.

    Returns:
      The last row of metrics.jsonl.

    Raises:
      InputError, Diverged: see train_loop.train.
    """
    return _train(config, _opened(data), Path(workdir), progress, devices=devices)


def evaluate(
    workdir: AnyPath, data: DataSet | AnyPath, split: str = "test", overrides: Mapping[str, object] | None = None
) -> Summary:
    """Evaluates a run's generator on a split, beside the noisy input and the tuned baselines.

    Args:
      workdir: the run directory; its eval/ is written.
      data: records, or their folder.
      split: "test", "validation" or "train".
      overrides: of the evaluation, such as {"evaluation.baselines": ("tv",)}.

    Returns:
      The summary, as written to eval/<split>.json.

    Raises:
      InputError: no run, no such split, or an unknown key.
    """
    run = RunDir(Path(workdir))
    config = override(run.load_config(), overrides or {})
    return _evaluate(methods.from_run(run), run, _opened(data), split, config, beside=methods.beside_run(run))


def export(model: AnyPath, output_dir: AnyPath, format: str = "saved_model", **options: Any) -> Path:
    """Writes a generator as "saved_model", "keras", "onnx", "tflite" or "torch"; `options` as of export.export.

    Args:
      model: a run directory, the name of a model that ships with the package, or a generator.safetensors.
      output_dir: the folder that is written.

    Raises:
      InputError: there is no such model, or see export.export.
    """
    path = pretrained.path_of(model)
    if path.name == str(model) and not path.exists():
        raise InputError(f"model {model}: no run, no file, and none of {', '.join(pretrained.index())}")
    return _export(path if path.is_file() else RunDir(path), Path(output_dir), format, **options)


def denoise(
    path_in: AnyPath,
    path_out: AnyPath,
    model: AnyPath = "generator-mse-lodopab",
    *,
    weights: str = "raw",
    strength: float = 1.0,
    **settings: Any,
) -> Outcome:
    """Denoises a file to a file of its kind, or the image files of a folder to a folder.

    Args:
      path_in, path_out: DICOM, NIfTI, HDF5, .npy, .npz, PNG, TIFF, or folders of such.
      model, weights, strength: see `load`.
      settings: fields of inference.settings.Settings, such as preview=True.

    Raises:
      InputError: see inference.denoise.denoise.
    """
    denoiser = load(model, weights, strength)
    source = Path(path_in)
    return _denoise(denoiser, source, output_path(path_out, source), Settings(**settings))


def _opened(data: DataSet | AnyPath) -> DataSet:
    return data if isinstance(data, DataSet) else DataSet.open(Path(data))
