"""The relatives' table: which rows it has, how long each trains, what is judged, and how it goes on."""

import time

import pytest
from training_runs import TINY, files_with_times

from wgan_vgg import config
from wgan_vgg.config import MODELS, nested
from wgan_vgg.config.networks import GENERATORS
from wgan_vgg.evaluation import repeats
from wgan_vgg.evaluation.methods import Method
from wgan_vgg.files import read_json, write_json
from wgan_vgg.reporting.relatives_tables import costs_table
from wgan_vgg.reproduction import relatives, row_costs, run_relatives
from wgan_vgg.run_dir import RelativesDir

ROWS = ("plain-cnn", "wgan-mse", "unpaired-kl")
# Steps of .2, .1 and .5 s in a second.
COSTS = {
    name: {"parameters": 1234, "seconds_a_step": seconds, "seconds_a_slice": 0.015}
    for name, seconds in zip(ROWS, (0.2, 0.1, 0.5), strict=True)
}
STEPS = {"plain-cnn": 5, "wgan-mse": 10, "unpaired-kl": 2}


def flags(data_dir, workdir, *more):
    small = [flag for flag in TINY if not flag.startswith(("--epochs", "--set=generator"))]
    few = ["--set=evaluation.baselines=gaussian", "--set=evaluation.perceptual=false", "--row_seconds=1"]
    few += ["--set=evaluation.repeated_images=0"]
    return [*small, *few, "--study=relatives", f"--data_dir={data_dir}", f"--workdir={workdir}", *more]


def test_every_generator_and_every_model_has_a_row_in_an_order_that_can_be_trained():
    relatives.check_rows(list(relatives.RELATIVES))
    configs = [relatives.row_config(config.preset("lodopab"), name) for name in relatives.RELATIVES]
    assert {one.generator.name for one in configs} == set(GENERATORS)
    assert {one.model for one in configs} == set(MODELS)


def test_a_row_differs_in_what_it_says_and_has_its_models_own_values(tmp_path):
    base = config.preset("lodopab")
    plain, unet, later = (
        relatives.row_config(base, *more) for more in (("plain-cnn",), ("unet",), ("wgan-vgg", 1, tmp_path))
    )
    changed = nested.differences(nested.to_dict(plain), nested.to_dict(unet))
    assert all(line.startswith("generator.") for line in changed), changed
    assert plain.optimizer.generator_lr == 1e-3, "the preset's for generator-mse"
    assert (later.optimizer.generator_lr, later.training.init_from, later.seed) == (1e-4, str(tmp_path), base.seed + 1)
    # The demo begins its models with generator-mse; a row begins with another row or with random weights.
    assert relatives.row_config(config.preset("demo"), "unpaired-kl").training.init_from is None


@pytest.mark.parametrize(
    "flag", ["--generator=unet", "--generator_lr=5e-5", "--init_from=there", "--set=training.evaluation_steps=3"]
)
def test_what_rows_decide_is_not_given(flag, data_dir, tmp_path, script):
    status, out, err = script("reproduce", *flags(data_dir, tmp_path / "out", flag))
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert "not used with --study=relatives, whose rows decide it; leave it out" in err
    assert not (tmp_path / "out").exists()


def test_costs_are_those_of_the_same_config_and_data(tmp_path, monkeypatch):
    class Data:
        fingerprint = "a"

    place, data, base = RelativesDir(tmp_path), Data(), config.preset("demo")
    place.create()
    seen = []
    monkeypatch.setattr(run_relatives, "measure", lambda *asked: seen.append(asked) or COSTS["plain-cnn"])
    larger = config.override(base, {"training.batch_size": 64})
    for one in (base, base, larger, larger):
        assert run_relatives._costs({"plain-cnn": one}, data, place, lambda *_: None)["plain-cnn"]["parameters"] == 1234
    assert len(seen) == 2
    data.fingerprint = "b"
    run_relatives._costs({"plain-cnn": larger}, data, place, lambda *_: None)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("step", "row", "steps", "every"),
    [(0.25, 10, 40, 10), (0.3, 1, 3, 1), (3, 1, 1, 1), (0.25, 1.5, 6, 2), (0.6, 1, 1, 1)],
)
def test_as_many_steps_as_fit_into_the_time_and_four_evaluations(step, row, steps, every):
    training = relatives.with_steps(config.preset("lodopab"), step, row).training
    assert (training.steps, training.evaluation_steps, training.epochs) == (steps, every, None)


