"""A run published as a model that ships: its weights, its card, the commands that make it again."""

import json
import shutil

import numpy as np
import pytest
from conftest import REPO

import wgan_vgg
from data_prep.errors import InputError
from wgan_vgg import pretrained
from wgan_vgg.checkpoint_reader import load_generator
from wgan_vgg.config import for_model, override, preset
from wgan_vgg.files import read_json
from wgan_vgg.reporting import card_results, model_card
from wgan_vgg.reporting.markdown import with_interval
from wgan_vgg.reporting.model_card import publish
from wgan_vgg.run_dir import RunDir

NAMES = list(pretrained.index())


def test_a_cards_command_for_another_network_can_be_read_again():
    changed = override(preset("lodopab"), {"generator.name": "red-cnn", "critic.name": "patch", "model": "wgan-vgg"})
    flags = [flag.removeprefix("--set=") for flag in model_card._flags(changed)]
    assert override(preset("lodopab"), {"model": "wgan-vgg"} | dict(flag.split("=") for flag in flags)) == changed
    assert not any(" " in flag for flag in flags), "the shell would divide it"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"optimizer.generator_lr": 1e-4, "optimizer.warmup_steps": None},  # the preset's
        {"optimizer.generator_lr": 1e-3, "optimizer.warmup_steps": 100},
        {"optimizer.generator_lr": 2e-3, "training.steps": 7},
    ],
)
def test_a_cards_command_trains_the_same_again(values):
    """Fails where what is printed makes the model's other values give way."""
    trained = override(for_model(preset("lodopab"), "generator-mse"), values)
    given = dict(flag.removeprefix("--set=").split("=") for flag in model_card._flags(trained))
    assert for_model(override(preset("lodopab"), given), "generator-mse", given) == trained


