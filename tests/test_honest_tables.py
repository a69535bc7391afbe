"""The tables of an evaluation: what stands in their cells and beneath them."""

import numpy as np
import pytest

from wgan_vgg.evaluation import honest_tables, statistics

METRICS = ("psnr", "ssim", "rmse_hu", "bias_hu", "std_hu", "perceptual", "texture_distance", "edge_rise_pixels")


def evaluation(patients=8, rescaled=False, windows=(), **changes):
    base = np.linspace(0, 1, patients)
    values = {
        name: {metric: {str(i): float(v) for i, v in enumerate(base + level)} for metric in METRICS}
        for name, level in (("noisy input", 1.0), ("tv", 2.0), ("wgan", 3.0), ("wgan-vgg", 5.0))
    }
    if rescaled:
        for metric in ("rmse_hu", "bias_hu", "std_hu"):
            values["noisy input"][metric] = dict.fromkeys(values["noisy input"][metric])
    tests = statistics.summarize(
        values, "noisy input", ["wgan", "wgan-vgg"], patients=patients, seed=0, confidence=0.95, resamples=500
    )
    means = {
        name: {metric: tests["means"][name][metric]["mean"] for metric in METRICS}
        | {"report_psnr": 20.0, "report_ssim": 0.5}
        | {f"{metric}_{window}": 0.25 for metric in ("psnr", "ssim") for window in windows}
        for name in values
    }
    return {
        "images": 30,
        "methods": means,
        "statistics": tests,
        "truth": {"std_hu": 12.0, "edge_rise_pixels": 2.5},
        "baselines": {"tv": {"parameters": {"weight": 0.1234567}, "psnr": 30.0}},
        "missing_baselines": [],
        "perceptual": "ImageNet VGG19, block3_conv4",
        "windows": {window: [-600, 1500] for window in windows},
        "report_batch_size": 2,
    } | changes


def row(table, name):
    line = next(line for line in table.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.split("|")]


def test_every_method_has_intervals_and_p_after_holm():
    table = honest_tables.quality_table(evaluation())
    assert row(table, "noisy input")[3] == "", "the reference is not tested against itself"
    cells = row(table, "wgan")
    assert cells[2].startswith("3.50 [3.")
    assert cells[3] == "0.023", "3 x 2/256"
    low, high = (float(part) for part in cells[2].split("[")[1].rstrip("]").split(","))
    assert low < 3.5 < high


def test_models_are_compared_with_each_other():
    markdown = honest_tables.honest_markdown(evaluation())
    assert row(markdown, "wgan / wgan-vgg")[2:5] == ["0.008"] * 3
    assert "n = 8 patients, 30 images" in markdown
    assert "tv (weight 0.123)" in markdown
    assert "ImageNet VGG19, block3_conv4" in markdown


def test_too_few_patients_stand_where_p_would():
    markdown = honest_tables.honest_markdown(evaluation(patients=4))
    assert row(markdown, "wgan")[3] == "too few patients"
    assert "Between models" not in markdown


def test_unknown_patients_have_no_intervals():
    known = evaluation(patients=1)
    means = known["statistics"]["means"]
    values = {name: {m: {"unknown": v["mean"]} for m, v in metrics.items()} for name, metrics in means.items()}
    settings = {"patients": None, "seed": 0, "confidence": 0.95, "resamples": 10}
    tests = statistics.summarize(values, "noisy input", ["wgan", "wgan-vgg"], **settings)
    markdown = honest_tables.honest_markdown(known | {"statistics": tests})
    assert row(markdown, "wgan")[2:4] == ["3.00", "patients unknown"]
    assert "the patients are unknown, so there are no intervals and no tests" in markdown


def test_what_is_not_defined_is_a_dash():
    markdown = honest_tables.honest_markdown(evaluation(rescaled=True, perceptual=None))
    assert row(honest_tables.quality_table(evaluation(rescaled=True)), "noisy input")[6] == "–"
    assert row(honest_tables.quality_table(evaluation(rescaled=True)), "wgan")[7] == "–", "nothing to pair with"
    assert row(honest_tables.fidelity_table(evaluation(rescaled=True)), "noisy input")[2:4] == ["–", "–"]
    assert "not computed" in markdown


def test_missing_baselines_say_what_to_install():
    markdown = honest_tables.honest_markdown(evaluation(missing_baselines=["wavelet", "bm3d"]))
    assert 'Left out, not installed: wavelet, bm3d (pip install -e ".[baselines]")' in markdown


def test_windows_are_stated():
    markdown = honest_tables.honest_markdown(evaluation(windows=("lung",)))
    assert "lung -600/1500 HU" in markdown
    assert row(honest_tables.windows_table(evaluation(windows=("lung",))), "wgan")[2:4] == ["0.25", "0.2500"]


@pytest.mark.parametrize(("value", "text"), [(0.0004, "< .001"), (0.0391, "0.039"), (None, "–")])
def test_p_text(value, text):
    assert honest_tables.p_text(value) == text
