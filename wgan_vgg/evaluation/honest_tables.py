"""The tables a reviewer would ask for: every method with intervals and tests, and what PSNR does not show."""

from collections.abc import Mapping
from typing import Any

from wgan_vgg.evaluation.baselines import INSTALL
from wgan_vgg.evaluation.markdown import DASH, markdown_table, number
from wgan_vgg.evaluation.references import TRUTH
from wgan_vgg.evaluation.statistics import MIN_PATIENTS, TOO_FEW

Evaluation = Mapping[str, Any]  # the keys of eval/<split>.json


def honest_markdown(evaluation: Evaluation) -> str:
    """All tables of an evaluation, each with what its figures mean."""
    statistics = evaluation["statistics"]
    parts = [
        quality_table(evaluation),
        _about_quality(evaluation),
        fidelity_table(evaluation),
        _about_fidelity(evaluation),
    ]
    if evaluation["windows"]:
        parts += [windows_table(evaluation), _about_windows(evaluation)]
    if any(statistics["between_models"].values()):
        parts += [models_table(evaluation), "Between models: p of the paired Wilcoxon test, after Holm's correction."]
    return "\n\n".join(parts)


def quality_table(evaluation: Evaluation) -> str:
    """PSNR, SSIM and RMSE with intervals over patients, and p against the noisy input."""
    percent = f"{evaluation['statistics']['confidence']:.0%} CI"
    header = ["", f"PSNR dB [{percent}]", "p", f"SSIM [{percent}]", "p", f"RMSE HU [{percent}]", "p"]
    columns = (("psnr", 2), ("ssim", 4), ("rmse_hu", 1))
    return markdown_table(
        header,
        [
            [
                name,
                *(
                    cell
                    for metric, digits in columns
                    for cell in (_interval(evaluation, name, metric, digits), _p_value(evaluation, name, metric))
                ),
            ]
            for name in evaluation["methods"]
        ],
    )


def fidelity_table(evaluation: Evaluation) -> str:
    """What tells a faithful image from a smooth one, with the truth's own values, and the report's two metrics."""
    header = ["", "bias HU", "std HU", "texture", "edge rise px", "VGG distance", "report's PSNR", "report's SSIM"]
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


def models_table(evaluation: Evaluation) -> str:
    """Each pair of models: p of PSNR, SSIM and RMSE."""
    tests = evaluation["statistics"]["between_models"]
    metrics = ("psnr", "ssim", "rmse_hu")
    return markdown_table(
        ["", "p PSNR", "p SSIM", "p RMSE"],
        [[pair, *(p_text(tests[metric].get(pair)) for metric in metrics)] for pair in tests["psnr"]],
    )


def significant(value: float | None) -> str:
    """Three significant digits: distances have no natural scale."""
    return DASH if value is None else f"{value:.3g}"


def p_text(value: float | None) -> str:
    """A p-value for a table."""
    return DASH if value is None else "< .001" if value < 0.001 else f"{value:.3f}"


def _interval(evaluation: Evaluation, method: str, metric: str, digits: int) -> str:
    values = evaluation["statistics"]["means"][method][metric]
    bounds = "" if values["low"] is None else f" [{values['low']:.{digits}f}, {values['high']:.{digits}f}]"
    return number(values["mean"], digits) + bounds


def _p_value(evaluation: Evaluation, method: str, metric: str) -> str:
    statistics = evaluation["statistics"]
    if method == statistics["reference"]:
        return ""
    return statistics["no_test"] or p_text(statistics["against_reference"][metric].get(method))


def _about_quality(evaluation: Evaluation) -> str:
    statistics = evaluation["statistics"]
    patients = statistics["patients"]
    unit = (
        f"Means over patients with percentile bootstrap intervals over patients; n = {patients} patients,"
        if patients is not None
        else "Means over images; the patients are unknown, so there are no intervals and no tests;"
    )
    lines = [
        f"{unit} {evaluation['images']} images.",
        "PSNR, SSIM: data range 1, unclipped, SSIM of Wang et al. 2004.",
    ]
    if statistics["no_test"] == TOO_FEW:
        lines.append(f"Fewer than {MIN_PATIENTS} patients cannot be tested.")
    elif patients is not None:
        lines.append(
            f"p: two-sided Wilcoxon test of the patients' means, paired with the {statistics['reference']}'s, after "
            f"Holm's correction over the {len(evaluation['methods']) - 1} rows; before it, {patients} patients give at "
            f"least {2 / 2**patients:.2g}."
        )
    lines.append("A dash: not defined; a min-max rescaled input has no HU.")
    if evaluation["baselines"]:
        chosen = "; ".join(_parameters(name, choice) for name, choice in evaluation["baselines"].items())
        lines.append(f"Baselines, tuned by PSNR on images of the training split: {chosen}.")
    if evaluation["missing_baselines"]:
        lines.append(f"Left out, not installed: {', '.join(evaluation['missing_baselines'])} ({INSTALL}).")
    return " ".join(lines)


def _parameters(name: str, choice: Mapping[str, Any]) -> str:
    values = ", ".join(f"{key.replace('_', ' ')} {value:.3g}" for key, value in choice["parameters"].items())
    return f"{name} ({values})"


def _about_fidelity(evaluation: Evaluation) -> str:
    distance = evaluation["perceptual"] or "not computed, no weights"
    return (
        "Bias and standard deviation in the flattest squares of the truth's tissue. Texture: share of the noise "
        "power at other frequencies than the truth's, 0 to 1. Edge rise: 10-90 %, over the truth's steepest isolated "
        f"edges. VGG distance: mean squared difference of features, {distance}. The report's own definitions: over "
        f"batches of {evaluation['report_batch_size']}, PSNR of the batch's MSE, one global SSIM with C1 = .01 and "
        "C2 = .03."
    )


def _about_windows(evaluation: Evaluation) -> str:
    stated = ", ".join(f"{name} {level}/{width} HU" for name, (level, width) in evaluation["windows"].items())
    return f"Windows (level/width): {stated}; images are clipped to the window, whose width is the data range."
