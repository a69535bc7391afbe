"""experiments.reproduce and prepare as a user runs them: the whole chain, repeated, by hand, refused."""

import json

import matplotlib.image
import numpy as np
import pytest
from conftest import smooth_images, write_part
from training_runs import TINY, files_with_times

from data_prep import lodopab
from wgan_vgg import config
from wgan_vgg.reproduction import reproduce

# Two baselines are enough here; all of them: test_evaluate.
FEW = "--set=evaluation.baselines=gaussian,tv"
CHAIN = [*TINY, FEW, "--image_size=32", "--num_train=0", "--num_test=0", "--noise_std=0.1"]


def chain(hdf5_dir, workdir, *more):
    return [*CHAIN, "--source=lodopab", f"--input_dir={hdf5_dir}", f"--workdir={workdir}", *more]


@pytest.mark.slow
def test_the_whole_chain_and_its_repetition(script, hdf5_dir, tmp_path):
    arguments = chain(hdf5_dir, tmp_path)
    status, out, err = script("reproduce", *arguments)
    assert status == 0, err
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results["models"]) == list(config.REPORT_MODELS)
    assert (results["test_images"], results["test_patients"]) == (12, 4)
    # So short a training may leave a term without weight, which is said.
    assert [warning for warning in results["warnings"] if "in all but name" not in warning] == []
    assert results["models"]["wgan-vgg"]["published"] == {"ssim": 0.9941, "psnr": 35.654}
    assert results["noisy"]["psnr"] == pytest.approx(20.0, abs=0.3)
    markdown = (tmp_path / "results.md").read_text()
    assert "random VGG19 features" in markdown
    for line in ("| noisy input", "| generator-mse | 0.9967", "| wgan-vgg      | 0.9941"):
        assert line in markdown
        assert line in out
    assert "| generator-mse | –  " in markdown, "the SSIM that is illegible in the report is a dash"
    assert markdown.splitlines()[2] == results["verdict"], "at the top"
    assert "paired over 4 patients, by 95% intervals" in results["verdict"]
    evaluation = results["evaluation"]
    assert list(evaluation["methods"]) == ["noisy input", "gaussian", "tv", *config.REPORT_MODELS]
    assert "n = 4 patients, 12 images" in markdown
    assert evaluation["statistics"]["no_test"] == "too few patients"
    for heading in ("| normal dose ", "| tv ", "Fewer than 6 patients cannot be tested", results["verdict"]):
        assert heading in markdown
    for number in range(1, 7):
        picture = matplotlib.image.imread(tmp_path / "figures" / f"figure{number}.png")
        assert picture[..., :3].std() > 0.02, f"figure {number} is blank"
        assert (tmp_path / "figures" / f"figure{number}.pdf").read_bytes().startswith(b"%PDF")
    for model in config.REPORT_MODELS:
        assert (tmp_path / model / "export" / "saved_model" / "saved_model.pb").is_file()
    assert (tmp_path / "report.html").read_text().count("<figure") >= 10
    before = files_with_times(tmp_path)
    assert script("reproduce", *arguments)[0] == 0
    assert files_with_times(tmp_path) == before, "what is done is not done again"
    assert (tmp_path / "results.md").read_text() == markdown


def test_unknown_patients_are_said_in_the_results(script, tmp_path):
    write_part(tmp_path / "hdf5", "train", smooth_images(8, 32, 1) + 0.01)
    write_part(tmp_path / "hdf5", "test", smooth_images(4, 32, 2) + 0.01)
    flags = ("--models=generator-mse", "--epochs=1", "--set=data.validation_parts=()")
    assert script("reproduce", *chain(tmp_path / "hdf5", tmp_path / "out", *flags))[0] == 0
    assert "the patients are unknown" in (tmp_path / "out" / "results.md").read_text()


def test_phantoms_are_named_in_the_captions(script, tmp_path):
    flags = ["--models=generator-mse", "--epochs=1", f"--workdir={tmp_path}"]
    small = [f"--set=phantoms.{part}_patients={n}" for part, n in (("train", 1), ("validation", 1), ("test", 1))]
    small += ["--set=phantoms.min_slices=4", "--set=phantoms.max_slices=4"]
    status, out, err = script("reproduce", *CHAIN, *flags, *small)
    assert status == 0, err
    assert "\nSynthetic phantoms, not patients, 32x32, gaussian noise of std 0.1" in out
    assert lodopab.source_name(tmp_path / "phantoms" / "ground_truth_train_000.hdf5") == "phantoms"


