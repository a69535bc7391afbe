"""experiments.report: tables, figures and the page from run directories alone, whatever they lack."""

import base64
import dataclasses
import json
import re
import shutil
import zlib

import markupsafe
import numpy as np
import pytest
from test_foreign_methods import QUICK, images  # noqa: F401
from test_train import tiny

from data_prep.prepare import prepare_lodopab
from wgan_vgg.evaluation import samples
from wgan_vgg.evaluation.evaluator import Batch
from wgan_vgg.evaluation.samples import load_samples, spread_over_patients
from wgan_vgg.reporting import page_data, report_page
from wgan_vgg.reporting.image_figures import most_detailed_part
from wgan_vgg.reporting.markdown import blocks, markdown_table
from wgan_vgg.run_dir import RunDir

METHODS = ["noisy input", "gaussian", "tv", "generator-mse", "wgan-mse"]
MADE = ("report.html", "results.md", "figures")


def page_json(page):
    return json.loads(re.search(r'<script type="application/json" id="page-data">(.*?)</script>', page)[1])


def test_slices_are_spread_over_the_patients():
    # Each patient's middle one, then the middles of the halves.
    assert spread_over_patients(["a", "a", "a", "b"], 3) == [1, 3, 0]
    assert spread_over_patients(["a"] * 7, 3) == [3, 1, 5]
    assert spread_over_patients(["a"], 8) == [0]


def test_the_most_detailed_slice_stands_first_and_once():
    truth = np.zeros((4, 8, 8), np.float32)
    truth[2, :, ::4], truth[3, :, ::4] = 0.1, 1
    rows = [{"patient_id": name, "slice_index": i, "source": ""} for i, name in enumerate("aabb")]
    collected = samples.Samples(["a", "a", "b", "b"], 2)
    collected.add(Batch(rows[:3], truth[:3] + 1, truth[:3]), truth[:3] + 2)
    collected.add(Batch(rows[3:], truth[3:] + 1, truth[3:]), truth[3:] + 2)
    arrays = collected.arrays()
    assert collected.most_detailed.place["slice_index"] == 3
    assert arrays["position"].tolist() == [3, 1], "3 is one of the two that were spread"
    np.testing.assert_array_equal(arrays["denoised"], truth[[3, 1]] + 2)


def test_the_detail_is_where_the_gradient_is():
    truth = np.zeros((30, 30))
    truth[12:18, 20:26] = np.indices((6, 6)).sum(axis=0) % 4
    rows, columns = most_detailed_part(truth)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (10, 10)
    assert rows.start <= 12 < 18 <= rows.stop
    assert columns.start <= 20 < 26 <= columns.stop


def test_texts_cannot_break_out_of_the_page():
    evil = '</script><img src=x onerror="alert(1)">|'
    escaped = "&lt;/script&gt;&lt;img src=x onerror=&#34;alert(1)&#34;&gt;|"
    content = blocks(markdown_table(["", "p"], [[evil, evil], ["x", "**y**"]]) + f"\n\n{evil}")
    macros = report_page.TEMPLATES.get_template("macros.html").module
    page = macros.blocks(content, evil, {evil: "#123456"})
    assert "<img" not in page
    assert page.count(escaped) == 4, "label, name, cell and paragraph"
    assert "<strong>y</strong>" in page
    assert f'<i class="swatch" style="background:#123456"></i>{escaped}</span></th>' in page
    arrays = {name: np.zeros((1, 2, 2), np.float32) for name in ("low_dose", "normal_dose", "denoised")}
    arrays |= {"position": np.array([0]), "patient_id": np.array([evil]), "slice_index": np.array([0])}
    results = {
        "sample_baseline": None,
        "data": {"hu_slope": 1.0, "hu_intercept": 0.0, "settings": {"rescale_low_dose": False}},
        "evaluation": {"methods": {"noisy input": {}, evil: {}}, "windows": {}, "baselines": {}},
        "models": {evil: {}},
    }
    rows = [
        {"patient_id": evil, "slice_index": "0", "method": name, "psnr": float("inf")} for name in ("noisy input", evil)
    ]
    text = macros.json(page_data.page_data({evil: arrays}, results, rows))
    value = page_json(text)
    assert text.count("<") == 2, "the script's own"
    assert value["images"]["names"] == [[evil, 0]]
    assert value["images"]["values"][evil][0][0] is None, "JSON has no infinity"