def test_publishing_a_run_writes_weights_card_and_index(script, reproduction, tmp_path, monkeypatch):
    package = shutil.copytree(REPO / "wgan_vgg" / "pretrained", tmp_path / "pretrained")
    monkeypatch.setattr(pretrained, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(pretrained, "_FOLDER", package)
    monkeypatch.setattr(pretrained, "_INDEX", package / "index.json")
    run = RunDir(shutil.copytree(reproduction / "wgan-mse", tmp_path / "run"))
    note = tmp_path / "note.md"
    for name in ("", "..", "a/b", "../mine", "a\\b"):
        with pytest.raises(InputError, match="must be a file's name without folders"):
            publish(run, name, "A model.", note)
    with pytest.raises(InputError, match="its validation split was not evaluated"):
        publish(run, "mine", "A model.", note)
    flags = (
        f"--workdir={run.path}",
        f"--data_dir={reproduction / 'data'}",
        "--split=validation",
        "--baselines=gaussian",
    )
    assert script("evaluate", *flags, "--vgg_weights=none")[0] == 0
    with pytest.raises(InputError, match="no such file; describe the data"):
        publish(run, "mine", "A model.", note)
    note.write_bytes("Größe".encode("latin1"))
    (package / "mine.safetensors").write_text("what shipped before")
    with pytest.raises(InputError, match="not UTF-8 text"):
        publish(run, "mine", "A model.", note)
    assert (package / "mine.safetensors").read_text() == "what shipped before"
    (tmp_path / "opened_before").hardlink_to(package / "mine.safetensors")
    note.write_text("# Their data\n\nBlobs, CC0.\n")
    with pytest.raises(InputError, match="evaluate it again with --best"):
        publish(run, "mine", "A model.", note, weights="best")
    path = publish(run, "mine", "A model.", note)
    assert path == package / "mine.safetensors"
    assert (tmp_path / "opened_before").read_text() == "what shipped before", "whole under another name, then renamed"
    assert pretrained.find("mine", ".onnx") == package / "mine.onnx"
    assert list(read_json(package / "index.json")) == [*NAMES, "mine"]
    card = pretrained.card("mine")
    assert card.startswith("# mine\n\nA model.\n")
    assert "## Data\n\nBlobs, CC0.\n" in card, "the note's own heading is not taken over"
    assert "12 steps of batch 4" in card
    assert "\n    python -m experiments.train --preset=demo --model=wgan-mse --data_dir=RECORDS" in card
    assert "takes values as they are, with HU = 4072 * value -1001." in card
    assert "50 to 200 HU" in card
    of_validation, _, of_test = card.partition("## Results: test")
    for split, text in (("validation", of_validation), ("test", of_test)):
        means = read_json(run.eval_json(split))["statistics"]["means"]["wgan-mse"]
        assert with_interval(means["psnr"], 2) in text
    assert "Results: test, 4 patients, 12 slices; nothing was chosen on it" in card
    hu = np.random.default_rng(0).normal(0, 100, (1, 32, 32)).astype(np.float32)
    ours, expected = wgan_vgg.load("mine")(hu), wgan_vgg.load(run.path)(hu)
    np.testing.assert_allclose(ours, expected, atol=0.01)
    assert load_generator(run).count_params() == 8 * 9 + 8 + 8 * 8 * 9 + 8 + 8 * 9 + 1
    summary = json.loads(run.eval_json("test").read_text())
    run.eval_json("test").write_text(json.dumps(summary | {"step": 3}))
    with pytest.raises(InputError, match="evaluated at another step than 12"):
        publish(run, "mine", "A model.", note)
    run.eval_json("test").write_text(json.dumps(summary | {"version": 1}))
    with pytest.raises(InputError, match=r"test\.json: of an older version; evaluate it again"):
        publish(run, "mine", "A model.", note)
    # Measured again, as after a change of the evaluation.
    measured = RunDir(tmp_path / "measured")
    for split in ("validation", "test"):
        flags = (f"--models={NAMES[0]},mine", f"--data_dir={reproduction / 'data'}", f"--output_dir={measured.path}")
        assert script("evaluate", *flags, f"--split={split}", "--baselines=tv", "--vgg_weights=none")[0] == 0
    status, out, err = script("publish", "--name=mine", f"--results={measured.path}")
    assert (status, out) == (0, f"wrote {package / 'mine.md'}\n"), err
    command = "python -m experiments.evaluate --models=mine --data_dir=RECORDS --split=test --output_dir=EVALUATED"
    assert f"\n    {command} --vgg_weights=none --set=evaluation.baselines=tv\n" in pretrained.card("mine")
    again, heading = pretrained.card("mine"), "## Results: validation"
    assert again.partition(heading)[0] == card.partition(heading)[0], "nothing else changes"
    assert "| gaussian " in card.partition(heading)[2]
    for part in again.partition(heading)[2].split("## Results: test"):
        seen = [f"| {row} " in part for row in ("tv", "gaussian", "mine", NAMES[0])]
        assert seen == [True, False, True, False], "the other model is left out"
    alone = RunDir(tmp_path / "alone")
    flags = ("--models=mine", f"--data_dir={reproduction / 'data'}", f"--output_dir={alone.path}", "--baselines=tv")
    assert script("evaluate", *flags, "--split=test", "--vgg_weights=none")[0] == 0
    of_two = read_json(measured.eval_json("test"))
    picked, expected = card_results.alone(of_two, "mine"), read_json(alone.eval_json("test"))
    for key in ("methods", "statistics", "detectability", "edges"):
        assert json.loads(json.dumps(picked[key])) == expected[key], key
    status, _, err = script("publish", f"--name={NAMES[1]}", f"--results={measured.path}")
    assert (status, f"was evaluated for {NAMES[0]}, mine, not for {NAMES[1]}" in err) == (2, True)
    status, _, err = script("publish", "--name=mine", f"--results={measured.path}", f"--workdir={run.path}")
    assert (status, "--workdir: not used with --results" in err) == (2, True)
