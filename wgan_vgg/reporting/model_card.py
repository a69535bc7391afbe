"""A trained run's generator as one of the models that ship with the package: weights, card, entry in the index."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep.hu import HuScale
from data_prep.manifest import sha256
from wgan_vgg import pretrained
from wgan_vgg.config import Config, nested, preset
from wgan_vgg.errors import InputError
from wgan_vgg.exporters.export import METADATA, export
from wgan_vgg.files import read_json, write_json, write_text
from wgan_vgg.reporting.comparison_tables import quality_table
from wgan_vgg.reporting.detail_tables import fidelity_table
from wgan_vgg.reporting.markdown import duration
from wgan_vgg.reporting.verdict import verdict
from wgan_vgg.run_dir import RunDir

_SPLITS = ("validation", "test")
_USE = """Research on denoising: a baseline to compare with, weights to begin from, a component to test a pipeline with.

Not for diagnosis, nor for any other use on patients. No radiologist has read its images. It has learnt one simulated
dose and one reconstruction; at another dose, with another kernel, vendor, pixel size or part of the body it may leave
noise, remove structures or make some up, and `denoise` warns of the noise and of the pixel size only. Contrast below
the noise can vanish: a lesion that was hard to see before can be gone after."""


def publish(run: RunDir, name: str, about: str, data_note: Path, *, weights: str = "raw") -> Path:
    """Writes NAME.safetensors, NAME.md and the index's entry into the package's own folder.

    Args:
      run: trained, and evaluated on the validation and the test split.
      name: of the model, as wgan_vgg.load takes it.
      about: one line on it.
      data_note: Markdown on the data and their licences, taken over into the card.
      weights: see export.

    Returns:
      The weights' file.

    Raises:
      InputError: an evaluation is missing or of another step, or the note is.
    """
    evaluations = {split: _evaluation(run, split) for split in _SPLITS}
    if not data_note.is_file():
        raise InputError(f"data_note {data_note}: no such file; describe the data and their licences in one")
    folder = Path(pretrained.__file__).parent
    with tempfile.TemporaryDirectory() as temporary:
        exported = export(run, Path(temporary) / "torch", "torch", weights=weights)
        metadata = read_json(exported / METADATA)
        if any(evaluation["step"] != metadata["step"] for evaluation in evaluations.values()):
            raise InputError(
                f"workdir {run.path}: evaluated at another step than {metadata['step']}; evaluate it again"
            )
        target = folder / f"{name}.safetensors"
        shutil.copyfile(exported / "generator.safetensors", target)
    write_text(target.with_suffix(".md"), _card(run, name, about, data_note.read_text(), metadata, evaluations))
    best = evaluations["test"]["statistics"]["best_baseline"]
    baseline = best and {"name": best, "parameters": evaluations["test"]["baselines"][best]["parameters"]}
    entry = {"file": target.name, "sha256": sha256(target), "about": about, "best_baseline": baseline}
    write_json(folder / "index.json", pretrained.index() | {name: entry})
    return target


def _evaluation(run: RunDir, split: str) -> dict[str, Any]:
    path = run.eval_json(split)
    if not path.is_file():
        raise InputError(f"workdir {run.path}: its {split} split was not evaluated; do so with experiments.evaluate")
    return read_json(path)


def _card(
    run: RunDir,
    name: str,
    about: str,
    data_note: str,
    metadata: Mapping[str, Any],
    evaluations: Mapping[str, Mapping[str, Any]],
) -> str:
    hu = metadata["hu"]
    taken = "as they are" if hu["clip"] is None else f"clipped to {hu['range']} HU"
    turned = " sees them transposed, as LoDoPaB-CT has them, and" if hu["transposed"] else ""
    sections = {
        "Use": _USE,
        "How to use it": (
            f"    python -m experiments.denoise --model={name} --input=SERIES --output=FOLDER\n\n"
            f'    wgan_vgg.load("{name}")(hu)\n\n'
            f"Pixels in HU, upright, of any image size; the network{turned} takes values {taken}, with "
            f"{HuScale(hu['slope'], hu['intercept'])}."
        ),
        "Data": data_note.strip(),
        "Training": _training(run),
    }
    for split, evaluation in evaluations.items():
        said = "nothing was chosen on it" if split == "test" else "the step and the baselines were chosen on it"
        title = f"Results: {split}, {evaluation['patients']} patients, {evaluation['images']} slices; {said}"
        sections[title] = "\n\n".join((verdict(evaluation), quality_table(evaluation), fidelity_table(evaluation)))
    about_tables = (
        "Intervals: bootstrap-t over patients. Texture: share of the noise power at other frequencies than the "
        "truth's. Edge rise: 10-90 %, of the truth's steepest isolated edges. VGG distance: "
        f"{evaluations['test']['perceptual'] or 'not measured'}."
    )
    texts = [f"## {title}\n\n{text}" for title, text in sections.items()]
    return "\n\n".join([f"# {name}", about, *texts, about_tables]) + "\n"


def _training(run: RunDir) -> str:
    """How the run was trained, and the commands that train it again."""
    config, stored, last = run.load_config(), run.stored(), run.rows()[-1]
    cores, began = read_json(run.environment)[-1]["cpu_count"], stored.get("init_from")
    said = [
        f"Model {config.model}, {last['step']:,} steps of batch {config.training.batch_size}, seed {config.seed}, "
        f"{config.training.precision}, {duration(last['seconds'])} of training on {cores} CPU cores."
    ]
    if began:
        said.append(f"It began with the weights of {Path(began['source']).name}, step {began['step']}.")
    if stored["vgg_weights"]:
        said.append(f"VGG: {stored['vgg_weights']}.")
    prepare = ["prepare", f"--preset={config.preset}", "--source=lodopab", "--input_dir=REAL_CT"]
    train = ["train", f"--preset={config.preset}", f"--model={config.model}", "--data_dir=RECORDS", "--workdir=RUN"]
    prepare += ["--output_dir=RECORDS", *_flags(config, of_data=True)]
    commands = (
        " ".join(["python -m", f"experiments.{' '.join(words)}"]) for words in (prepare, [*train, *_flags(config)])
    )
    return " ".join(said) + " Trained again by\n\n" + "\n".join(f"    {command}" for command in commands)


def _flags(config: Config, *, of_data: bool = False) -> list[str]:
    """What the config changes in its preset, as --set flags: of the data, or of all the rest."""
    known = nested.flatten(preset(config.preset))
    changed = {key: value for key, value in nested.flatten(config).items() if known[key] != value}
    return [
        f"--set={key}={str(value).lower() if isinstance(value, bool) else value}"
        for key, value in changed.items()
        if key.startswith("data.") == of_data and not key.startswith(("model", "evaluation."))
    ]
