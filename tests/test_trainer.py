"""What a training does besides stepping: the monitors, the best checkpoint, early stopping, averages, warm-up."""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf
from training_runs import tiny

from wgan_vgg import config
from wgan_vgg.checkpoint_reader import checkpoint_prefixes, load_generator, newest_step
from wgan_vgg.errors import Diverged
from wgan_vgg.evaluation import metrics
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training import distribute, gradients, initialization, train_step, trainer
from wgan_vgg.training import rows as training_rows
from wgan_vgg.training.batches import training_batches
from wgan_vgg.training.state import create_state


def row(step, psnr, mse=1.0):
    return {"step": step, "train": {"psnr": psnr, "mse": mse}, "test": {"psnr": -psnr, "mse": -mse}}


def test_the_best_row_is_the_highest_psnr_or_the_lowest_error_and_the_first_of_equals():
    rows = [row(0, 10.0, 3.0), row(1, 12.0, 2.0), row(2, 12.0, 1.0)]
    assert training_rows.best_row(rows, "train/psnr")["step"] == 1
    assert training_rows.best_row(rows, "train/mse")["step"] == 2
    assert training_rows.best_row(rows, "test/psnr")["step"] == 0
    older = [row(0, 99.0) | {"train": {"psnr": 0.0}}, *rows]
    del older[1]["train"]
    assert training_rows.best_row(older, "train/psnr")["step"] == 1, "rows that did not look at the split do not count"


def test_early_stopping_ends_after_so_long_without_a_better_one(script, data_dir, tmp_path, monkeypatch):
    psnrs = iter([10.0, 12.0, 11.0, 11.9, 13.0])
    evaluate = trainer.Monitor.evaluate

    def evaluate_so(self):
        values = evaluate(self)
        values["validation"]["psnr"] = next(psnrs)
        return values

    monkeypatch.setattr(trainer.Monitor, "evaluate", evaluate_so)
    arguments = tiny("generator-mse", data_dir, tmp_path, "--epochs=9", "--early_stopping_epochs=2")
    status, out, _ = script("train", *arguments)
    assert (status, "stopped early" in out) == (0, True)
    rows = RunDir(tmp_path).rows()
    assert [r["stopped_early"] for r in rows] == [False, False, False, True]
    assert [p.name for p in checkpoint_prefixes(RunDir(tmp_path).best)] == ["step-000000006"]
    assert script("train", *arguments)[0] == 0, "and stays so"
    assert len(RunDir(tmp_path).rows()) == 4


def test_an_infinite_gradient_is_named_with_its_step_before_anything_is_saved(script, data_dir, tmp_path, monkeypatch):
    """Its losses are finite: a check of the losses alone would save the weights that it spoils."""
    half_squares = gradients._half_squares
    monkeypatch.setattr(gradients, "_half_squares", lambda *given: half_squares(*given) + np.inf)
    status, _, err = script("train", *tiny("wgan-mse", data_dir, tmp_path))
    assert (status, err.count("error: ")) == (3, 1)
    assert "step 1: critic_gradients (training) is inf; the last good checkpoint is step 0" in err
    assert newest_step(RunDir(tmp_path)) == 0


def test_a_nan_of_the_monitor_stops_too_and_an_infinite_psnr_does_not(tmp_path):
    run = RunDir(tmp_path)
    trainer.check_finite("step 1", {"train": {"mse": 0.0, "psnr": np.inf, "average_psnr": np.inf}}, run)
    with pytest.raises(Diverged, match=r"step 3: mse \(test\) is nan; nothing was saved"):
        trainer.check_finite("step 3", {"train": {"mse": 0.0}, "test": {"mse": np.nan}}, run)
    with pytest.raises(Diverged, match=r"psnr \(train\) is nan"):
        trainer.check_finite("step 3", {"train": {"psnr": np.nan}}, run)


