"""The tables a reviewer would ask for: every method with intervals and tests, and what PSNR does not show."""

from collections.abc import Mapping, Sequence
from typing import Any

from wgan_vgg.evaluation.baselines import INSTALL
from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.evaluation.noise_texture import SMALLEST_SIDE
from wgan_vgg.evaluation.references import TRUTH
from wgan_vgg.evaluation.statistics import MIN_PATIENTS, TOO_FEW
from wgan_vgg.reporting.lesion_tables import lesion_markdown
from wgan_vgg.reporting.markdown import BATCH_PSNR, DASH, GLOBAL_SSIM, markdown_table, number, with_interval

Evaluation = Mapping[str, Any]  # the keys of eval/<split>.json
_QUALITY = (("PSNR dB", "psnr", 2), ("SSIM", "ssim", 4), ("RMSE HU", "rmse_hu", 1))  # heading, metric, digits


def honest_markdown(evaluation: Evaluation) -> str:
    """All tables of an evaluation, each with what its figures mean."""
    parts = [
        quality_table(evaluation),
        _about_quality(evaluation),
        fidelity_table(evaluation),
        _about_fidelity(evaluation),
    ]
    if evaluation["statistics"]["between_networks"]:
        parts += [networks_table(evaluation), _about_networks(evaluation)]
    if evaluation["windows"]:
        parts += [windows_table(evaluation), _about_windows(evaluation)]
    return "\n\n".join([*parts, lesion_markdown(evaluation)])


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
    compared = evaluation["statistics"]["against_baselines"].get(best, {})
    if compared:
        columns[f"PSNR minus {best}'s [{_percent(evaluation)}]"] = [
            with_interval(compared[name], 2, "+") if name in compared else "" for name in evaluation["methods"]
        ]
        columns[f"p against {best}"] = _p_against_best(evaluation)
    shown = {name: cells for name, cells in columns.items() if not (name.startswith("p ") and _same(cells))}
    return markdown_table(["", *shown], [list(row) for row in zip(evaluation["methods"], *shown.values(), strict=True)])


def fidelity_table(evaluation: Evaluation) -> str:
    """What tells a faithful image from a smooth one, with the truth's own values, and the report's two metrics."""
    header = ["", "bias HU", "std HU", "texture", "edge rise px", "VGG distance", BATCH_PSNR, GLOBAL_SSIM]
    truth = evaluation["truth"]
    rows = [[TRUTH, "0", number(truth["std_hu"], 1), "0", number(truth["edge_rise_pixels"], 2), "0", DASH, "1"]]
    for name, means in evaluation["methods"].items():
        bias = DASH if means["bias_hu"] is None else f"{means['bias_hu']:+.1f}"
        rows.append(
            [name, bias, number(means["std_hu"], 1), number(means["texture_distance"], 3)]
            + [number(means["edge_rise_pixels"], 2), significant(means["perceptual"])]
            + [number(means["report_psnr"], 3), number(means["report_ssim"], 4)]
        )
    return markdown_table(header, rows)


def networks_table(evaluation: Evaluation) -> str:
    """The models against each other: PSNR of the row less that of the column."""
    between = evaluation["statistics"]["between_networks"]
    rows = [
        [name, *("" if name == other else with_interval(between[other][name], 2, "+") for other in between)]
        for name in between
    ]
    return markdown_table(["row minus column", *between], rows)


def windows_table(evaluation: Evaluation) -> str:
    """PSNR and SSIM within each HU window."""
    windows = evaluation["windows"]
    header = ["", *(f"{name} {metric}" for name in windows for metric in ("PSNR", "SSIM"))]
    return markdown_table(
        header,
        [
            [method]
            + [
                number(means[f"{metric}_{name}"], digits)
                for name in windows
                for metric, digits in (("psnr", 2), ("ssim", 4))
            ]
            for method, means in evaluation["methods"].items()
        ],
    )


def significant(value: float | None) -> str:
    """Three significant digits: distances have no natural scale."""
    return DASH if value is None else f"{value:.3g}"


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
    networks = statistics["against_baselines"].get(statistics["best_baseline"], {})
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
    unit = (
        f"Means over {over} with bootstrap-t intervals over them; n = {patients} patients,"
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
        f"{statistics['patients']} patients with a hierarchical bootstrap's {statistics['confidence']:.0%} intervals; "
        "where one excludes 0, another training is expected to show the same order."
    )


def _about_tests(evaluation: Evaluation) -> list[str]:
    """What p is, those that are the same in every row, and why networks are not tested against each other."""
    statistics = evaluation["statistics"]
    networks = [name for name in evaluation["methods"] if name not in (NOISY, *evaluation["baselines"])]
    lines = []
    if statistics["no_test"] == TOO_FEW:
        lines.append(f"Fewer than {MIN_PATIENTS} patients cannot be tested.")
    elif not statistics["no_test"]:
        best, patients = statistics["best_baseline"], statistics["patients"]
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


def _parameters(name: str, choice: Mapping[str, Any]) -> str:
    values = ", ".join(f"{key.replace('_', ' ')} {value:.3g}" for key, value in choice["parameters"].items())
    return f"{name} ({values})"


def _about_fidelity(evaluation: Evaluation) -> str:
    distance = evaluation["perceptual"] or "not computed, no weights"
    noise = "from differences of two scans" if evaluation["repeats"] else "anatomy in the squares included"
    return (
        "Bias and standard deviation in squares of tissue without a step, less a quadratic surface. Texture: share of "
        f"the noise power at other frequencies than the normal dose's, 0 to 1, {noise}; a dash where the squares are "
        f"below {SMALLEST_SIDE} pixels. Edge rise: 10-90 %, over the truth's steepest isolated "
        f"edges. VGG distance: mean squared difference of features, {distance}. The report's own definitions, over "
        f"batches of {evaluation['report_batch_size']}: {BATCH_PSNR}, of the batch's MSE; {GLOBAL_SSIM}, one window "
        "over the batch, C1 = .01 and C2 = .03."
    )


def _about_windows(evaluation: Evaluation) -> str:
    stated = ", ".join(f"{name} {level}/{width} HU" for name, (level, width) in evaluation["windows"].items())
    return f"Windows (level/width): {stated}; images are clipped to the window, whose width is the data range."
