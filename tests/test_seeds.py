"""Several trainings of each model: the runs side by side, resumed seed by seed, judged over seeds and patients."""

import json

import numpy as np
import pytest
from test_reproduce import chain
from test_study import few_rows, flags, two_test_files  # noqa: F401
from training_runs import files_with_times

from wgan_vgg.evaluation.observers import CHO, detectability
from wgan_vgg.files import read_json
from wgan_vgg.run_dir import ReproductionDir, StudyDir

QUICK = ("--epochs=1", "--set=evaluation.perceptual=False", "--set=evaluation.repeated_images=0")


@pytest.mark.slow
def test_two_seeds_of_two_models(script, hdf5_dir, tmp_path):
    arguments = [flag for flag in chain(hdf5_dir, tmp_path) if not flag.startswith("--epochs")]
    arguments += ["--models=generator-mse,wgan-mse", "--seed=3", *QUICK]
    assert script("reproduce", *arguments)[0] == 0
    place = ReproductionDir(tmp_path)
    assert read_json(place.results_json)["evaluation"]["statistics"]["between_networks"] == {}
    first = {path: time for path, time in files_with_times(tmp_path).items() if path.parent.name == "checkpoints"}
    status, _, err = script("reproduce", *arguments, "--seeds=2")
    assert status == 0, err
    assert first.items() <= files_with_times(tmp_path).items(), "the first seed is not trained again"
    results = json.loads(place.results_json.read_text())
    runs = {name: place.seeds_of(name) for name in ("generator-mse", "wgan-mse")}
    assert [run.path.name for run in runs["wgan-mse"]] == ["wgan-mse", "wgan-mse-repetition-1"]
    assert [run.load_config().seed for run in runs["wgan-mse"]] == [3, 4]
    # The repetition begins with the repetition of generator-mse, as the preset has it, not with the first one.
    assert runs["wgan-mse"][1].stored()["init_from"]["source"] == str(runs["generator-mse"][1].path)
    assert len({run.stored()["data"]["fingerprint"] for of_seeds in runs.values() for run in of_seeds}) == 1
    for name, of_seeds in runs.items():
        psnr = [read_json(run.eval_json("test"))["methods"][name]["psnr"] for run in of_seeds]
        assert psnr[0] != psnr[1]
        assert [one["psnr"] for one in results["models"][name]["by_seed"]] == psnr
        assert results["evaluation"]["methods"][name]["psnr"] == pytest.approx(np.mean(psnr))
        assert results["evaluation"]["statistics"]["means"][name]["psnr"]["mean"] == pytest.approx(np.mean(psnr))
    difference = results["evaluation"]["statistics"]["between_networks"]["generator-mse"]["wgan-mse"]
    means = [results["evaluation"]["methods"][name]["psnr"] for name in ("wgan-mse", "generator-mse")]
    assert difference["mean"] == pytest.approx(means[0] - means[1])
    assert difference["low"] < difference["mean"] < difference["high"]
    markdown = place.results_md.read_text()
    for text in ("paired over 4 patients and 2 seeds", "## Each seed", "Models against each other", "| seed 3 "):
        assert text in markdown
    assert "Networks are not tested against each other" not in markdown
    assert "wgan-mse, seed 4: config" in place.report_html.read_text()
    before = files_with_times(tmp_path)
    assert script("reproduce", *arguments, "--seeds=2")[0] == 0
    assert files_with_times(tmp_path) == before, "what is done is not done again"
    for path in (place.results_md, place.report_html):
        path.rename(path.with_suffix(".before"))
    assert script("report", f"--workdir={tmp_path}")[0] == 0
    assert place.results_md.read_text() == markdown, "the directory alone tells the seeds"


def test_a_study_over_two_seeds(script, two_test_files, few_rows, tmp_path):  # noqa: F811
    few_rows("report", "noise-std")
    arguments = flags(two_test_files, tmp_path, "--model=generator-mse", "--seeds=2")
    status, out, err = script("reproduce", *arguments)
    assert status == 0, err
    place, study = StudyDir(tmp_path), read_json(StudyDir(tmp_path).results_json)
    report, changed = study["rows"]
    assert (study["seeds"], report["above_first"]) == ([0, 1], None)
    own = [place.run("report", seed) for seed in (0, 1)]
    assert report["by_seed"] == [read_json(run.eval_json("test"))["methods"]["generator-mse"]["psnr"] for run in own]
    assert report["model"]["psnr"] == pytest.approx(np.mean(report["by_seed"]))
    others = [place.on_other_data("noise-std", seed) for seed in (0, 1)]
    on_first = [read_json(run.eval_json("test"))["methods"]["generator-mse"]["psnr"] for run in others]
    assert changed["above_first"]["mean"] == pytest.approx(np.mean(on_first) - np.mean(report["by_seed"]), abs=1e-6)
    assert changed["above_first"]["low"] < changed["above_first"]["mean"] < changed["above_first"]["high"]
    assert "2 trainings for each row, of seeds 0, 1" in out


@pytest.mark.parametrize("study", [[], ["--study=protocol"]])
def test_no_training_is_refused(script, tmp_path, study):
    status, out, err = script("reproduce", "--preset=demo", f"--workdir={tmp_path / 'new'}", "--seeds=0", *study)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "seeds=0: must be at least 1" in err
    assert not (tmp_path / "new").exists()


def test_d_prime_over_seeds_is_their_mean_and_their_spread_widens_it():
    def responses(shift):
        rng = np.random.default_rng(5)
        return {
            str(patient): {"present": (rng.normal(shift, 1, 4)).tolist(), "absent": rng.normal(0, 1, 8).tolist()}
            for patient in range(10)
        }

    seeds = [responses(1.0), responses(2.0), responses(3.0)]
    one = [detectability({"m": [of_seed]}, "m", confidence=0.95)["m"] for of_seed in seeds]
    together = detectability({"m": seeds, "noisy": seeds[:1]}, "noisy", confidence=0.95)["m"]
    assert together["mean"] == pytest.approx(np.mean([found["mean"] for found in one]))
    widths = [found["high"] - found["low"] for found in (*one, together)]
    assert widths[-1] > 1.5 * max(widths[:-1]), f"{CHO}: over patients alone it would be as narrow as theirs"
    assert together["above_reference"]["mean"] == pytest.approx(together["mean"] - one[0]["mean"])
