"""Where results are from: a line for the head of page and results.md, and the tables at the page's end."""

from collections.abc import Mapping, Sequence

from data_prep.hu import HuScale
from wgan_vgg.config import nested
from wgan_vgg.files import read_json
from wgan_vgg.json_types import Environment
from wgan_vgg.reporting.json_types import Results, Runs, Summaries
from wgan_vgg.reporting.markdown import DASH, Table
from wgan_vgg.run_dir import RunDir

_COMMIT = 10  # characters of a commit that name it
_CHANGED = "-dirty"  # git's mark of a source tree that was changed since the commit


def provenance_line(runs: Runs, summaries: Summaries, caption: str) -> str:
    """Data, patients, VGG weights, seeds, steps, commit and date, in one line; what is not known is left out.

    Args:
      runs: by model, one for each seed.
      summaries: their eval/<split>.json.
      caption: what the data and the VGG weights are.
    """
    first = next(iter(summaries.values()))[0]
    trained = [run for of_seeds in runs.values() for run in of_seeds if run.config.is_file()]
    launches = [launch for run in trained for launch in _launches(run)]
    patients = f"{first['patients']} patients" if isinstance(first["patients"], int) else "unknown patients"
    parts = [
        *caption.split("; "),
        f"{first['images']} {first['split']} images of {patients}",
        _listed("seed", sorted({str(run.load_config().seed) for run in trained}, key=int)),
        _steps(summaries),
        _listed("commit", [_commit(git) for launch in launches if (git := launch.get("git"))]),
        _days(sorted(launch["date"][:10] for launch in launches if launch.get("date"))),
    ]
    return " · ".join(part for part in parts if part)


def data_table(runs: Runs, results: Results) -> Table:
    """What the line does not say of data and weights."""
    data = results["data"]
    stored = {name: run.stored() for name, run in _by_name(runs).items() if run.config.is_file()}
    weights = {name: run["vgg_weights"] or "not used" for name, run in stored.items()}
    fingerprints = {name: run["data"]["fingerprint"] for name, run in stored.items()}
    rows = [
        *(
            [f"{split} images", f"{count} (patients: {data['patients'][split]})"]
            for split, count in data["images"].items()
        ),
        ["patients in more than one split", _plain(data["patients_in_both"] or "none")],
        ["image size", "x".join(map(str, data["image_shape"]))],
        ["scale", str(HuScale.from_manifest(data))],
        ["pixel spacing in mm", _plain(data["pixel_spacing_mm"])],
        ["VGG weights of the perceptual distance", results["evaluation"]["perceptual"] or "none: not computed"],
        *_rows_by_value("VGG weights in training", weights),
        *_rows_by_value("fingerprint of the training's records", fingerprints),
    ]
    return Table(["", "value"], rows)


def settings_tables(runs: Runs) -> dict[str, Table]:
    """By heading: each run's config, and each of its launches' environment."""
    tables: dict[str, Mapping[str, object]] = {}
    for name, run in _by_name(runs).items():
        if run.config.is_file():
            tables[f"{name}: config"] = nested.flatten_dict(run.stored()["config"])
        for number, launch in enumerate(_launches(run), start=1):
            tables[f"{name}: environment, launch {number}"] = launch
    return {
        heading: Table(["", "value"], [[key, _plain(value)] for key, value in values.items()])
        for heading, values in tables.items()
    }


def _by_name(runs: Runs) -> dict[str, RunDir]:
    """Every run, by its model's name and, where there are several, its seed's."""
    return {
        name if len(of_seeds) == 1 else f"{name}, seed {run.load_config().seed}": run
        for name, of_seeds in runs.items()
        for run in of_seeds
    }


def _launches(run: RunDir) -> list[Environment]:
    launches = read_json(run.environment) if run.environment.is_file() else []
    return launches if isinstance(launches, list) else [launches]


def _listed(word: str, values: Sequence[str]) -> str:
    """As "seed 0", "seeds 0, 1", or nothing; each value once."""
    distinct = list(dict.fromkeys(values))
    return f"{word}{'s' if len(distinct) > 1 else ''} {', '.join(distinct)}" if distinct else ""


def _steps(summaries: Summaries) -> str:
    """At which training step each model was evaluated."""
    steps = {
        name: ", ".join(dict.fromkeys(f"{one['step']:,}" for one in of_seeds if one["step"]))
        for name, of_seeds in summaries.items()
    }
    models = _by_value({name: text for name, text in steps.items() if text})
    return ", ".join(
        f"{text} steps" if len(models) == 1 else f"{text} steps ({', '.join(names)})" for text, names in models.items()
    )


def _commit(described: str) -> str:
    commit = described.removesuffix(_CHANGED)
    return commit[:_COMMIT] + (" with changes" if commit != described else "")


def _days(days: Sequence[str]) -> str:
    return " to ".join(dict.fromkeys((days[0], days[-1]))) if days else ""


def _rows_by_value(text: str, values: Mapping[str, str]) -> list[list[str]]:
    """One row for each value, naming the models that share it unless all do."""
    by_value = _by_value(values)
    return [
        [text if len(by_value) == 1 else f"{text} of {', '.join(names)}", value] for value, names in by_value.items()
    ]


def _by_value(values: Mapping[str, str]) -> dict[str, list[str]]:
    """The models that share a value."""
    models: dict[str, list[str]] = {}
    for model, value in values.items():
        models.setdefault(value, []).append(model)
    return models


def _plain(value: object) -> str:
    """A value of JSON as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "none"
    return DASH if value is None else str(value)
