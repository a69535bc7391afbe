"""What report.html and its figures show: order, provenance, names, colours, windows, labels."""

import itertools
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from skimage import color
from test_report import page_json

from wgan_vgg.config import MODELS, ModelSpec
from wgan_vgg.config.baselines import BASELINES
from wgan_vgg.evaluation.metrics import NOISY, TRUTH
from wgan_vgg.evaluation.samples import load_samples
from wgan_vgg.files import write_json
from wgan_vgg.reporting import image_figures, markdown, style, tables, training_figures
from wgan_vgg.reporting.page_figures import page_figure
from wgan_vgg.reporting.provenance import provenance_line
from wgan_vgg.run_dir import RunDir

# Machado, Oliveira and Fernandes 2009, severity 1: linear RGB as red-, green- and blue-blind eyes have it.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def test_figures_stand_in_the_reports_order_then_ours_and_the_shipped_models_last(reproduction):
    page = (reproduction / "report.html").read_text()
    drawn = re.findall(r'<figure id="(\w+)"', page)
    report = ["figure1", "figure2", "figure3", "figure4", "figure5", "detail", "figure6"]
    ours = ["differences", "noise_power", "psnr_by_patient", "distributions", "pretrained"]
    assert drawn[:7] == report
    assert drawn[7:] == [name for name in ours if name in drawn]
    assert page.index("As in the report") < page.index('id="figure1"') < page.index('id="figure6"')
    assert page.index('id="figure6"') < page.index("Beyond the report") < page.index('id="differences"')


def test_one_line_says_where_the_results_are_from(reproduction):
    page = (reproduction / "report.html").read_text()
    results = json.loads((reproduction / "results.json").read_text())
    launch = json.loads(RunDir(reproduction / "wgan-mse").environment.read_text())[0]
    (line,) = re.findall(r'<p class="provenance">(.*?)</p>', page)
    assert line == results["provenance"]
    parts = [
        "LoDoPaB-CT layout, 32x32",
        "gaussian noise of std 0.1",
        "12 test images of 4 patients",
        "seed 0",
        "12 steps",
    ]
    parts += [launch["date"][:10], *([f"commit {launch['git'][:10]}"] if launch["git"] else [])]
    for part in parts:
        assert part in line
    shown = page[page.index("<body>") : page.index('id="data"')]
    assert shown.count("gaussian noise of std") == 1, "no figure says it again"
    assert line in (reproduction / "results.md").read_text()


@pytest.mark.parametrize("date", ["2026-01-02T03:04:05+00:00", None])
def test_provenance_names_seeds_steps_and_commits_that_differ(tmp_path, date):
    runs, summaries = {}, {}
    for model, seed, step in (("wgan", 0, 64), ("wgan", 1, 64), ("generator-mse", 0, 1200), ("generator-mse", 1, 1200)):
        run = RunDir(tmp_path / f"{model}-{seed}")
        write_json(run.config, {"config": {"preset": "demo", "seed": seed}, "data": {}})
        launch = {"git": f"{'ab'[seed]}" * 40 + "-dirty" * seed} | ({"date": date} if date else {})
        write_json(run.environment, [launch])
        runs.setdefault(model, []).append(run)
        summaries.setdefault(model, []).append({"step": step, "images": 24, "patients": "unknown", "split": "test"})
    line = provenance_line(runs, summaries, "data; weights")
    assert line.startswith("data · weights · 24 test images of unknown patients · seeds 0, 1 · ")
    assert "64 steps (wgan), 1,200 steps (generator-mse) · commits aaaaaaaaaa, bbbbbbbbbb with changes" in line
    assert line.endswith(" · 2026-01-02" if date else "with changes"), "older runs have no date"
    theirs = {"theirs": [RunDir(tmp_path)]}
    found = provenance_line(theirs, {"theirs": [summaries["wgan"][0] | {"step": None}]}, "data")
    assert found == "data · 24 test images of unknown patients"


