"""relatives.md from relatives.json: what each row cost, and all rows evaluated together."""

from wgan_vgg.reporting.comparison_tables import comparison_markdown
from wgan_vgg.reporting.json_types import Relatives, RelativesRow
from wgan_vgg.reporting.markdown import DASH, duration, markdown_table


def relatives_markdown(results: Relatives) -> str:
    """The whole page."""
    data = results["caption"] + (f"; {results['vgg_weights']}" if results["vgg_weights"] else "")
    seeds = ", ".join(map(str, results["seeds"]))
    about = (
        f"{data}. Each row trained for {duration(results['row_seconds'])}, which is as many steps as fit into that, by "
        f"the time of a step on this machine; convolutions in {results['precision']}; seeds: {seeds}."
    )
    costs = (
        "Parameters are the generator's. A step is the whole training step, a slice one of the records', denoised "
        "alone. Of rows that begin with random weights the checkpoint (step) was chosen on validation; of the others "
        "it is the last."
    )
    parts = ["# The relatives, for the same time", about, costs_table(results), costs]
    return "\n\n".join([*parts, comparison_markdown(results["evaluation"])]) + "\n"


def costs_table(results: Relatives) -> str:
    """One line for each row: what it is, and what it cost."""
    header = ["", "loss", "begins with", "parameters", "s per step", "steps", "step", "s per slice", ""]
    return markdown_table(header, [_cells(row) for row in results["rows"]])


def _cells(row: RelativesRow) -> list[str]:
    chosen = ", ".join(DASH if step is None else f"{step:,}" for step in row["chosen_steps"])
    return [
        *(row["name"], row["model"], row["begins_with"] or "random weights", f"{row['parameters']:,}"),
        *(f"{row['seconds_a_step']:.3g}", f"{row['steps']:,}", chosen, f"{row['seconds_a_slice']:.2g}"),
        f"**{row['ending']}**" if row["ending"] else "",
    ]
