"""Unpaired training: no patient gives both doses; its losses; a resumed run."""

import json

import numpy as np
import pytest
import tensorflow as tf
from deployed import odd_images
from training_runs import checkpoint_digest, tiny, without_times

from wgan_vgg import config
from wgan_vgg.errors import InputError
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.reproduction.reproduce import _model_config
from wgan_vgg.run_dir import ReproductionDir, RunDir
from wgan_vgg.training import trainer
from wgan_vgg.training.batches import training_batches
from wgan_vgg.training.gradients import generated, generator_terms, weighted_terms
from wgan_vgg.training.state import create_state
from wgan_vgg.training.unpaired import disjoint_patients

MODELS = ("unpaired-kl", "unpaired-wasserstein")


def settings(model="unpaired-wasserstein", **values):
    few = {"training.batch_size": 4, "training.critic_steps": 2, "critic.filters": (4, 4), "critic.dense_units": 4}
    return config.override(config.preset("report"), {"model": model, **few, "generator.layers": 2, **values})


def patients_of(images, records, name):
    """Whose each image is, found by its pixels."""
    held = np.stack([record[name] for record in records])
    found = [int(np.argmin(np.abs(held - image).max(axis=(1, 2, 3)))) for image in images.numpy()]
    assert all(np.array_equal(held[index], image) for index, image in zip(found, images.numpy(), strict=True))
    return {records[index]["patient_id"].decode() for index in found}


@pytest.mark.parametrize("held", [True, False])
def test_no_patient_gives_both_doses_in_three_passes(data_dir, held):
    data = DataSet.open(data_dir)
    values = {} if held else {"input.memory_gb": 0}
    records = [{k: v.numpy() for k, v in record.items()} for record in data.records("train")]
    low, normal = set(), set()
    for batch, critic_batches in training_batches(settings(**values), data, 0).take(10):
        for low_dose, normal_dose in (batch, *critic_batches):
            low |= patients_of(low_dose, records, "low_dose")
            normal |= patients_of(normal_dose, records, "normal_dose")
    assert (len(low), len(normal)) == (3, 3), "of six"
    assert not low & normal


def test_the_halves_depend_on_the_seed_alone(data_dir):
    data = DataSet.open(data_dir)
    first, same, other = (disjoint_patients(data, seed)[0].tolist() for seed in (1, 1, 2))
    assert first == same != other


def test_records_without_patients_are_refused(data_dir):
    data = DataSet.open(data_dir)
    for patients, message in (("unknown", "patients it does not name"), (["1"], "of one patient")):
        strange = DataSet(data.path, data.manifest | {"patients": {"train": patients}})
        with pytest.raises(InputError, match=message):
            disjoint_patients(strange, 0)


@pytest.mark.parametrize("model", MODELS)
def test_fidelity_is_to_the_input_and_not_to_the_truth(model):
    chosen = settings(model, **{"loss.content_weight": 0.5})
    state = create_state(chosen, (16, 16), 10)
    images = tuple(tf.constant(odd_images(2, 16, 16, seed)) for seed in (1, 2))
    patches = generated(state, images, training=True)
    terms = generator_terms(state, chosen, patches, paired=False)
    wanted = np.mean((images[0].numpy() - state.generator(images[0]).numpy()) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(terms["fidelity"], wanted, rtol=1e-5)
    assert "mse" not in terms, "there is no truth to compare with"
    scores = state.critic(patches.fake).numpy()[:, 0]
    adversarial = -np.exp(scores - 1) if model == "unpaired-kl" else -scores
    np.testing.assert_allclose(terms["generator_loss"], 0.5 * wanted + adversarial, rtol=1e-5)
    assert len(weighted_terms(chosen, terms)) == 2


def test_fidelity_weighs_10_in_every_preset_unless_another_weight_is_given():
    for name in config.PRESETS:
        assert config.for_model(config.preset(name), "unpaired-kl").loss.content_weight == 10.0
    given = config.preset("report", {"loss.content_weight": 3.0})
    assert config.for_model(given, "unpaired-kl").loss.content_weight == 3.0
    assert config.for_model(config.preset("report"), "wgan-mse").loss.content_weight == 0.1


def test_a_reproduction_does_not_begin_it_with_what_pairs_taught(tmp_path):
    names, place = ["generator-mse", "wgan-mse", *MODELS], ReproductionDir(tmp_path)
    begun = {name: _model_config(config.preset("demo"), name, names, place, 0).training.init_from for name in names}
    assert begun["wgan-mse"] == str(tmp_path / "generator-mse")
    assert [begun[name] for name in MODELS] == [None, None]


def test_a_batch_that_is_too_large_leaves_no_run_and_the_corrected_command_begins(
    data_dir, tmp_path, script, monkeypatch
):
    monkeypatch.setattr(trainer.Trainer, "run_epochs", lambda *_, **__: None)
    command = [flag for flag in tiny("unpaired-kl", data_dir, tmp_path / "run") if not flag.startswith("--batch_size")]
    status, _, err = script("train", *command, "--batch_size=20")
    assert (status, err.count("\n"), "or less" in err) == (2, 1, True), err
    status, _, err = script("train", *command, "--batch_size=4")
    assert status == 0, err


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_resumed_run_ends_as_an_unbroken_one(model, data_dir, tmp_path, script):
    for name, flags in (("whole", []), ("broken", ["--max_steps=5"]), ("broken", [])):
        status, _, err = script("train", *tiny(model, data_dir, tmp_path / name, *flags))
        assert status == 0, err
    whole, broken = (RunDir(tmp_path / name) for name in ("whole", "broken"))
    assert without_times(whole.rows()) == without_times(broken.rows())
    assert checkpoint_digest(whole.path, 12) == checkpoint_digest(broken.path, 12)
    assert {"fidelity", "mse"} <= set(whole.rows()[-1]["validation"])
    assert "mse" not in whole.rows()[-1]["losses"]
    assert json.loads(whole.config.read_text())["config"]["model"] == model