def test_every_method_has_a_colour_and_a_marker_that_colour_blind_eyes_tell_apart():
    styles = {name: style.method_style(name, BASELINES) for name in (NOISY, *MODELS, *BASELINES, "theirs")}
    assert len({found["marker"] for found in styles.values()}) == len(styles)
    linear = np.array([plt.matplotlib.colors.to_rgb(found["color"]) for found in styles.values()])
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    for name, matrix in BLINDNESS.items():
        seen = np.clip(linear @ np.transpose(matrix), 0, 1)
        seen = color.rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055))
        for (first, a), (second, b) in itertools.combinations(zip(styles, seen, strict=True), 2):
            # Okabe and Ito's own have 8 at least.
            assert color.deltaE_ciede2000(a, b) > (9 if {first, second} & set(BASELINES) else 8), (name, first, second)
    lines = {name: found["linestyle"] for name, found in styles.items()}
    assert {lines[name] for name in BASELINES}.isdisjoint({lines[name] for name in MODELS})


def test_versions_of_a_model_have_its_colour_and_markers_of_their_own():
    names = ["generator-mse", "generator-mse-lodopab", "generator-mse-doses", "wgan-mse-lodopab", "wgan-mse"]
    found = [style.method_style(name, ()) for name in names]
    assert found[0]["color"] == found[1]["color"] == found[2]["color"] != found[3]["color"] == found[4]["color"]
    assert len({one["marker"] for one in found[:3]}) == 3


def test_table_1_is_the_reports_but_for_its_misprint_and_every_model_has_a_formula():
    found = {name: tables.loss_formula(spec) for name, spec in MODELS.items()}
    for name, published in tables.PUBLISHED_LOSSES.items():
        assert found[name] == published.replace("max_G", "max_D")
    assert found["wgan"] == "min_G max_D L_WGAN(G, D)"
    assert found["unpaired-kl"] == "min_G max_D L_KL(G, D) + λ1 L_FIDELITY(G)"


def test_figure_6_is_drawn_where_training_images_were_not_monitored(tmp_path):
    rows = [{"epoch": epoch, "validation": {"psnr": 20.0 + epoch, "ssim": 0.5}} for epoch in range(3)]
    training_figures.metrics_over_epochs({"generator-mse": rows}, tmp_path, "Phantoms.")
    assert (tmp_path / "figure6.png").is_file()


def test_figure_4_shows_what_the_models_have(monkeypatch):
    """Fails, by dividing by no panels, where only the report's terms are known."""
    monkeypatch.setitem(MODELS, "generator-mae", ModelSpec(distance=None, content="mae"))
    assert training_figures.panels(["generator-mae"]) == [("mae", "MAE loss", "log", ["generator-mae"])]
    names = [name for name, *_ in training_figures.panels(["wgan-vgg", "unpaired-kl", "generator-mse"])]
    assert names == ["mse", "vgg", "fidelity", "real_score", "fake_score"]


def test_tables_2_and_3_say_published_ours_and_the_difference():
    ours = {"psnr": 30.0, "ssim": 0.5, "rmse_hu": None, "report_ssim": 0.9, "report_psnr": 30.5}
    results = {
        "noisy": {"psnr": 32.0},
        "samples": {"wgan-vgg": ours, "generator-mse": ours},
        "models": {"wgan-vgg": {"collapsed": True, "by_seed": [], "init_from": None}},
        "evaluation": {"methods": {"wgan-vgg": ours, "generator-mse": ours}},
    }
    cells = [[cell.strip() for cell in line.split("|")] for line in tables.test_table(results).splitlines()]
    wgan_vgg = ["0.9941", "35.654", "0.9000", "30.500", "-0.0941", "-5.154", "0.5000", "30.000", "–", "-2.00 dB"]
    assert cells[2][1:-1] == ["wgan-vgg", *wgan_vgg, "**collapsed**"]
    sample = [[cell.strip() for cell in line.split("|")] for line in tables.sample_table(results).splitlines()]
    assert sample[2][2:-1] == ["0.996800", "37.692", "0.900000", "30.000", "-0.096800", "-7.692", "0.5000"]
    assert sample[3][2:-1] == ["–", "37.213", "0.900000", "30.000", "–", "-7.213", "0.5000"], "illegible in the report"


