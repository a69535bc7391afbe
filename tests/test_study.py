"""The protocol study: what its rows change, where their numbers are from, and how it goes on."""

import json

import pytest
from conftest import smooth_images, write_part
from training_runs import TINY, files_with_times

from data_prep.errors import InputError
from wgan_vgg import config
from wgan_vgg.config import nested
from wgan_vgg.errors import Diverged
from wgan_vgg.files import read_json
from wgan_vgg.reporting import study_tables
from wgan_vgg.reproduction import protocols, run_relatives, run_study
from wgan_vgg.run_dir import RunDir, StudyDir

# Written out, not taken from the table that is tested.
CHANGES = {
    "report": [],
    "noise-std": ["data.noise_std: None -> 0.015", "data.noise_variance: 0.015 -> None"],
    "one-noise-field": ["data.shared_noise_field: False -> True"],
    "min-max-input": ["data.rescale_low_dose: False -> True"],
    "sigmoid-critic": ["critic.sigmoid_output: False -> True"],
    "leaking-split": ["data.train_parts: ['train'] -> ['validation', 'test']"],
}
FEW = ("report", "noise-std", "sigmoid-critic", "leaking-split")
MEANS = ("report_psnr", "report_ssim", "psnr", "ssim", "rmse_hu")


@pytest.fixture(scope="module")
def two_test_files(tmp_path_factory):
    """Parts in whole files of 128 slices of 16x16: one to train, two to test, whose 8 patients are in both."""
    folder = tmp_path_factory.mktemp("whole_files")
    write_part(folder, "train", smooth_images(128, 16, 1), ids=[i % 8 for i in range(128)])
    write_part(folder, "validation", smooth_images(4, 16, 2), ids=[20] * 4)
    images = smooth_images(256, 16, 3)
    for number in range(2):
        part = images[128 * number :][:128]
        write_part(folder, "test", part, number, ids=[10 + i % 8 for i in range(256)])
    return folder


def flags(source, workdir, *more):
    small = ["--image_size=16", "--num_train=16", "--num_test=6", "--epochs=1"]
    tiny = [flag for flag in TINY if not flag.startswith("--epochs")]
    return [
        *tiny,
        *small,
        "--study=protocol",
        "--source=lodopab",
        f"--input_dir={source}",
        f"--workdir={workdir}",
        *more,
    ]


@pytest.fixture
def few_rows(monkeypatch):
    """Leaves some rows of the study."""

    def keep(*names):
        monkeypatch.setitem(protocols.STUDIES, "protocol", {name: protocols.PROTOCOL[name] for name in names})

    return keep


def differences(configs):
    first = nested.to_dict(configs["report"])
    return {name: nested.differences(first, nested.to_dict(other)) for name, other in configs.items()}


def test_every_row_changes_its_own_keys_and_nothing_else():
    found = differences(protocols.variant_configs("protocol", config.preset("report"), "lodopab"))
    together = found.pop("all-at-once")
    assert found == CHANGES
    assert sorted(together) == sorted(line for lines in CHANGES.values() for line in lines)


def test_the_first_row_is_the_presets_own_but_for_what_all_have_in_common():
    report = config.preset("report")
    first = protocols.variant_configs("protocol", report, "lodopab")["report"]
    changed = nested.differences(nested.to_dict(report), nested.to_dict(first))
    assert [line.split(":")[0] for line in changed] == [
        "data.validation_parts",
        "data.selection",
        "evaluation.windows",
        "evaluation.perceptual",
        "evaluation.baselines",
    ]


def test_phantoms_of_ones_own_are_kept():
    own = config.override(config.preset("demo"), {"phantoms.train_patients": 40})
    assert protocols.variant_configs("protocol", own, "phantoms")["report"].phantoms == own.phantoms
    counts = protocols.variant_configs("protocol", config.preset("report"), "phantoms")["report"].data
    assert (counts.num_train, counts.num_test) == (128, 128), "of two test files one is left to train on"
    fewer = config.preset("report", {"data.num_test": 7})
    assert protocols.variant_configs("protocol", fewer, "phantoms")["report"].data.num_test == 7
    usual = protocols.variant_configs("protocol", config.preset("demo"), "phantoms")["report"].phantoms
    assert usual.test_patients * usual.min_slices >= 2 * 128, "two whole files"
    assert usual.train_patients * usual.min_slices >= 128


