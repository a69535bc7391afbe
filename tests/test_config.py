"""wgan_vgg.config: the presets' values, overriding, refusing."""

import dataclasses
import json

import pytest

from data_prep.config import DataConfig
from data_prep.errors import InputError
from wgan_vgg import config
from wgan_vgg.config import nested


def test_report_preset_has_the_reports_values():
    report = config.preset("report")
    assert (report.data.image_size, report.data.num_train, report.data.num_test) == (64, 6272, 640)
    assert (report.data.noise_variance, report.data.noise_std) == (0.015, None)
    assert (report.optimizer.generator_lr, report.optimizer.critic_lr) == (1e-4, 1e-5)
    assert (report.loss.gradient_penalty_weight, report.loss.content_weight) == (10.0, 0.1)
    assert (report.training.batch_size, report.training.epochs) == (32, 100)
    assert report.vgg.weights == "imagenet"
    assert report.steps_per_epoch(6272) == 196
    assert report.total_steps(6272) == 19600


def test_notebook_preset_has_its_own_choices():
    notebook = config.preset("notebook")
    assert (notebook.data.noise_std, notebook.data.noise_variance) == (0.015, None)
    assert notebook.data.shared_noise_field
    assert notebook.data.rescale_low_dose
    assert (notebook.critic.sigmoid_output, notebook.critic.dense_slope, notebook.critic.padding) == (
        True,
        0.01,
        "symmetric",
    )
    assert (notebook.vgg.before_relu, notebook.vgg.mean_order) == (True, "rgb")
    assert (notebook.training.critic_steps, notebook.training.fresh_critic_batches) == (2, False)
    assert (notebook.loss.content_weight, notebook.optimizer.generator_betas) == (10.0, (0.5, 0.999))


def test_paper_and_tf1_presets_take_patches_of_whole_scans():
    for name, length in (("yang2018", (100, None)), ("original", (None, 200_000))):
        settings = config.preset(name)
        assert (settings.data.image_size, settings.input.patch_size, settings.input.crop) == (0, 64, "random")
        assert (settings.optimizer.generator_lr, settings.optimizer.critic_lr) == (1e-5, 1e-5)
        assert (settings.optimizer.generator_betas, settings.optimizer.critic_betas) == ((0.5, 0.9), (0.5, 0.9))
        assert (settings.training.batch_size, settings.training.critic_steps) == (128, 4)
        assert (settings.training.epochs, settings.training.steps) == length
        assert (settings.data.noise, settings.data.noise_variance) == ("none", None)


def test_lodopab_preset_has_its_own_choices():
    """Fails where it has the report's rate of the critic, or a rate that stays."""
    lodopab = config.preset("lodopab")
    assert (lodopab.optimizer.critic_lr, lodopab.optimizer.schedule) == (1e-4, "cosine")
    assert (lodopab.input.patch_size, lodopab.input.flips, lodopab.input.patches_per_image) == (64, True, 8)
    assert (lodopab.training.batch_size, lodopab.training.epochs, lodopab.training.steps) == (16, None, 20_000)
    assert (lodopab.data.noise, lodopab.data.reconstruction_filter) == ("poisson", "ram-lak")


def test_evaluations_are_an_epoch_apart_and_at_least_200_steps():
    """Fails where the shorter of the two is taken. 6400 images are 50 batches of 128, and 128,000 are 1000."""
    original = config.preset("original")
    assert (original.evaluation_interval(6400), original.evaluation_interval(128_000)) == (200, 1000)
    assert config.override(original, {"training.evaluation_steps": 7}).evaluation_interval(6400) == 7


def test_without_its_split_the_best_metric_is_the_same_one_of_training():
    """Fails where it becomes the PSNR."""
    chosen = config.preset("report", {"training.best_metric": "validation/mse"})
    assert chosen.fitting(("train", "validation")).training.best_metric == "validation/mse"
    assert chosen.fitting(("train",)).training.best_metric == "train/mse"


