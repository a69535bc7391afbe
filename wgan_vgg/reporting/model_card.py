"""A trained run's generator as one of the models that ship with the package: weights, card, entry in the index."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from data_prep.digests import digest
from data_prep.hu import HuScale
from wgan_vgg import pretrained
from wgan_vgg.config import Config, for_model, nested, preset
from wgan_vgg.errors import InputError
from wgan_vgg.evaluation.json_types import Summary
from wgan_vgg.exporters.export import METADATA, export
from wgan_vgg.files import read_json, write_bytes, write_json, write_text
from wgan_vgg.json_types import Metadata
from wgan_vgg.reporting.card_results import SPLITS, alone, as_text, evaluations_of, results_of
from wgan_vgg.reporting.markdown import duration
from wgan_vgg.reporting.report_page import TEMPLATES
from wgan_vgg.run_dir import RunDir

_RESULTS = f"## Results: {SPLITS[0]}"  # where a card's results begin
_TEMPLATES = TEMPLATES.overlay(autoescape=False)  # Markdown


def publish(run: RunDir, name: str, about: str, data_note: Path, *, weights: str = "raw") -> Path:
    """Writes NAME.safetensors, NAME.onnx, NAME.md and the index's entry into the package's own folder.

    Args:
      run: trained, and evaluated on the validation and the test split.
      name: of the model, as wgan_vgg.load takes it.
      about: one line on it.
      data_note: Markdown on the data and their licences, taken over into the card.
      weights: see export.

    Returns:
      The weights' file.

    Raises:
      InputError: a name with folders, an evaluation is missing or of another step, the note is, or tf2onnx is not
        installed.
    """
    if name in ("", "..") or Path(name).name != name or "\\" in name:
        raise InputError(f"name={name}: must be a file's name without folders, as wgan_vgg.load takes it")
    evaluations, doses = evaluations_of(run)
    if not data_note.is_file():
        raise InputError(f"data_note {data_note}: no such file; describe the data and their licences in one")
    try:
        note = data_note.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"data_note {data_note}: not UTF-8 text ({error}); save it so") from error
    folder = Path(pretrained.__file__).parent
    with tempfile.TemporaryDirectory() as temporary:
        exported = export(run, Path(temporary) / "torch", "torch", weights=weights)
        metadata: Metadata = read_json(exported / METADATA)
        if any(_step(one, weights) != metadata["step"] for one in (*evaluations.values(), *doses.values())):
            how = " with --best" if weights == "best" else ""
            raise InputError(
                f"workdir {run.path}: evaluated at another step than {metadata['step']}; evaluate it again{how}"
            )
        onnx = export(run, Path(temporary) / "onnx", "onnx", weights=weights)
        files = {".safetensors": exported / "generator.safetensors", ".onnx": onnx / "generator.onnx"}
        # Before anything that ships is replaced.
        card = _card(run, name, about, note, metadata, evaluations, doses)
        best = evaluations["test"]["statistics"]["best_baseline"]
        baseline = best and {"name": best, "parameters": evaluations["test"]["baselines"][best]["parameters"]}
        digests = {suffix: digest(file) for suffix, file in files.items()}
        entry = {"sha256": digests, "about": about, "best_baseline": baseline}
        for suffix, file in files.items():
            write_bytes(folder / f"{name}{suffix}", file.read_bytes())
    write_text(folder / f"{name}.md", card)
    write_json(folder / "index.json", pretrained.index() | {name: entry})
    return folder / f"{name}.safetensors"


def replace_results(name: str, results: RunDir) -> Path:
    """Puts other results into the card of a model that ships, as after a change of the evaluation.

    Args:
      name: of the model.
      results: evaluations of it, by this name, of the validation and the test split; other models beside it are left
        out.

    Returns:
      The card's file.

    Raises:
      InputError: no such model, or an evaluation is missing or of another one.
    """
    card = pretrained.card(name)
    evaluations, doses = evaluations_of(results)
    evaluations = {split: alone(one, name) for split, one in evaluations.items()}
    doses = {photons: alone(one, name) for photons, one in doses.items()}
    rendered = _TEMPLATES.get_template("model_results.md").render(results_of(name, evaluations, doses))
    path = Path(pretrained.__file__).parent / f"{name}.md"
    write_text(path, card[: card.index(_RESULTS)] + rendered)
    return path


def _step(evaluation: Summary, weights: str) -> int | None:
    """The step at which these weights were evaluated, None where they were not."""
    return (
        evaluation["step"] if weights == "raw" else evaluation.get("steps", {}).get(f"{evaluation['model']}-{weights}")
    )


def _card(
    run: RunDir,
    name: str,
    about: str,
    data_note: str,
    metadata: Metadata,
    evaluations: Mapping[str, Summary],
    doses: Mapping[float, Summary],
) -> str:
    hu = metadata["hu"]
    return _TEMPLATES.get_template("model_card.md").render(
        name=name,
        about=about,
        hu=hu,
        scale=HuScale(hu["slope"], hu["intercept"]),
        data_note=re.sub(r"\A# .*\n", "", data_note).strip(),  # the card has a heading for it
        training=_training(run),
        commands=_commands(run.load_config()),
        **results_of(name, evaluations, doses),
    )


def _training(run: RunDir) -> str:
    """How the run was trained."""
    config, stored, last = run.load_config(), run.stored(), run.rows()[-1]
    cores, began = read_json(run.environment)[-1]["cpu_count"], stored.get("init_from")
    said = [
        f"Model {config.model}, {last['step']:,} steps of batch {config.training.batch_size}, seed {config.seed}, "
        f"{config.training.precision}, {duration(last['seconds'])} of training on {cores} CPU cores."
    ]
    if began:
        step = "" if began["step"] is None else f", step {began['step']:,}"
        said.append(f"It began with the weights of {Path(began['source']).name}{step}.")
    if stored["vgg_weights"]:
        said.append(f"VGG: {stored['vgg_weights']}.")
    return " ".join(said)


def _commands(config: Config) -> list[str]:
    """What makes its data and trains it again."""
    prepare = ["prepare", f"--preset={config.preset}", "--source=lodopab", "--input_dir=REAL_CT"]
    train = ["train", f"--preset={config.preset}", f"--model={config.model}", "--data_dir=RECORDS", "--workdir=RUN"]
    prepare += ["--output_dir=RECORDS", *_flags(config, of_data=True)]
    return [" ".join(["python -m", f"experiments.{' '.join(words)}"]) for words in (prepare, [*train, *_flags(config)])]


def _flags(config: Config, *, of_data: bool = False) -> list[str]:
    """What the config changes in its preset, as --set flags: of the data, or of all the rest."""
    bare, values = preset(config.preset), nested.flatten(config)
    of_preset, of_model = nested.flatten(bare), nested.flatten(for_model(bare, config.model))
    own = {key for key in values if of_model[key] != of_preset[key]} - {"model"}
    # What a model has of its own gives way as a whole, see for_model.
    as_own = all(values[key] == of_model[key] for key in own)
    known = of_model if as_own else of_preset
    changed = {key: value for key, value in values.items() if known[key] != value or (key in own and not as_own)}
    return [
        f"--set={key}={as_text(value)}"
        for key, value in changed.items()
        if key.startswith("data.") == of_data
        and not key.startswith(("model", "evaluation."))
        and not (
            value is None and key.startswith(("generator.", "critic."))
        )  # a setting that the network does not have
    ]