def test_without_a_critic_its_row_is_left_out():
    configs = protocols.variant_configs(
        "protocol", config.override(config.preset("demo"), {"model": "wgan"}), "phantoms"
    )
    assert configs["all-at-once"].critic.sigmoid_output
    without = config.override(config.preset("demo"), {"model": "generator-mse"})
    configs = protocols.variant_configs("protocol", without, "phantoms")
    assert list(configs) == [name for name in protocols.PROTOCOL if name != "sigmoid-critic"]
    assert not configs["all-at-once"].critic.sigmoid_output


@pytest.mark.parametrize(
    ("preset", "values", "message"),
    [
        ("demo", {"data.noise_std": 0.015}, "data.noise_std=0.015: so it is already"),
        ("notebook", {}, "data.noise_std=0.015: so it is already"),
        ("yang2018", {}, "data.noise=none: the study changes gaussian noise"),
    ],
)
def test_a_row_that_would_change_nothing_is_refused(preset, values, message):
    with pytest.raises(InputError, match=message):
        protocols.variant_configs("protocol", config.override(config.preset(preset), values), "phantoms")


def test_the_study_tells_what_its_runs_evaluations_say(script, two_test_files, few_rows, tmp_path):
    few_rows(*FEW)
    arguments = flags(two_test_files, tmp_path, "--model=wgan-mse")
    status, out, err = script("reproduce", *arguments)
    assert status == 0, err
    place = StudyDir(tmp_path)
    results = read_json(place.results_json)
    rows = {row["name"]: row for row in results["rows"]}
    assert list(rows) == list(FEW)
    first_run = place.run("report").load_config()
    for name, row in rows.items():
        evaluated = read_json(place.run(name).eval_json("test"))["methods"]
        assert row["noisy"] == {metric: evaluated["noisy input"][metric] for metric in MEANS}
        assert row["model"] == {metric: evaluated["wgan-mse"][metric] for metric in MEANS}
        changed = nested.differences(nested.to_dict(first_run), nested.to_dict(place.run(name).load_config()))
        assert changed == CHANGES[name]
        assert (row["images"]["test"], row["patients"]["test"]) == (6, 6)
    elsewhere = read_json(place.on_other_data("noise-std").eval_json("test"))["methods"]
    assert rows["noise-std"]["on_first"]["psnr"] == elsewhere["wgan-mse"]["psnr"]
    assert elsewhere["noisy input"] == read_json(place.run("report").eval_json("test"))["methods"]["noisy input"]
    # The input of std .015 has 36.48 dB, of variance .015 18.24 dB: -20 log10 of .015 and of its root.
    assert rows["noise-std"]["noisy"]["psnr"] == pytest.approx(36.48, abs=0.4)
    assert rows["report"]["noisy"]["psnr"] == pytest.approx(18.24, abs=0.4)
    # The leak alone is in the training: the same test images, and the same noise on them.
    assert rows["leaking-split"]["noisy"] == rows["report"]["noisy"]
    assert rows["leaking-split"]["model"] != rows["report"]["model"]
    assert [len(rows[name]["patients_in_both"]) for name in FEW] == [0, 0, 0, 6]
    assert sorted(path.name for path in place.data("").iterdir()) == ["leaking-split", "noise-std", "report"]
    assert "6 of 6" in next(line for line in out.splitlines() if line.startswith("| leaking split"))
    before = files_with_times(tmp_path)
    assert script("reproduce", *arguments)[0] == 0
    assert files_with_times(tmp_path) == before, "what is done is not done again"
    status, _, err = script("reproduce", *flags(two_test_files, tmp_path, "--model=wgan"))
    assert (status, err.count("\n"), "model: wgan-mse -> wgan" in err) == (2, 1, True)


