"""The table a reviewer would ask for: every method with intervals and tests; below it what PSNR does not show."""

from collections.abc import Sequence

from wgan_vgg.evaluation.baselines import INSTALL
from wgan_vgg.evaluation.bootstrap import MIN_RESAMPLED
from wgan_vgg.evaluation.json_types import Evaluation, Tuned
from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.evaluation.statistics import MIN_PATIENTS, TOO_FEW
from wgan_vgg.reporting.detail_tables import detail_markdown
from wgan_vgg.reporting.lesion_tables import lesion_markdown
from wgan_vgg.reporting.markdown import DASH, markdown_table, with_interval

_QUALITY = (("PSNR dB", "psnr", 2), ("SSIM", "ssim", 4), ("RMSE HU", "rmse_hu", 1))  # heading, metric, digits


def comparison_markdown(evaluation: Evaluation) -> str:
    """All tables of an evaluation, each with what its figures mean."""
    parts = [quality_table(evaluation), _about_quality(evaluation)]
    if evaluation["statistics"]["between_networks"]:
        parts += [networks_table(evaluation), _about_networks(evaluation)]
    return "\n\n".join([*parts, detail_markdown(evaluation), lesion_markdown(evaluation)])


def quality_table(evaluation: Evaluation) -> str:
    """PSNR, SSIM and RMSE with intervals over patients and p against the noisy input; networks less the best baseline.

    A column of p that is the same in every row is left out; _about_quality says it.
    """
    columns = {}
    for label, metric, digits in _QUALITY:
        columns[f"{label} [{_percent(evaluation)}]"] = [
            with_interval(evaluation["statistics"]["means"][name][metric], digits) for name in evaluation["methods"]
        ]
        columns[f"p {label.split()[0]}"] = _p_against_reference(evaluation, metric)
    best = evaluation["statistics"]["best_baseline"]
    compared = evaluation["statistics"]["against_baselines"].get(best, {}) if best else {}
    if compared:
        columns[f"PSNR minus {best}'s [{_percent(evaluation)}]"] = [
            with_interval(compared[name], 2, "+") if name in compared else "" for name in evaluation["methods"]
        ]
        columns[f"p against {best}"] = _p_against_best(evaluation)
    shown = {name: cells for name, cells in columns.items() if not (name.startswith("p ") and _same(cells))}
    return markdown_table(["", *shown], [list(row) for row in zip(evaluation["methods"], *shown.values(), strict=True)])


def networks_table(evaluation: Evaluation) -> str:
    """The models against each other: PSNR of the row less that of the column."""
    between = evaluation["statistics"]["between_networks"]
    rows = [
        [name, *("" if name == other else with_interval(between[other][name], 2, "+") for other in between)]
        for name in between
    ]
    return markdown_table(["row minus column", *between], rows)


def p_text(value: float | None) -> str:
    """A p-value for a table."""
    return DASH if value is None else "< .001" if value < 0.001 else f"{value:.3f}"


def _percent(evaluation: Evaluation) -> str:
    return f"{evaluation['statistics']['confidence']:.0%} CI"


def _p_against_reference(evaluation: Evaluation, metric: str) -> list[str]:
    """A cell for each method; empty ones where nothing is tested."""
    statistics = evaluation["statistics"]
    tested = statistics["against_reference"].get(metric)
    return [
        "" if name == statistics["reference"] or tested is None else p_text(tested.get(name))
        for name in evaluation["methods"]
    ]


def _p_against_best(evaluation: Evaluation) -> list[str]:
    """A cell for each method; empty ones for what is no network, and where nothing is tested."""
    statistics = evaluation["statistics"]
    best = statistics["best_baseline"]
    networks = statistics["against_baselines"].get(best, {}) if best else {}
    return [
        p_text(statistics["against_best"].get(name)) if name in networks and not statistics["no_test"] else ""
        for name in evaluation["methods"]
    ]


def _same(cells: Sequence[str]) -> bool:
    """Whether a column says one thing only, or nothing."""
    return len(set(cells) - {""}) <= 1


def _about_quality(evaluation: Evaluation) -> str:
    patients = evaluation["statistics"]["patients"]
    over = "patients" if (seeds := evaluation["statistics"]["seeds"]) == 1 else f"patients and {seeds} seeds"
    kind = "Student's t" if patients is not None and patients < MIN_RESAMPLED else "bootstrap-t"
    unit = (
        f"Means over {over} with {kind} intervals over them; n = {patients} patients,"
        if patients is not None
        else "Means over images; the patients are unknown, so there are no intervals and no tests;"
    )
    lines = [
        f"{unit} {evaluation['images']} images.",
        "PSNR, SSIM: data range 1, unclipped, SSIM of Wang et al. 2004.",
        *_about_tests(evaluation),
        "A dash: not defined; a min-max rescaled input has no HU.",
    ]
    if evaluation["baselines"]:
        chosen = "; ".join(_parameters(name, choice) for name, choice in evaluation["baselines"].items())
        (split,) = {choice.get("split", "train") for choice in evaluation["baselines"].values()}
        lines.append(f"Baselines, tuned by PSNR on images of the {split} split: {chosen}.")
    if evaluation["missing_baselines"]:
        lines.append(f"Left out, not installed: {', '.join(evaluation['missing_baselines'])} ({INSTALL}).")
    return " ".join(lines)


def _about_networks(evaluation: Evaluation) -> str:
    statistics = evaluation["statistics"]
    return (
        f"Models against each other: difference of PSNR in dB over {statistics['seeds']} seeds and "
        f"{statistics['patients']} patients with {statistics['confidence']:.0%} intervals of a hierarchical "
        "bootstrap (of 2 seeds Satterthwaite's t); "
        "where one excludes 0, another training is expected to show the same order."
    )


def _about_tests(evaluation: Evaluation) -> list[str]:
    """What p is, those that are the same in every row, and why networks are not tested against each other."""
    statistics = evaluation["statistics"]
    networks = [name for name in evaluation["methods"] if name not in (NOISY, *evaluation["baselines"])]
    lines = []
    if statistics["no_test"] == TOO_FEW:
        lines.append(f"Fewer than {MIN_PATIENTS} patients cannot be tested.")
    elif (patients := statistics["patients"]) is not None:
        best = statistics["best_baseline"]
        families = f"the {len(evaluation['methods']) - 1} rows"
        against = f"the {statistics['reference']}"
        if statistics["against_best"]:
            families, against = f"{families} or the {len(networks)} networks", f"{against} or with {best}"
        lines.append(
            f"p: two-sided Wilcoxon test of the patients' means, paired with {against}, after Holm's correction over "
            f"{families}; before it, {patients} patients give at least {2 / 2**patients:.2g}."
        )
        tests = {f"of {label.split()[0]}": _p_against_reference(evaluation, metric) for label, metric, _ in _QUALITY}
        tests |= {f"against {best}": _p_against_best(evaluation)} if statistics["against_best"] else {}
        same = [f"{name} {''.join(set(cells) - {''})}" for name, cells in tests.items() if _same(cells)]
        same = [text for text in same if not text.endswith(DASH)]
        lines += [f"The same in every row: p {', '.join(same)}."] if same else []
    if len(networks) > 1 and statistics["seeds"] == 1:
        lines.append(
            "Networks are not tested against each other: one training of each says nothing of how another would end."
        )
    return lines


def _parameters(name: str, choice: Tuned) -> str:
    values = ", ".join(f"{key.replace('_', ' ')} {value:.3g}" for key, value in choice["parameters"].items())
    return f"{name} ({values})"