def test_the_page_needs_nothing_but_itself(reproduction):
    page = (reproduction / "report.html").read_text()
    assert not re.search(r"https?://|<link|@import|\bsrc=|url\((?!#)|//cdn", page)
    assert "default-src 'none'" in page
    assert len(page) < 2 * 2**20
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)), "the figures' ids are their own"
    for target in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page):
        assert "".join(target) in ids


def test_every_method_is_in_the_tables_and_the_figures_are_there(reproduction):
    page = (reproduction / "report.html").read_text()
    summary = page[page.index('id="summary"') : page.index('id="look"')]
    further = page[page.index("All methods, further measures") : page.index("Table 1: the models")]
    for name in METHODS:
        assert summary.count(f"</i>{name}</span></th>") == 1, "quality"
        assert further.count(f"</i>{name}</span></th>") == 4, "body and others, windows, fidelity, edges"
    assert "lung -600/1500 HU" in further
    figures = {"figure1", "figure2", "figure3", "figure4", "figure5", "figure6"}
    figures |= {"differences", "detail", "noise_power", "psnr_by_patient", "distributions"}
    drawn = set(re.findall(r'<figure id="(\w+)"', page))
    assert drawn == {path.stem for path in (reproduction / "figures").glob("*.pdf")}
    assert figures - drawn <= {"noise_power"}, "blobs of 32 pixels may have nothing flat"
    results = json.loads((reproduction / "results.json").read_text())
    assert str(markupsafe.escape(results["verdict"])) in summary
    best = results["evaluation"]["statistics"]["best_baseline"]
    assert best == results["sample_baseline"], "what the table is against is what Figure 5 shows"
    assert re.search(rf"<dt>Best baseline</dt>.*?</i>{best}</span>", summary, flags=re.DOTALL), "and the card"
    for text in ("random VGG19 features", "critic.dense_units", "scikit-image", "patients: 4"):
        assert text in page[page.index('id="data"') :]


def test_the_cards_baseline_is_the_compared_one_not_the_best_on_the_images_judged():
    psnr = {"noisy input": 20.0, "tv": 33.0, "bm3d": 35.0, "wgan": 30.0, "wgan-vgg": 31.0}
    means = {name: {"psnr": {"mean": value}, "ssim": {"mean": value / 100}} for name, value in psnr.items()}
    results = {
        "evaluation": {"statistics": {"means": means}, "baselines": {"tv": {}, "bm3d": {}}},
        "models": {name: {"collapsed": False} for name in ("wgan", "wgan-vgg")},
    }
    found = report_page.headline(results | {"sample_baseline": "tv"})
    assert [(tile["name"], tile["psnr"], tile["ssim"], tile["gain"]) for tile in found["tiles"]] == [
        ("noisy input", 20.0, 0.2, None),
        ("tv", 33.0, 0.33, 13.0),
        ("wgan-vgg", 31.0, 0.31, 11.0),
    ]
    assert found["problems"] == []
    assert len(report_page.headline(results | {"sample_baseline": None})["tiles"]) == 2


def test_pixels_are_the_samples_in_hu(reproduction):
    value = page_json((reproduction / "report.html").read_text())["viewer"]
    arrays = load_samples(RunDir(reproduction / "wgan-mse"), "test")
    assert value["methods"] == ["noisy input", "normal dose", value["methods"][2], "generator-mse", "wgan-mse"]
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(value["pixels"])), "<i2")
    pixels = pixels.reshape(len(value["slices"]), 5, 32, 32)
    hu = 4072.001 * arrays["denoised"].astype(float) - 1001.001
    np.testing.assert_allclose(pixels[:, 4], hu, atol=0.51)
    assert 8 <= len(value["slices"]) <= 9


def test_large_slices_are_fewer(reproduction, monkeypatch):
    runs = {name: RunDir(reproduction / name) for name in ("generator-mse", "wgan-mse")}
    arrays = {name: load_samples(run, "test") for name, run in runs.items()}
    results = json.loads((reproduction / "results.json").read_text())
    for budget, slices in ((5 * 2 * 32 * 32 * 2, 2), (1, 1)):
        monkeypatch.setattr(page_data, "PIXEL_BYTES", budget)
        assert len(page_data.page_data(arrays, results, [])["viewer"]["slices"]) == slices


def test_a_reproduction_is_reported_again_from_its_directory_alone(script, reproduction, tmp_path):
    shutil.copytree(reproduction, tmp_path / "moved", ignore=shutil.ignore_patterns("data", "references", *MADE))
    status, out, err = script("report", f"--workdir={tmp_path / 'moved'}")
    assert (status, "report.html" in out) == (0, True), err
    for path in sorted(reproduction.rglob("figures/*")) + [reproduction / "results.md", reproduction / "report.html"]:
        again = tmp_path / "moved" / path.relative_to(reproduction)
        assert again.read_bytes() == path.read_bytes(), path.name