@pytest.mark.parametrize(
    ("rate", "status_text"), [("10", "**collapsed**"), ("1e38", "**diverged**, evaluated at step 0")]
)
def test_a_failed_row_is_named_the_others_go_on_and_the_status_is_3(
    script, two_test_files, few_rows, tmp_path, rate, status_text
):
    few_rows("report", "noise-std")
    more = ("--model=generator-mse", f"--generator_lr={rate}", "--epochs=20")
    arguments = [flag for flag in flags(two_test_files, tmp_path) if flag != "--epochs=1"]
    status, out, err = script("reproduce", *arguments, *more)
    assert status == 3, err
    for title in ("the report's protocol", "noise of std .015"):
        assert status_text in next(line for line in out.splitlines() if line.startswith(f"| {title} "))
    assert len(json.loads(StudyDir(tmp_path).results_json.read_text())["rows"]) == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--study=noise"], "study=noise: unknown; take one of protocol, relatives"),
        (["--model=wgan-gp"], "model 'wgan-gp': unknown"),
        (["--models=wgan"], "--models: not used with --study"),
        (["--data_dir=/nowhere"], "--data_dir: not used with --study"),
        (["--noise_std=0.015"], "so it is already"),
        (["--set=evaluation.windows=bone"], "evaluation.windows: not used with --study=protocol, which decides it"),
        (["--photons=4096"], "data.photons=4096: decides nothing with data.noise=gaussian"),
        (["--workdir="], "--workdir is required"),
        (["--source=phantoms"], "not used with source=phantoms"),
        (["--num_test=300"], "the train split is empty"),
    ],
)
def test_mistakes_end_in_one_line_before_any_training(script, two_test_files, tmp_path, more, message):
    given = {flag.split("=")[0] for flag in more}
    arguments = [flag for flag in flags(two_test_files, tmp_path) if flag.split("=")[0] not in given]
    status, out, err = script("reproduce", *arguments, *more)
    assert (status, out, err.count("error: ")) == (2, "", 1), err
    assert message in err.splitlines()[-1]
    assert not (tmp_path / "study" / "report").exists()


def test_model_without_a_study_is_refused(script, tmp_path):
    status, _, err = script("reproduce", "--model=wgan", f"--workdir={tmp_path}")
    assert (status, err.count("\n"), "goes with --study" in err) == (2, 1, True)


def test_what_the_tables_say_of_a_row():
    means = {"report_psnr": 35.0, "report_ssim": 0.99, "psnr": 34.0, "ssim": 0.9, "rmse_hu": 80.0}
    noisy = means | {"psnr": 36.5, "report_psnr": 36.25, "rmse_hu": None}
    counts = {"images": {"test": 128}, "patients": {"test": 22}, "patients_in_both": ["1", "2"], "step": 3}
    values = {"noisy": noisy, "model": means, "on_first": means | {"psnr": 21.0}}
    row = {"title": "a row", "status": "done", **values, **counts}
    row |= {"above_noisy": {"mean": -2.5, "low": -3.0, "high": -2.0}, "above_first": {"mean": 1, "low": 0, "high": 2}}
    results = {"rows": [row], "model": "wgan", "report_batch_size": 2}
    cells = [cell.strip() for cell in study_tables.protocol_table(results).splitlines()[2].split("|")]
    assert cells[1:5] == ["a row", "36.25 → 35.00", "0.9900 → 0.9900", "36.50 → 34.00"]
    assert cells[5:9] == ["0.9000 → 0.9000", "– → 80.0", "-2.50 [-3.00, -2.00]", "21.00"]
    assert cells[9:12] == ["+1.00 [0.00, 2.00]", "128 / 22", "2 of 22"]
    metrics = study_tables.metric_table(results)
    assert [line.split("|")[3].strip() for line in metrics.splitlines()[2:]] == ["34.00", "35.00", "0.9000", "0.9900"]


@pytest.mark.parametrize("module", [run_study, run_relatives])
def test_a_row_that_diverges_before_its_first_checkpoint_says_why(module, monkeypatch, tmp_path):
    # As in critic warm-up: what was wrong was said to be a checkpoint that cannot be read.
    def diverges(*_):
        raise Diverged("critic warm-up: real_score is nan")

    run = RunDir(tmp_path)
    if module is run_study:
        monkeypatch.setattr(run_study, "train_and_evaluate", diverges)
        arguments = (config.preset("demo"), None, run, None, None)
    else:
        monkeypatch.setattr(run_relatives, "train", diverges)
        arguments = (config.preset("demo"), None, run, None)
    with pytest.raises(Diverged, match="real_score is nan"):
        (module._train_and_evaluate if module is run_study else module._train)(*arguments)
