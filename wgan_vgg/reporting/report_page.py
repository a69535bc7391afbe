"""report.html: one file with the tables, the figures, slices to look at and every image's metrics."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import jinja2

from wgan_vgg.evaluation.json_types import Score
from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.evaluation.samples import load_samples
from wgan_vgg.reporting import tables
from wgan_vgg.reporting.figures import REPORT_FIGURES
from wgan_vgg.reporting.json_types import Results, Runs
from wgan_vgg.reporting.markdown import blocks
from wgan_vgg.reporting.page_data import colours, page_data
from wgan_vgg.reporting.page_figures import page_figure
from wgan_vgg.reporting.provenance import data_table, settings_tables
from wgan_vgg.reporting.results import image_rows

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("wgan_vgg.reporting", "page"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
_SUMMARY = 2  # of the table of all methods: PSNR, SSIM and RMSE with what they are; the others stand further down


def render(runs: Runs, results: Results, figures: Path, captions: Mapping[str, str], split: str) -> str:
    """The page, which needs no other file and no network.

    Args:
      runs: evaluated runs by model and seed; images are the first seed's.
      results: what they say together, see results.collect.
      figures: folder of the figures that write_figures wrote.
      captions: theirs, by file name.
      split: the evaluated split.
    """
    samples = {model: load_samples(of_seeds[0], split) for model, of_seeds in runs.items()}
    sections = {heading: blocks(body) for heading, body in tables.sections(results).items()}
    comparison = sections.pop(tables.COMPARISON)
    drawn = [page_figure(figures / f"{name}.svg", caption) for name, caption in captions.items()]
    return TEMPLATES.get_template("page.html").render(
        title=tables.title(results),
        results=results,
        headline=headline(results),
        summary=comparison[:_SUMMARY],
        figures={
            "As in the report": [figure for figure in drawn if figure.name in REPORT_FIGURES],
            "Beyond the report": [figure for figure in drawn if figure.name not in REPORT_FIGURES],
        },
        sections={"All methods, further measures": comparison[_SUMMARY:], **sections},
        colours=colours(results),
        data_table=data_table(runs, results),
        settings=settings_tables(runs),
        data=page_data(samples, results, image_rows(runs, split)),
    )


class Tile(TypedDict):
    """One method; its gain in dB over the noisy input."""

    kind: str
    name: str
    psnr: float
    ssim: Score
    gain: float | None


class Headline(TypedDict):
    """What stands at the page's head; `problems` in words."""

    tiles: list[Tile]
    problems: list[str]


def headline(results: Results) -> Headline:
    """The best of each kind beside the noisy input, and who does not even reach that.

    In PSNR and SSIM; `problems` are none where every model is above the noisy input.
    """
    means = results["evaluation"]["statistics"]["means"]  # the table's
    known = {name: of_method["psnr"]["mean"] for name, of_method in means.items()}
    psnr = {name: mean for name, mean in known.items() if mean is not None}
    networks = [name for name in psnr if name not in (NOISY, *results["evaluation"]["baselines"])]
    kinds = {
        "Noisy input": NOISY,
        "Best baseline": results["sample_baseline"],  # best in tuning: the one that figures and table compare with
        "Best model": max(networks, key=lambda name: psnr[name]),
    }
    tiles: list[Tile] = [
        {
            "kind": kind,
            "name": name,
            "psnr": psnr[name],
            "ssim": means[name]["ssim"]["mean"],
            "gain": None if name == NOISY else psnr[name] - psnr[NOISY],
        }
        for kind, name in kinds.items()
        if name is not None
    ]
    below = [name for name in networks if psnr[name] < psnr[NOISY]]
    collapsed = [name for name, model in results["models"].items() if model["collapsed"]]
    found = {"Below the noisy input in PSNR": below, "Collapsed, the output is black": collapsed}
    return {"tiles": tiles, "problems": [f"{text}: {', '.join(names)}." for text, names in found.items() if names]}
