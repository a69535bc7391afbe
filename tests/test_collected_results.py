"""What several evaluations say together: which are combined, by whose settings, and what is not shown of them."""

import shutil

import pytest
from test_report import page_json

from wgan_vgg.errors import InputError
from wgan_vgg.files import read_json, write_json
from wgan_vgg.reporting import report_page, tables
from wgan_vgg.reporting.results import collect, find_runs
from wgan_vgg.run_dir import ReproductionDir, RunDir


@pytest.fixture
def place(reproduction, tmp_path):
    """A copy that may be changed."""
    return ReproductionDir(shutil.copytree(reproduction, tmp_path / "runs", ignore=shutil.ignore_patterns("data")))


def change(run, **values):
    write_json(run.eval_json("test"), read_json(run.eval_json("test")) | values)


@pytest.mark.parametrize("key", ["baselines", "missing_baselines", "perceptual", "settings"])
def test_evaluations_beside_other_baselines_weights_or_settings_are_not_combined(place, key):
    other = {"baselines": {"bm3d": {}}, "missing_baselines": ["bm3d"], "perceptual": "others", "settings": {}}
    change(place.model("wgan-mse", 0), **{key: other[key]})
    with pytest.raises(InputError, match="evaluated on other data or with other settings than the others"):
        collect(find_runs(place.path, "test"), "test")


def test_intervals_are_of_the_settings_of_the_evaluation_not_of_the_run(place):
    for name in ("generator-mse", "wgan-mse"):
        run = place.model(name, 0)
        change(run, settings=read_json(run.eval_json("test"))["settings"] | {"confidence": 0.8})
    results = collect(find_runs(place.path, "test"), "test")
    assert results["evaluation"]["statistics"]["confidence"] == 0.8


def test_noise_power_distance_of_several_seeds_is_their_mean_and_not_that_of_their_mean_spectrum(place):
    for seed, value in ((0, 0.25), (1, 0.75)):
        run = place.model("generator-mse", seed)
        if seed:
            shutil.copytree(place.model("generator-mse", 0).path, run.path)
        methods = read_json(run.eval_json("test"))["methods"]
        methods["generator-mse"]["noise_power_distance"] = value
        change(run, methods=methods)
    runs = {"generator-mse": find_runs(place.path, "test")["generator-mse"]}
    methods = collect(runs, "test")["evaluation"]["methods"]
    assert methods["generator-mse"]["noise_power_distance"] == 0.5
    assert "noise_power_distance" in methods["noisy input"]


def test_a_seed_that_is_not_evaluated_yet_is_left_out_and_said(place):
    shutil.copytree(place.model("generator-mse", 0).path, place.model("generator-mse", 1).path)
    shutil.copytree(place.model("wgan-mse", 0).path, place.model("wgan-mse", 1).path)
    place.model("wgan-mse", 1).eval_json("test").unlink()
    runs = find_runs(place.path, "test")
    assert [len(of_seeds) for of_seeds in runs.values()] == [2, 1]
    warnings = collect(runs, "test")["warnings"]
    assert any(text.startswith("wgan-mse has 1 of 2 seeds") for text in warnings), warnings


def test_runs_that_are_gone_are_said(place):
    shutil.rmtree(place.model("wgan-mse", 0).path)
    with pytest.raises(InputError, match="the runs of wgan-mse are gone"):
        find_runs(place.path, "test")


def test_of_several_models_in_one_evaluation_the_best_is_named_and_who_is_not_drawn(
    script, data_dir, identity, network, tmp_path
):
    models = f"--models=1={network},echo={identity}"
    flags = [models, f"--data_dir={data_dir}", f"--output_dir={tmp_path}", "--baselines=gaussian", "--vgg_weights=none"]
    assert script("evaluate", *flags)[0] == 0
    results = collect({"1": [RunDir(tmp_path)]}, "test")
    psnr = {name: means["psnr"] for name, means in results["evaluation"]["methods"].items()}
    assert psnr["echo"] > psnr["1"]
    headline = report_page.headline(results)
    assert [tile["name"] for tile in headline["tiles"] if tile["kind"] == "Best model"] == ["echo"]
    assert "the figures show 1, not echo, which stand in the tables alone" in results["warnings"]
    assert script("report", f"--workdir={tmp_path}")[0] == 0
    page = (tmp_path / "report.html").read_text()
    images = page_json(page)["images"]
    # The keys of a JavaScript object that are whole numbers come first.
    assert (images["reference"], images["methods"]) == ("noisy input", ["noisy input", "gaussian", "1", "echo"])


def test_each_seed_that_is_worse_than_its_input_is_named():
    seed = {"collapsed": False, "step": 90, "behind_input_since": None, "psnr": 1.0, "ssim": 0.1}
    model = {"collapsed": False, "init_from": None, "last_epoch": {"step": 90, "behind_input_since": None}}
    model["by_seed"] = [seed | {"seed": 0}, seed | {"seed": 1, "behind_input_since": 30}]
    assert tables._status(model) == "**worse than its input** since step 30 of 90 (seed 1)"