@pytest.mark.slow
def test_the_table_is_of_the_rows_runs_and_is_not_made_twice(script, data_dir, tmp_path, monkeypatch):
    place = RelativesDir(tmp_path)
    costs = {relatives.RELATIVES[name].model: found for name, found in COSTS.items()}
    monkeypatch.setattr(run_relatives, "measure", lambda config, _data: costs[config.model])
    arguments = flags(data_dir, tmp_path, f"--models={','.join(ROWS)}", "--seeds=2")
    status, out, err = script("reproduce", *arguments)
    assert status == 0, err
    results = read_json(place.results_json)
    assert {row["name"]: row["steps"] for row in results["rows"]} == STEPS
    chosen = {row["name"]: row["chosen_steps"] for row in results["rows"]}
    assert chosen["wgan-mse"] == [10, 10], "the last: by PSNR it might be the weights that it begins with"
    summaries = [read_json(place.evaluation(repetition).eval_json("test")) for repetition in range(2)]
    for name, of_seeds in chosen.items():
        for repetition, step in enumerate(of_seeds):
            rows = {row["step"]: row["validation"]["psnr"] for row in place.run(name, repetition).rows()}
            assert name == "wgan-mse" or rows[step] == max(rows.values())
            assert rows.keys() > {0, STEPS[name]}
        means = [summary["methods"][name]["psnr"] for summary in summaries]
        assert means[0] != means[1], "two trainings"
        assert results["evaluation"]["methods"][name]["psnr"] == pytest.approx(sum(means) / 2)
    first = place.run("plain-cnn", 1).path
    assert place.run("wgan-mse", 1).stored()["init_from"]["source"] == str(first)
    assert "| noisy input " in out and "| gaussian " in out and "convolutions in float32" in out
    assert place.results_md.read_text().strip() in out
    before = files_with_times(tmp_path)
    assert script("reproduce", *arguments)[0] == 0
    assert files_with_times(tmp_path) == before, "what is done is not done again"


def test_what_a_row_costs_is_measured_once(script, data_dir, tmp_path):
    arguments = flags(data_dir, tmp_path, "--models=plain-cnn", "--row_seconds=.001")
    status, _, err = script("reproduce", *arguments)
    assert status == 0, err
    costs = read_json(RelativesDir(tmp_path).costs)["plain-cnn"]["costs"]
    # 8 layers of 3x3: 1 -> 32, six of 32 -> 32, 32 -> 1.
    assert costs["parameters"] == 9 * 32 + 32 + 6 * (9 * 32 * 32 + 32) + 9 * 32 + 1
    assert costs["seconds_a_slice"] > 0
    assert costs["seconds_a_step"] > 0


def test_the_first_call_which_compiles_is_not_timed():
    waits = iter([1.0, *[0.02] * 1000])
    assert 0.01 < row_costs._seconds(lambda: time.sleep(next(waits))) < 0.5


def test_the_tables_cells():
    row = {"name": "unet", "model": "generator-mse", "begins_with": None, "parameters": 1859393, "steps": 1950}
    row |= {"seconds_a_step": 0.1234, "seconds_a_slice": 0.0456, "chosen_steps": [1464, None], "ending": "collapsed"}
    line = costs_table({"rows": [row]}).splitlines()[2]
    assert [cell.strip() for cell in line.split("|")[1:-1]] == [
        *("unet", "generator-mse", "random weights", "1,859,393", "0.123", "1,950", "1,464, –", "0.046"),
        "**collapsed**",
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--models=plain-cnn,resnet"], "models=plain-cnn,resnet: resnet is no row; take of plain-cnn, red-cnn"),
        (["--models=wgan-vgg,plain-cnn"], "wgan-vgg begins with the weights of plain-cnn; name that before it"),
        (["--models=unet,unet"], "unet is named twice"),
        (["--row_seconds=0"], "row_seconds=0: must be above 0"),
        (["--row_seconds=inf"], "row_seconds=inf: must be above 0, and finite"),
        (["--seeds=0"], "seeds=0: must be at least 1"),
        (["--steps=9"], "--steps: not used with --study=relatives"),
        (["--model=wgan"], "--model: not used with --study=relatives"),
        (["--data_dir="], "--data_dir is required"),
    ],
)
def test_mistakes_end_in_one_line_before_any_work(script, data_dir, tmp_path, more, message):
    status, out, err = script("reproduce", *flags(data_dir, tmp_path, *more))
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert message in err
    assert not any(tmp_path.iterdir())


def test_row_seconds_without_that_study_is_refused(script, tmp_path):
    status, _, err = script("reproduce", "--row_seconds=3", f"--workdir={tmp_path}")
    assert (status, err.count("\n"), "goes with --study=relatives" in err) == (2, 1, True)


def test_rows_that_trained_on_are_evaluated_again(tmp_path, monkeypatch):
    steps, versions, seen = {}, {}, []
    monkeypatch.setattr(run_relatives, "_method", lambda name, _: Method(name, lambda batch: batch, steps[name]))

    def evaluate(method, results, *_, **__):
        seen.append(method.step)
        settings = nested.to_dict(config.preset("demo").evaluation)
        summary = {**versions, "settings": settings, "steps": {method.name: method.step}}
        write_json(results.eval_json("test"), summary)

    monkeypatch.setattr(run_relatives, "evaluate", evaluate)
    place = RelativesDir(tmp_path)
    place.evaluation(0).create()
    for steps["plain-cnn"], versions["version"] in (
        (100, 1),
        (100, repeats.VERSION),
        (100, repeats.VERSION),
        (200, repeats.VERSION),
    ):
        run_relatives._evaluate(config.preset("demo"), ["plain-cnn"], None, place, 0, lambda *_: None)
    assert seen == [100, 100, 200], "an earlier version's is made anew, too"