def test_one_bad_generator_without_results_json(script, reproduction, tmp_path):
    run = RunDir(tmp_path / "run")
    shutil.copytree(reproduction / "generator-mse", run.path)
    run.figures.mkdir()
    (run.figures / "figure2.svg").write_text("an earlier report's")
    environment = json.loads(run.environment.read_text())
    run.environment.write_text(json.dumps((environment if isinstance(environment, list) else [environment]) * 2))
    run.append_row(run.rows()[-1] | {"step": 99, "collapsed": True})
    summary = json.loads(run.eval_json("test").read_text())
    for values in summary["patient_values"]["generator-mse"]["psnr"], summary["methods"]["generator-mse"]:
        values.update(dict.fromkeys(values.keys() & {"psnr", "10", "11", "12", "13"}, 3.0))
    run.eval_json("test").write_text(json.dumps(summary))
    status, _, err = script("report", f"--workdir={run.path}")
    assert status == 0, err
    page = run.report_html.read_text()
    assert "generator-mse: environment, launch 2" in page
    assert not (run.figures / "figure2.svg").exists(), "it has no critic"
    assert "D(G(z))" not in page
    assert page_json(page)["viewer"]["methods"][-1] == "generator-mse"
    assert "generator-mse was evaluated at step 12, and trained up to 99 since" in page
    assert "Below the noisy input in PSNR: generator-mse. Collapsed, the output is black: generator-mse." in page


def test_somebody_elses_images(script, data_dir, images, tmp_path):  # noqa: F811
    name = "<b>theirs</b>|"
    flags = (f"--images={images}", f"--name={name}", f"--output_dir={tmp_path}", f"--data_dir={data_dir}")
    status, _, err = script("evaluate", *flags, *QUICK)
    assert status == 0, err
    status, _, err = script("report", f"--workdir={tmp_path}")
    assert status == 0, err
    page = (tmp_path / "report.html").read_text()
    assert "<b>theirs" not in page
    assert "</i>&lt;b&gt;theirs&lt;/b&gt;|</span></th>" in page
    assert "not computed" in page
    assert "<h3>Training" not in page
    assert not (tmp_path / "figures" / "figure4.svg").exists()


def test_a_rescaled_input_has_no_hu(script, hdf5_dir, tmp_path):
    from conftest import PREPARE

    prepare_lodopab(hdf5_dir, tmp_path / "data", dataclasses.replace(PREPARE, rescale_low_dose=True), seed=0)
    flags = ("--epochs=1", "--set=evaluation.baselines=gaussian", "--set=evaluation.perceptual=False")
    assert script("train", *tiny("generator-mse", tmp_path / "data", tmp_path / "run", *flags))[0] == 0
    assert script("evaluate", f"--workdir={tmp_path / 'run'}", f"--data_dir={tmp_path / 'data'}")[0] == 0
    assert script("report", f"--workdir={tmp_path / 'run'}")[0] == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert page_json(page)["viewer"]["without_hu"] == ["noisy input", "gaussian"]
    differences = page[page.index('<figure id="differences"') : page.index("minus truth, HU")]
    assert "generator-mse" in differences
    assert "noisy input" not in differences


@pytest.mark.parametrize(
    ("change", "flags", "message"),
    [
        (None, ["--workdir=/nowhere"], "no such folder"),
        (None, ["--split=validation"], "its validation split was not evaluated"),
        (None, ["--workdir="], "--workdir is required"),
        (lambda run: shutil.rmtree(run.evaluations), [], "was not evaluated; evaluate it with experiments.evaluate"),
        (lambda run: without(run, "version"), [], "of an older version; evaluate it again"),
    ],
)
def test_mistakes_are_one_line(script, reproduction, tmp_path, change, flags, message):
    shutil.copytree(reproduction / "generator-mse", tmp_path / "run")
    if change:
        change(RunDir(tmp_path / "run"))
    status, out, err = script(
        "report", *(flags if "--workdir" in "".join(flags) else [f"--workdir={tmp_path / 'run'}", *flags])
    )
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert message in err
    assert not (tmp_path / "run" / "report.html").exists()


def without(run, key):
    summary = json.loads(run.eval_json("test").read_text())
    del summary[key]
    run.eval_json("test").write_text(json.dumps(summary))