def test_only_the_demo_uses_random_vgg_weights():
    assert {name for name, preset in config.PRESETS.items() if preset.vgg.weights == "random"} == {"demo"}
    assert all(preset.preset == name for name, preset in config.PRESETS.items())


@pytest.mark.parametrize("name", config.PRESETS)
def test_json_round_trip(name):
    preset = config.preset(name)
    assert config.from_dict(json.loads(json.dumps(nested.to_dict(preset)))) == preset


def test_override_parses_text_as_the_fields_type():
    changed = config.override(
        config.preset("report"),
        {
            "optimizer.generator_lr": "1e-3",
            "training.batch_size": "8",
            "optimizer.critic_betas": "(0.0, 0.9)",
            "training.fresh_critic_batches": "false",
            "data.train_parts": "train,validation",
            "data.validation_parts": "",
            "vgg.weights": "random",
        },
    )
    assert changed.optimizer.generator_lr == 1e-3
    assert changed.training.batch_size == 8
    assert changed.optimizer.critic_betas == (0.0, 0.9)
    assert changed.training.fresh_critic_batches is False
    assert (changed.data.train_parts, changed.data.validation_parts) == (("train", "validation"), ())
    assert changed.vgg.weights == "random"


def test_a_preset_with_a_model_has_that_models_own_values():
    # The command line's models had them, those of Python's users had not.
    found = config.preset("lodopab", {"model": "generator-mse"}).optimizer
    assert (found.generator_lr, found.warmup_steps) == (1e-3, 50)
    found = config.preset("lodopab", {"model": "generator-mse", "optimizer.generator_lr": 1e-4}).optimizer
    assert (found.generator_lr, found.warmup_steps) == (1e-4, None), "all of them, or none"
    assert config.preset("report", {"model": "unpaired-kl"}).loss.content_weight == 10.0
    assert config.preset("lodopab", {"model": "wgan-vgg"}).optimizer.generator_lr == 1e-4


@pytest.mark.parametrize("text", ["1e308", "1e999"])
def test_more_epochs_than_any_training_has_are_refused(text):
    endless = config.preset("report", {"training.checkpoint_epochs": text})
    with pytest.raises(InputError, match=r"training\.checkpoint_epochs=.*: must be at most 1,000,000"):
        endless.in_steps("training.checkpoint_", 6272)


@pytest.mark.parametrize("text", ["none", "None", ""])
def test_a_text_that_may_be_none_can_be_unset(text):
    assert config.preset("demo").training.init_from == "generator-mse"
    assert config.preset("demo", {"training.init_from": text}).training.init_from is None


def test_overriding_one_spelling_clears_the_other():
    changed = config.override(config.preset("original"), {"training.epochs": "2"})
    assert (changed.training.epochs, changed.training.steps) == (2, None)
    changed = config.override(config.preset("report"), {"data.noise_std": 0.1})
    assert (changed.data.noise_std, changed.data.noise_variance) == (0.1, None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer.generater_lr": 1}, "did you mean optimizer.generator_lr"),
        ({"batch_size": 1}, "did you mean .*training.batch_size"),
        ({"training.epochs": 1, "training.steps": 1}, "say the same thing"),
        ({"data.noise_std": 0.1, "data.noise_variance": 0.1}, "say the same thing"),
        ({"training.batch_size": "2.5"}, "expected int"),
        ({"training.batch_size": "0"}, "must be at least 1"),
        ({"optimizer.generator_lr": "fast"}, "expected float"),
        ({"optimizer.generator_lr": float("nan")}, "must be at least 0"),
        ({"optimizer.generator_betas": "(0.5, 0.9, 0.9)"}, "expected"),
        ({"training.fresh_critic_batches": "1"}, "expected bool"),
        ({"model": "wgan-gp"}, "take one of generator-mse"),
        ({"data.noise": "poison"}, "take one of gaussian"),
        ({"data.photons": "0.5"}, r"data\.photons=0\.5: must be at least 1"),
        ({"data.max_air_fraction": 1.5}, r"data\.max_air_fraction=1\.5: must be in \[0, 1\]"),
        ({"optimizer.critic_betas": (2.0, 0.9)}, r"each must be in \[0, 1\)"),
        ({"critic.filters": (0, 4)}, "one or more values, each at least 1"),
        ({"critic.filters": ""}, "one or more values, each at least 1"),
        ({"optimizer.critic_betas": ""}, "optimizer.critic_betas='': expected tuple"),
        ({"training.batch_size": ""}, "training.batch_size='': expected int"),
    ],
)
def test_override_refuses(values, message):
    with pytest.raises(InputError, match=message):
        config.override(config.preset("report"), values)


