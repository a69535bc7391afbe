"""The tables of an evaluation: what stands in their cells and beneath them."""

import numpy as np
import pytest

from wgan_vgg.evaluation import statistics
from wgan_vgg.reporting import comparison_tables, detail_tables

METRICS = ("psnr", "ssim", "rmse_hu", "bias_hu", "std_hu", "perceptual", "texture_distance")
METRICS += ("psnr_body", "ssim_body", "rmse_hu_body", "dival_psnr", "ms_ssim", "vif")

TUNED = {"tv": {"parameters": {"weight": 0.1234567}, "psnr": 30.0}}


def evaluation(patients=8, rescaled=False, windows=(), **changes):
    base = np.linspace(0, 1, patients)
    values = {
        name: {metric: {str(i): float(v) for i, v in enumerate(base + level + width * base)} for metric in METRICS}
        for name, level, width in (("noisy input", 1.0, 0), ("tv", 2.0, 0), ("wgan", 1.5, 0.1), ("wgan-vgg", 5.0, 0.2))
    }
    if patients == 8:  # PSNR of one patient is far below the noisy input's: another p
        values["wgan"]["psnr"]["0"] = 0.0
    if rescaled:
        for metric in ("rmse_hu", "bias_hu", "std_hu"):
            values["noisy input"][metric] = dict.fromkeys(values["noisy input"][metric])
    tests = statistics.summarize(
        {name: [one] for name, one in values.items()},
        "noisy input",
        TUNED,
        patients=patients,
        seed=0,
        confidence=0.95,
        resamples=500,
    )
    means = {
        name: {metric: tests["means"][name][metric]["mean"] for metric in METRICS}
        | {"report_psnr": 20.0, "report_ssim": 0.5, "noise_power_distance": 0.25}
        | {f"{metric}_{window}": 0.25 for metric in ("psnr", "ssim") for window in windows}
        for name in values
    }
    return {
        "images": 30,
        "methods": means,
        "statistics": tests,
        "truth": {"std_hu": 12.0},
        "edges": {
            "contrasts_hu": [50.0, 400.0],
            "methods": {
                name: [
                    {"mean": 3.0 + number, "low": 2.5, "high": 3.5, "edges": 48},
                    {"mean": None, "low": None, "high": None, "edges": 0},
                ]
                for number, name in enumerate(("normal dose", *values))
            },
        },
        "baselines": TUNED,
        "repeats": None,
        "detectability": [],
        "missing_baselines": [],
        "perceptual": "ImageNet VGG19, block3_conv4",
        "windows": {window: [-600, 1500] for window in windows},
        "report_batch_size": 2,
    } | changes


def row(table, name):
    line = next(line for line in table.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.split("|")]


def test_every_method_has_intervals_and_p_after_holm():
    table = comparison_tables.quality_table(evaluation())
    assert [cell.strip() for cell in table.splitlines()[0].split("|")][2:6] == [
        "PSNR dB [95% CI]",
        "p PSNR",
        "SSIM [95% CI]",
        "RMSE HU [95% CI]",
    ]
    assert row(table, "noisy input")[3] == "", "the reference is not tested against itself"
    assert row(table, "tv")[3] == "0.023", "3 x 2/256"
    cells = row(table, "wgan-vgg")
    assert cells[2].startswith("5.60 [5.")
    low, high = (float(part) for part in cells[2].split("[")[1].rstrip("]").split(","))
    assert low < 5.6 < high


def test_networks_are_compared_with_the_best_baseline():
    table = comparison_tables.quality_table(evaluation())
    assert table.splitlines()[0].count("PSNR minus tv's [95% CI]") == 1
    # wgan-vgg is 3 to 3.2 dB above tv, by patient.
    assert row(table, "wgan-vgg")[6].startswith("+3.10 [3.0")
    assert row(table, "wgan")[6].startswith("-0.64 [")
    assert row(table, "tv")[6] == row(table, "noisy input")[6] == ""


def test_columns_of_one_p_become_a_sentence():
    markdown = comparison_tables.comparison_markdown(evaluation())
    # All eight patients of one sign: 3 x 2/256 in each of the three rows; 2 x 2/256 against tv.
    assert "The same in every row: p of SSIM 0.023, of RMSE 0.023, against tv 0.016." in markdown
    assert "p SSIM" not in markdown
    assert "p against tv" not in markdown


def test_beneath_the_table_stands_what_was_tested_and_what_not():
    markdown = comparison_tables.comparison_markdown(evaluation())
    assert (
        "paired with the noisy input or with tv, after Holm's correction over the 3 rows or the 2 networks" in markdown
    )
    assert "8 patients give at least 0.0078." in markdown
    assert "Networks are not tested against each other: one training of each" in markdown
    assert "n = 8 patients, 30 images" in markdown
    assert "tv (weight 0.123)" in markdown
    assert "ImageNet VGG19, block3_conv4" in markdown