def test_prepare_train_evaluate_by_hand(script, hdf5_dir, tmp_path):
    records = tmp_path / "records"
    prepare = ("--preset=demo", "--image_size=32", f"--input_dir={hdf5_dir}", f"--output_dir={records}")
    status, out, _ = script("prepare", *prepare)
    assert (status, "train: 24 images, patients: 6, 2 shards" in out) == (0, True)
    status, _, err = script("prepare", *prepare)
    assert (status, "exists already" in err) == (2, True)
    flags = [*TINY, FEW, "--models=generator-mse", f"--data_dir={records}", f"--workdir={tmp_path / 'out'}"]
    assert script("reproduce", *flags)[0] == 0
    assert not (tmp_path / "out" / "data").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--input_dir=/nowhere"], "no such folder"),
        (["--input_dir="], "give the folder of its files with --input_dir"),
        (["--source=disk"], "take one of phantoms"),
        (["--models=generator-mse,wgan-gp"], "take one of generator-mse"),
        (["--workdir=/proc/out"], "cannot be written"),
        (["--workdir="], "--workdir is required"),
        (["--set=data.test_parts=validation"], "the validation split is empty"),
        (["--models="], "name at least one"),
        (["--vgg_weights=/nowhere.h5"], "no such file"),
        (["--source=phantoms"], "not used with source=phantoms"),
        (["--noise_std=-1"], "must be at least 0"),
        (["--noise_std=0.1", "--noise_variance=0.1"], "say the same thing"),
        (["--set=data.noise=none"], "LoDoPaB-CT has no low-dose images"),
        (["--photons=4096"], "data.photons=4096: decides nothing with data.noise=gaussian"),
        (["--set=data.patch_size=16"], "data.patch_size=16: decides nothing with --source=lodopab"),
        (["--set=phantoms.max_slices=9"], "phantoms.max_slices=9: goes with --source=phantoms, not lodopab"),
    ],
)
def test_mistakes_end_in_one_line_before_any_work(script, hdf5_dir, tmp_path, flags, message):
    names = {flag.split("=")[0] for flag in flags} - {"--set"}
    if "data.noise" in flags[0]:
        names.add("--noise_std")
    arguments = [flag for flag in chain(hdf5_dir, tmp_path / "out") if flag.split("=")[0] not in names]
    status, out, err = script("reproduce", *arguments, *flags)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert message in err
    assert not (tmp_path / "out" / "data").exists()


def test_nan_pixel_ends_in_one_line_and_leaves_no_data(script, tmp_path):
    images = smooth_images(8, 32, 1) + 0.01
    images[3, 4, 5] = np.nan
    write_part(tmp_path / "hdf5", "train", images)
    write_part(tmp_path / "hdf5", "test", images[:2])
    flags = ("--set=data.validation_parts=()",)
    status, _, err = script("reproduce", *chain(tmp_path / "hdf5", tmp_path / "out", *flags))
    assert (status, err.splitlines()[-1].startswith("error: ")) == (2, True)
    assert "ground_truth_train_000.hdf5: slice 3 has 1 NaN" in err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_a_workdir_made_with_other_settings_is_refused(script, hdf5_dir, tmp_path):
    flags = ("--models=generator-mse", "--epochs=1")
    assert script("reproduce", *chain(hdf5_dir, tmp_path, *flags))[0] == 0
    status, _, err = script("reproduce", *chain(hdf5_dir, tmp_path, *flags, "--set=data.shards=3"))
    assert (status, err.count("\n"), "data.shards: 2 -> 3" in err) == (2, 1, True)
    # Judging it otherwise is no other run: nothing is trained again.
    steps = (tmp_path / "generator-mse" / "metrics.jsonl").stat().st_mtime_ns
    status, _, err = script("reproduce", *chain(hdf5_dir, tmp_path, *flags, "--set=evaluation.windows=lung"))
    assert status == 0, err
    assert "lung -600/1500 HU" in (tmp_path / "results.md").read_text()
    assert (tmp_path / "generator-mse" / "metrics.jsonl").stat().st_mtime_ns == steps


def test_reproduce_module_never_prints(hdf5_dir, tmp_path, capsys):
    settings = config.override(config.preset("demo"), {"training.steps": 1, "training.batch_size": 4})
    settings = config.override(settings, {"data.image_size": 16, "generator.layers": 2})
    settings = config.override(settings, {"evaluation.baselines": ("gaussian",)})
    reproduce.reproduce(settings, ["generator-mse"], tmp_path, source="lodopab", input_dir=hdf5_dir)
    assert capsys.readouterr() == ("", "")


def test_a_wrong_file_of_vggs_weights_is_found_before_anything_is_trained(script, hdf5_dir, tmp_path):
    np.save(tmp_path / "vgg.npy", np.zeros(3))
    flags = ("--models=generator-mse,generator-vgg", f"--vgg_weights={tmp_path / 'vgg.npy'}")
    status, _, err = script("reproduce", *chain(hdf5_dir, tmp_path / "run", *flags))
    assert (status, err.count("\n")) == (2, 1), err
    assert not (tmp_path / "run" / "generator-mse").exists()


@pytest.mark.parametrize("more", ["--source=lodopab", "--set=phantoms.max_slices=9"])
def test_where_records_are_given_no_source_is(script, data_dir, tmp_path, more):
    flags = [flag for flag in TINY if not flag.startswith("--data_dir")]
    status, out, err = script("reproduce", *flags, f"--data_dir={data_dir}", f"--workdir={tmp_path / 'out'}", more)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert f"not used with --data_dir={data_dir}; drop one" in err