def test_ssim_is_wangs_and_the_reports_has_another_name(reproduction):
    results = json.loads((reproduction / "results.json").read_text())
    page = (reproduction / "report.html").read_text()
    seen = {"SSIM": 0, "global SSIM": 0, "our global SSIM": 0}
    for block in markdown.blocks("\n\n".join(tables.sections(results).values())):
        for row in [] if isinstance(block, str) else block.rows:
            cells = dict(zip(block.header, row, strict=True))
            means, sample = (of.get(row[0]) for of in (results["evaluation"]["methods"], results["samples"]))
            for heading in (cells.keys() & seen) if means and sample and row[0] in results["models"] else ():
                metric = "ssim" if heading == "SSIM" else "report_ssim"
                assert float(cells[heading]) in (round(means[metric], 4), *(round(sample[metric], d) for d in (4, 6)))
                seen[heading] += 1
    assert seen == {"SSIM": 4, "global SSIM": 2, "our global SSIM": 4}, "fidelity; Tables 2 and 3; of two models"
    assert not re.search(r"[Rr]eport's (PSNR|SSIM)", page)
    tiles = page[page.index('<dl class="tiles">') : page.index("</dl>")]
    best = results["sample_baseline"]
    assert f"SSIM {results['evaluation']['statistics']['means'][best]['ssim']['mean']:.4f}" in tiles
    figure5 = page[page.index('<figure id="figure5"') : page.index('<figure id="detail"')]
    wang = results["samples"]["wgan-mse"]["ssim"]
    assert f"SSIM {wang:.3f}" in figure5
    position = page_json(page)["viewer"]["slices"][0]["position"]
    assert page_json(page)["images"]["values"]["wgan-mse"][position][1] == pytest.approx(wang, abs=1e-5), "the viewer's"


def test_the_full_window_cuts_nothing_of_the_truth_off(reproduction):
    truth = 4072.001 * load_samples(RunDir(reproduction / "wgan-mse"), "test")["normal_dose"] - 1001.001
    page = (reproduction / "report.html").read_text()
    name, level, width = page_json(page)["viewer"]["windows"][0]
    assert name == "full"
    low, high = level - width / 2, level + width / 2
    assert low <= truth.min() < low + 10
    assert high - 10 < truth.max() <= high
    for figure in ("figure3", "figure5"):
        text = page[page.index(f'<figure id="{figure}"') :]
        assert f"full window [{low:.0f}, {high:.0f}] HU" in text[: text.index("</figure>")]


def test_the_detail_is_in_the_soft_tissue_window_where_errors_leave_something_to_see():
    truth = np.zeros((8, 8))
    results = {"data": {"settings": {"rescale_low_dose": False}}}
    rescaled = {"data": {"settings": {"rescale_low_dose": True}}}
    full = style.Window("full", -1000, 3000)
    near, far = ({TRUTH: truth, NOISY: truth + 500, "wgan": truth + error} for error in (99, 101))
    assert str(image_figures.detail_window(near, full, results)) == "soft tissue window [-160, 240] HU"
    assert image_figures.detail_window(far, full, results) == full
    assert image_figures.detail_window(near, full, rescaled) == full


def test_images_are_drawn_by_pixel_only_where_these_are_large(tmp_path):
    for name, side in (("figure3", 64), ("figure5", 362)):
        figure, axes = style.new_figure(1, 1, 4, 4)
        style.show_ct(axes[0, 0], np.eye(side), style.named_window("lung"), "")
        style.save_figure(figure, tmp_path, name, "")
        content = page_figure(tmp_path / f"{name}.svg", "").content
        assert content.count("<image") == 1
        assert content.count("image-rendering:pixelated") == (side == 64)


@pytest.mark.parametrize(
    ("value", "low", "high", "label"),
    [
        *((0.05, 0.01, 0.09, "0.05"), (0.03, 0.01, 0.09, ""), (0.03, 0.02, 0.05, "0.03")),
        *(
            (1e6, 1, 1e7, "10⁶"),
            (2e6, 1, 1e7, ""),
            (1e-4, 1e-6, 1, "10⁻⁴"),
            (5e4, 1e4, 6e4, "5·10⁴"),
            (1000, 1, 1e7, "1000"),
        ),
    ],
)
def test_labels_of_a_logarithmic_axis_are_plain_and_few(value, low, high, label):
    assert style.log_label(value, low, high) == label