def test_too_few_patients_have_intervals_and_no_p():
    few = evaluation(patients=4)
    assert "p PSNR" not in comparison_tables.quality_table(few)
    assert row(comparison_tables.quality_table(few), "wgan-vgg")[5].startswith("+3.10 [")
    assert "Fewer than 6 patients cannot be tested." in comparison_tables.comparison_markdown(few)


def test_unknown_patients_have_no_intervals():
    known = evaluation(patients=1)
    means = known["statistics"]["means"]
    values = {name: [{m: {"unknown": v["mean"]} for m, v in metrics.items()}] for name, metrics in means.items()}
    settings = {"patients": None, "seed": 0, "confidence": 0.95, "resamples": 10}
    tests = statistics.summarize(values, "noisy input", TUNED, **settings)
    markdown = comparison_tables.comparison_markdown(known | {"statistics": tests})
    assert row(markdown, "wgan")[2:4] == ["1.50", "1.5000"]
    assert "the patients are unknown, so there are no intervals and no tests" in markdown


def test_what_is_not_defined_is_a_dash():
    markdown = comparison_tables.comparison_markdown(evaluation(rescaled=True, perceptual=None))
    assert row(comparison_tables.quality_table(evaluation(rescaled=True)), "noisy input")[5] == "–", "RMSE"
    assert "p of SSIM 0.023, against tv 0.016." in markdown, "of RMSE there is nothing to pair with"
    assert row(detail_tables.fidelity_table(evaluation(rescaled=True)), "noisy input")[2:4] == ["–", "–"]
    assert "not computed" in markdown


def test_noise_power_distance_has_three_digits_or_a_dash():
    found = evaluation()
    found["methods"]["tv"]["noise_power_distance"] = 1.40123
    found["methods"]["wgan"]["noise_power_distance"] = None
    table = detail_tables.fidelity_table(found)
    assert [row(table, name)[5] for name in ("normal dose", "tv", "wgan", "wgan-vgg")] == ["0", "1.4", "–", "0.25"]


def test_missing_baselines_say_what_to_install():
    markdown = comparison_tables.comparison_markdown(evaluation(missing_baselines=["wavelet", "bm3d"]))
    assert 'Left out, not installed: wavelet, bm3d (pip install -e ".[baselines]")' in markdown


def test_windows_are_stated():
    markdown = comparison_tables.comparison_markdown(evaluation(windows=("lung",)))
    assert "lung -600/1500 HU" in markdown
    assert row(detail_tables.windows_table(evaluation(windows=("lung",))), "wgan")[2:4] == ["0.25", "0.2500"]


def test_further_metrics_stand_in_their_columns():
    found = evaluation()
    for number, metric in enumerate(("psnr_body", "ssim_body", "rmse_hu_body", "dival_psnr", "ms_ssim", "vif")):
        found["methods"]["wgan"][metric] = number + 0.25
    found["methods"]["tv"]["ms_ssim"] = None
    table = detail_tables.further_table(found)
    assert row(table, "wgan")[2:-1] == ["0.25", "1.2500", "2.2", "3.25", "4.2500", "5.2500"]
    assert row(table, "tv")[6] == "–", "images below 161x161"
    markdown = comparison_tables.comparison_markdown(found)
    assert table in markdown
    for text in ("Body: without the air", "dival's PSNR: the data range is the truth's own", "MS-SSIM: ", "VIF: "):
        assert text in markdown


def test_edge_rise_stands_by_contrast_with_the_truths_own():
    table = detail_tables.edges_table(evaluation())
    assert [cell.strip() for cell in table.splitlines()[0].split("|")][2:-1] == ["50 to 400 HU", "above 400 HU"]
    assert row(table, "normal dose")[2:-1] == ["3.00 [2.50, 3.50]", "–"]
    assert row(table, "wgan")[2] == "6.00 [2.50, 3.50]"
    assert "(48, 0 of them)" in comparison_tables.comparison_markdown(evaluation())


@pytest.mark.parametrize(("value", "text"), [(0.0004, "< .001"), (0.0391, "0.039"), (None, "–")])
def test_p_text(value, text):
    assert comparison_tables.p_text(value) == text


def test_models_against_each_other_are_the_row_minus_the_column():
    """Fails where it is the column minus the row: between[a][b] is what b is above a."""
    b_above_a, a_above_b = ({"mean": mean, "low": mean - 0.5, "high": mean + 0.5} for mean in (1.0, -1.0))
    between = {"a": {"b": b_above_a}, "b": {"a": a_above_b}}
    table = comparison_tables.networks_table({"statistics": {"between_networks": between}})
    assert row(table, "row minus column")[2:-1] == ["a", "b"]
    assert row(table, "a")[2:-1] == ["", "-1.00 [-1.50, -0.50]"]
    assert row(table, "b")[2:-1] == ["+1.00 [0.50, 1.50]", ""]


def test_bias_has_its_sign():
    """Fails where it is the truth minus the image."""
    found = evaluation()
    found["methods"]["wgan"]["bias_hu"], found["methods"]["tv"]["bias_hu"] = -3.0, 2.0
    table = detail_tables.fidelity_table(found)
    assert [row(table, name)[2] for name in ("wgan", "tv")] == ["-3.0", "+2.0"]