def test_an_output_that_stays_black_ends_the_run_within_the_epoch(script, data_dir, tmp_path):
    """Fails, too, where an evaluation, here every three steps, forgets the black ones before it."""
    flags = (
        "--epochs=none",
        "--steps=20",
        "--generator_lr=10",
        "--evaluation_steps=3",
        "--set=training.collapse_steps=5",
        "--batch_size=1",
    )
    arguments = [flag for flag in tiny("generator-mse", data_dir, tmp_path) if not flag.startswith(("--ep", "--ba"))]
    status, out, _ = script("train", *arguments, *flags[1:], "--set=training.collapse_ratio=0")
    assert (status, "collapsed" in out) == (3, True)
    last = RunDir(tmp_path).rows()[-1]
    assert (last["step"], last["epoch"]) == (10, 0.4167), "looked at every ten steps, of an epoch of 24"
    assert last["losses"]["zero_share"] > 0.5


def test_the_average_follows_its_formula_and_starts_as_the_generator(data_dir):
    settings = config.override(
        config.preset("demo"),
        {"model": "generator-mse", "training.batch_size": 4, "training.ema_decay": 0.5, "generator.layers": 2},
    )
    data = DataSet.open(data_dir)
    state = create_state(settings, data.image_shape, 24)
    initialization.initialize_generator(state, settings, data.first("train", 4)[0])
    expected = [weight.copy() for weight in state.generator.get_weights()]
    for ours, theirs in zip(state.average.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    step = train_step.build_train_step(state, settings, tf.distribute.get_strategy())
    for number, (images, _) in enumerate(training_batches(settings, data, 0).take(12), start=1):
        step(images, (), tf.constant(0.0))
        keep = min(0.5, number / (9 + number))
        weights = state.generator.get_weights()
        expected = [keep * old + (1 - keep) * new for old, new in zip(expected, weights, strict=True)]
    for ours, theirs in zip(state.average.get_weights(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.fixture
def critic_diet(monkeypatch):
    """The sums of every batch that a critic update takes, as it runs."""
    seen = []
    update = train_step.critic_update

    def noted(state, settings, images, *rest):
        tf.py_function(lambda total: seen.append(float(total)), [tf.reduce_sum(images[0])], [])
        return update(state, settings, images, *rest)

    monkeypatch.setattr(train_step, "critic_update", noted)
    return seen


CRITIC = {
    "model": "wgan-mse",
    "training.batch_size": 4,
    "training.critic_steps": 3,
    "generator.layers": 2,
    "critic.filters": (4, 4),
    "critic.dense_units": 4,
}


def run_steps(data_dir, count, **values):
    settings = config.override(config.preset("report"), CRITIC | values)
    data = DataSet.open(data_dir)
    state = create_state(settings, data.image_shape, 24)
    strategy = tf.distribute.get_strategy()
    warmed = list(initialization.warm_up_critic(state, settings, data, strategy))
    assert len(warmed) == values.get("training.critic_warmup_steps", 0)
    step = train_step.build_train_step(state, settings, strategy)
    generator_sums = []
    batches = distribute.distributed(functools.partial(training_batches, settings, data, 0), strategy)
    for _ in range(count):
        images, critic_images = next(batches)
        generator_sums.append(float(tf.reduce_sum(images[0])))
        step(images, critic_images, tf.constant(0.0))
    return state, generator_sums


def test_the_critic_takes_a_fresh_batch_each_time_as_in_the_paper(data_dir, critic_diet):
    state, generator_sums = run_steps(data_dir, 6)
    assert len(critic_diet) == 18 == int(state.critic_optimizer.iterations)
    epochs = [critic_diet[:6], critic_diet[6:12], critic_diet[12:]]
    for epoch in epochs:
        assert len(set(epoch)) == 6, "a pass over the data without a batch twice"
        assert sum(epoch) == pytest.approx(sum(generator_sums), rel=1e-4), "of the same images as the generator's pass"
    assert not set(critic_diet[:6]) & set(generator_sums), "in an order of its own"


def test_the_critic_takes_one_batch_as_in_the_notebook(data_dir, critic_diet):
    _, generator_sums = run_steps(data_dir, 6, **{"training.fresh_critic_batches": False})
    assert critic_diet == [total for total in generator_sums for _ in range(3)]


def test_the_critic_warms_up_before_the_first_step(data_dir, critic_diet):
    state, _ = run_steps(data_dir, 0, **{"training.critic_warmup_steps": 8})
    assert len(critic_diet) == 8 == int(state.critic_optimizer.iterations)
    assert len(set(critic_diet[:6])) == 6
    assert (int(state.generator_optimizer.iterations), int(state.step)) == (0, 0)


def test_warm_up_is_a_flag_and_part_of_the_start(script, data_dir, tmp_path):
    assert script("train", *tiny("wgan-mse", data_dir, tmp_path, "--critic_warmup_steps=5", "--max_steps=1"))[0] == 0
    reader = tf.train.load_checkpoint(str(tmp_path / "checkpoints" / "step-000000000"))
    name = next(name for name in reader.get_variable_to_shape_map() if "critic_optimizer/_iterations" in name)
    assert reader.get_tensor(name) == 5


def test_a_warm_up_that_diverges_or_is_stopped_is_told_as_such(script, data_dir, tmp_path, monkeypatch):
    arguments = tiny("wgan-mse", data_dir, tmp_path, "--critic_warmup_steps=9")
    status, _, err = script("train", *arguments, "--critic_lr=1e30")
    assert status == 3
    assert "critic warm-up 2: critic_wasserstein (training) is " in err
    assert "nothing was saved" in err
    monkeypatch.setattr(trainer.Trainer, "_stop_flag", lambda _: 1.0)
    status, _, err = script("train", *arguments[:-1], "--critic_warmup_steps=5", f"--workdir={tmp_path / 'new'}")
    assert (status, "stopped in the critic's warm-up, nothing saved yet" in err) == (143, True)


def test_profile_and_tensorboard(script, data_dir, tmp_path):
    assert script("train", *tiny("generator-mse", data_dir, tmp_path, "--epochs=1", "--profile=2"))[0] == 0
    assert list((tmp_path / "tensorboard").rglob("*.xplane.pb"))
    tags, hyperparameters = set(), {}
    for file in (tmp_path / "tensorboard").glob("events.*"):
        for event in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            for value in tf.compat.v1.Event.FromString(event).summary.value:
                tags.add(value.tag)
                if value.metadata.plugin_data.plugin_name == "hparams":
                    hyperparameters[value.tag] = value.metadata.plugin_data.content
    assert {"psnr/validation", "zero_share/train", "noisy | denoised | truth"} <= tags
    assert any(b"optimizer.generator_lr" in content for content in hyperparameters.values())


def test_the_environment_of_each_launch(script, data_dir, tmp_path):
    assert script("train", *tiny("generator-mse", data_dir, tmp_path, "--epochs=1", "--seed=3"))[0] == 0
    (launch,) = json.loads((tmp_path / "environment.json").read_text())
    assert {"python", "packages", "devices", "git", "command", "cpu_count"} <= set(launch)
    assert (launch["seed"], launch["strategy"], launch["replicas"]) == (3, "OneDeviceStrategy", 1)


@pytest.mark.parametrize(("content", "message"), [("", "not valid JSON"), ("{}", "not a run's config")])
def test_a_foreign_config_file_is_refused(script, data_dir, tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    for name, arguments in (
        ("train", tiny("generator-mse", data_dir, tmp_path)),
        ("evaluate", [f"--workdir={tmp_path}", f"--data_dir={data_dir}"]),
    ):
        status, _, err = script(name, *arguments)
        assert (status, err.count("\n"), message in err) == (2, 1, True)
    assert (tmp_path / "config.json").read_text() == content


def test_training_on_patches_is_judged_on_whole_images(script, data_dir, tmp_path):
    flags = ("--set=input.patch_size=16", "--set=input.flips=true", "--epochs=1")
    assert script("train", *tiny("wgan-mse", data_dir, tmp_path, *flags))[0] == 0
    generator = load_generator(RunDir(tmp_path))
    low_dose, normal_dose = DataSet.open(data_dir).first("validation", 4)
    outputs = generator(low_dose).numpy()[..., 0]
    expected = [metrics.psnr(t, o) for t, o in zip(normal_dose.numpy()[..., 0], outputs, strict=True)]
    assert RunDir(tmp_path).rows()[-1]["validation"]["psnr"] == pytest.approx(np.mean(expected), abs=1e-3)
