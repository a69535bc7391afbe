"""report.html: one file with the tables, the figures, slices to look at and every image's metrics."""

import html
import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from wgan_vgg.config import nested
from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.evaluation.samples import load_samples
from wgan_vgg.files import read_json
from wgan_vgg.reporting import tables
from wgan_vgg.reporting.figures import TITLES
from wgan_vgg.reporting.markdown import DASH
from wgan_vgg.reporting.page_data import page_json
from wgan_vgg.reporting.page_html import from_markdown, inline_svg, svg_width, swatch, table
from wgan_vgg.reporting.results import Runs, image_rows
from wgan_vgg.reporting.style import method_style
from wgan_vgg.run_dir import RunDir

Results = Mapping[str, Any]

_HALF = 540  # points: a wider figure takes the page's whole width
_ASSETS = importlib.resources.files("wgan_vgg.reporting") / "page"


def render(runs: Runs, results: Results, figures: Path, captions: Mapping[str, str], split: str) -> str:
    """The page, which needs no other file and no network.

    Args:
      runs: evaluated runs by model and seed; images are the first seed's.
      results: what they say together, see results.collect.
      figures: folder of the figures that write_figures wrote.
      captions: theirs, by file name.
      split: the evaluated split.
    """
    evaluation = results["evaluation"]
    colours = {name: method_style(name, evaluation["baselines"])["color"] for name in evaluation["methods"]}
    samples = {model: load_samples(of_seeds[0], split) for model, of_seeds in runs.items()}
    by_name = _by_name(runs)
    bodies = {heading: from_markdown(body, heading, colours) for heading, body in tables.sections(results).items()}
    honest = bodies.pop(tables.HONEST)
    return Template(_asset("template.html")).substitute(
        title=html.escape(tables.title(results)),
        style=_asset("style.css"),
        script="\n".join(_asset(name) for name in ("viewer.js", "images.js")),
        data=page_json(samples, results, image_rows(runs, split)),
        caption=html.escape(results["caption"]),
        warnings="".join(f'<p class="warning">{html.escape(text)}</p>' for text in results["warnings"]),
        headline=_headline(results, colours),
        honest=honest,
        figures="".join(_figure(figures / f"{name}.svg", captions[name]) for name in captions),
        tables="".join(f"<h3>{html.escape(heading)}</h3>{body}" for heading, body in bodies.items()),
        provenance=_provenance(by_name, results),
        settings="".join(_settings(name, run) for name, run in by_name.items()),
    )


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _headline(results: Results, colours: Mapping[str, str]) -> str:
    """The verdict, the best of each kind beside the noisy input, and who does not even reach that."""
    psnr = {name: means["psnr"] for name, means in results["evaluation"]["methods"].items()}
    kinds = {
        "Noisy input": NOISY,
        "Best baseline": results["sample_baseline"],  # best in tuning: the one that figures and table compare with
        "Best model": max(results["models"], key=lambda name: psnr[name]),
    }
    tiles = []
    for kind, best in kinds.items():
        if best is None:
            continue
        gain = "" if best == NOISY else f"<span>{psnr[best] - psnr[NOISY]:+.2f} dB above noisy</span>"
        tiles.append(
            f"<div><dt>{kind}</dt><dd><b>{psnr[best]:.2f} dB</b>"
            f"<span>{swatch(best, colours)}{html.escape(best)}</span>{gain}</dd></div>"
        )
    models = results["models"]
    below = [name for name in models if psnr[name] < psnr[NOISY]]
    collapsed = [name for name, model in models.items() if model["collapsed"]]
    texts = [
        f"{text}: {', '.join(names)}."
        for text, names in (("Below the noisy input in PSNR", below), ("Collapsed, the output is black", collapsed))
        if names
    ]
    kind = "warning" if texts else "note"
    text = " ".join(texts) or "Every model is above the noisy input in PSNR."
    told = f'<p class="verdict">{html.escape(results["verdict"])}</p>'
    return f'{told}<dl class="tiles">{"".join(tiles)}</dl><p class="{kind}">{html.escape(text)}</p>'


def _figure(path: Path, caption: str) -> str:
    title, (text, _, data) = TITLES[path.stem], caption.partition("\n")
    text = text[:1].upper() + text[1:]
    wide = ' class="wide"' if svg_width(path) > _HALF else ""
    about = f"{html.escape(text)}<br><small>{html.escape(data)}</small>" if data else html.escape(text)
    return (
        f'<figure id="{path.stem}"{wide}><h3>{html.escape(title)}</h3>'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{html.escape(title)}">'
        f"{inline_svg(path, f'{title}. {text}')}</div><figcaption>{about}</figcaption></figure>"
    )


def _by_name(runs: Runs) -> dict[str, RunDir]:
    """Every run, by its model's name and, where there are several, its seed's."""
    return {
        name if len(of_seeds) == 1 else f"{name}, seed {run.load_config().seed}": run
        for name, of_seeds in runs.items()
        for run in of_seeds
    }


def _provenance(runs: Mapping[str, RunDir], results: Results) -> str:
    """What the data and the VGG weights were."""
    data, stored = results["data"], {name: run.stored() for name, run in runs.items() if run.config.is_file()}
    rows = [
        ["data", results["caption"]],
        *(
            [f"{split} images", f"{count} (patients: {data['patients'][split]})"]
            for split, count in data["images"].items()
        ),
        ["patients in both", _plain(data["patients_in_both"] or "none")],
        ["image size", "x".join(map(str, data["image_shape"]))],
        ["HU", f"{data['hu_slope']:g} * value {data['hu_intercept']:+g}"],
        ["pixel spacing in mm", _plain(data["pixel_spacing_mm"])],
        ["VGG weights of the perceptual distance", results["evaluation"]["perceptual"] or "none: not computed"],
        *_by_value("VGG weights in training", {name: run["vgg_weights"] or "not used" for name, run in stored.items()}),
        *_by_value(
            "fingerprint of the training's records", {n: run["data"]["fingerprint"] for n, run in stored.items()}
        ),
    ]
    return table(["", "value"], rows, "Data and weights", {})


def _by_value(text: str, values: Mapping[str, str]) -> list[list[str]]:
    """A row a value, naming the models that share it unless all do."""
    models: dict[str, list[str]] = {}
    for model, value in values.items():
        models.setdefault(value, []).append(model)
    return [[text if len(models) == 1 else f"{text} of {', '.join(names)}", value] for value, names in models.items()]


def _settings(name: str, run: Any) -> str:
    """A run's config, and each launch's environment."""
    parts = []
    if run.config.is_file():
        values = nested.flatten_dict(run.stored()["config"])
        parts.append(("config", values))
    if run.environment.is_file():
        launches = read_json(run.environment)
        launches = launches if isinstance(launches, list) else [launches]
        parts += [(f"environment, launch {number}", launch) for number, launch in enumerate(launches, start=1)]
    return "".join(
        f"<details><summary>{html.escape(name)}: {heading}</summary>"
        + table(["", "value"], [[key, _plain(value)] for key, value in values.items()], f"{name}: {heading}", {})
        + "</details>"
        for heading, values in parts
    )


def _plain(value: object) -> str:
    """A value of JSON as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "none"
    return DASH if value is None else str(value)