def test_data_settings_of_an_older_manifest_are_as_they_were():
    written = json.loads(json.dumps(config.preset("yang2018").data.to_manifest()))
    assert DataConfig.from_manifest(written) == config.preset("yang2018").data
    for name in ("patch_size", "max_air_fraction", "validation_parts"):
        del written[name]
    older = DataConfig.from_manifest(written)
    assert (older.patch_size, older.max_air_fraction, older.validation_parts) == (0, 0.8, ())


def test_unknown_preset():
    with pytest.raises(InputError, match="take one of report, notebook"):
        config.preset("reprot")


def test_batch_larger_than_the_data():
    with pytest.raises(InputError, match="only 31 training images"):
        config.preset("report").steps_per_epoch(31)


def test_differences_names_the_keys():
    report = config.preset("report")
    other = dataclasses.replace(report, seed=1)
    found = nested.differences(nested.to_dict(report), nested.to_dict(other))
    assert found == ["seed: 0 -> 1"]


def test_a_models_own_values_yield_to_either_spelling_of_a_duration():
    """Fails where only warmup_steps, which the preset's value names, counts as set otherwise."""
    lodopab = config.preset("lodopab")
    assert config.for_model(lodopab, "generator-mse").optimizer.warmup_steps == 50
    given = config.override(lodopab, {"optimizer.warmup_epochs": 1})
    assert config.for_model(given, "generator-mse").optimizer == given.optimizer


def test_a_value_that_is_given_counts_even_where_it_is_the_presets():
    """Fails where values are compared alone: 64 steps, asked for, became the model's 1200."""
    demo = config.preset("demo")
    assert config.for_model(demo, "generator-mse").training.steps == 1200
    assert config.for_model(demo, "generator-mse", {"training.steps": "64"}).training.steps == 64
    assert config.for_model(demo, "generator-mse", {"training.epochs": "1"}).training.steps == 64
    assert config.for_model(demo, "generator-mse", {"seed": "1"}).training.steps == 1200


def test_values_that_are_not_taken_are_named():
    lodopab, demo = config.preset("lodopab"), config.preset("demo")
    assert config.not_taken(lodopab, "generator-mse") == ""
    assert config.not_taken(lodopab, "wgan-vgg", {"optimizer.generator_lr"}) == ""
    assert config.not_taken(lodopab, "generator-mse", {"optimizer.generator_lr", "optimizer.warmup_steps"}) == ""
    text = config.not_taken(lodopab, "generator-mse", {"optimizer.warmup_steps"})
    assert text.startswith("generator-mse: since optimizer.warmup_steps was given, of the preset not taken: ")
    assert text.endswith(": optimizer.generator_lr=0.001")
    # Epochs clear steps, which nobody gave.
    text = config.not_taken(config.override(demo, {"training.epochs": 1}), "generator-mse", {"training.epochs"})
    assert text.startswith("generator-mse: since training.epochs was given, of the preset not taken: training.eval")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data.photons": 1e20}, r"data\.photons=1e\+20: must be at most 1e\+15"),
        ({"data.photons": (float("inf"), 4096.0)}, "must be at most"),
        ({"data.dose": 1 - 1e-16}, "too near to 1"),
        ({"data.photons": ()}, "several doses must be different"),
    ],
)
def test_doses_that_cannot_be_drawn_or_say_nothing(values, message):
    with pytest.raises(InputError, match=message):
        config.override(config.preset("lodopab"), values)
