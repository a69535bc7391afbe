"""Tables, figures and the page of a run directory or a reproduction, from the run directories alone."""

from pathlib import Path

from wgan_vgg.files import write_text
from wgan_vgg.reporting import report_page, tables
from wgan_vgg.reporting.figures import write_figures
from wgan_vgg.reporting.json_types import Results, Runs
from wgan_vgg.reporting.results import collect, find_runs
from wgan_vgg.run_dir import ReportDir


def report(workdir: Path, split: str = "test") -> Results:
    """Writes results.md, figures/ and report.html of what is in `workdir` already.

    Returns:
      The content of results.json.

    Raises:
      InputError: no run there, or one that is not evaluated.
    """
    runs = find_runs(workdir, split)
    results = collect(runs, split)
    write_report(ReportDir(workdir), runs, results, split)
    return results


def write_report(place: ReportDir, runs: Runs, results: Results, split: str) -> None:
    """Writes results.md, figures/ and report.html of runs whose `results` are collected."""
    place.create()
    captions = write_figures(runs, results, place.figures, split)
    write_text(place.results_md, tables.results_markdown(results))
    write_text(place.report_html, report_page.render(runs, results, place.figures, captions, split))
