"""Beginning with another run's weights or a file's: `training.init_from`, in train and in reproduce."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from deployed import write_run
from small_networks import batch, small_config
from test_reproduce import chain
from training_runs import files_with_times, tiny

from wgan_vgg import pretrained
from wgan_vgg.checkpoint_reader import checkpoint_files, checkpoint_prefixes, load_generator, saved_step, step_of
from wgan_vgg.config import CriticConfig
from wgan_vgg.evaluation import methods
from wgan_vgg.exporters.state_dict import to_state_dict, write_safetensors
from wgan_vgg.models import build_critic, build_generator, generator_of
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training import initialization, trainer, warm_start
from wgan_vgg.training.checkpoints import keep_best
from wgan_vgg.training.state import create_state
from wgan_vgg.training.warm_start import find_source


@pytest.fixture(scope="module")
def trained(data_dir, tmp_path_factory):
    from experiments.train import main

    folder = tmp_path_factory.mktemp("trained") / "run"
    with pytest.raises(SystemExit) as exit_info:
        main(tiny("wgan-mse", data_dir, folder, "--generator_lr=1e-3"))
    assert exit_info.value.code == 0
    return folder


def start_of(workdir):
    """The generator's weights at step 0, which train keeps as the newest checkpoint where it goes no further."""
    return load_generator(RunDir(workdir)).get_weights()


def critic_of(checkpoints):
    critic = build_critic(CriticConfig(filters=(4, 4), dense_units=8), (32, 32), seed=99)
    prefix = str(next(checkpoints.glob("*.index")).with_suffix(""))
    tf.train.Checkpoint(critic=critic).read(prefix).assert_existing_objects_matched().expect_partial()
    return critic.get_weights()


def stopped_at_the_start(monkeypatch):
    monkeypatch.setattr(trainer.Trainer, "run_epochs", lambda *_, **__: None)


def test_a_run_begins_with_another_runs_best_generator_and_critic(script, data_dir, tmp_path, trained, monkeypatch):
    stopped_at_the_start(monkeypatch)
    status, _, err = script("train", *tiny("wgan-mse", data_dir, tmp_path, f"--init_from={trained}", "--seed=7"))
    assert status == 0, err
    for ours, theirs in zip(start_of(tmp_path), load_generator(RunDir(trained), "best").get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    ours, theirs = (critic_of(folder) for folder in (RunDir(tmp_path).checkpoints, RunDir(trained).best))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    named = json.loads(RunDir(tmp_path).config.read_text())["init_from"]
    assert named["source"] == str(trained)
    assert named["step"] == int(next(RunDir(trained).best.glob("*.index")).stem[5:])
    assert len(named["sha256"]) == 64


def test_a_file_of_weights_serves_too_and_a_damaged_pretrained_one_is_refused(
    script, data_dir, tmp_path, trained, monkeypatch
):
    stopped_at_the_start(monkeypatch)
    generator, config = load_generator(RunDir(trained)), RunDir(trained).load_config().generator
    write_safetensors(tmp_path / "weights.safetensors", to_state_dict(generator, generator_of(config)), {})
    arguments = tiny("generator-mse", data_dir, tmp_path / "run", f"--init_from={tmp_path / 'weights.safetensors'}")
    assert script("train", *arguments)[0] == 0
    for ours, theirs in zip(start_of(tmp_path / "run"), generator.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    (tmp_path / "weights.safetensors").rename(tmp_path / "mine.safetensors")
    monkeypatch.setattr(pretrained, "_FOLDER", tmp_path)
    monkeypatch.setattr(pretrained, "index", lambda: {"mine": {"sha256": {".safetensors": "0" * 64}}})
    for name, message in (("mine", "not the file that was published"), ("other", "unknown; take one of mine")):
        arguments = tiny("generator-mse", data_dir, tmp_path / name, f"--init_from=pretrained:{name}")
        status, _, err = script("train", *arguments)
        assert (status, err.count("\n"), message in err) == (2, 1, True), err
        assert not RunDir(tmp_path / name).config.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--set=generator.filters=6"], "another generator than this run's"),
        (["--set=generator.layers=4"], "another generator than this run's"),
        (["--set=critic.filters=(4,6)"], "its critic is of another structure"),
    ],
)
def test_another_structure_is_refused(script, data_dir, tmp_path, trained, flags, message):
    arguments = [a for a in tiny("wgan-mse", data_dir, tmp_path) if a.split("=")[1] != flags[0].split("=")[1]]
    status, _, err = script("train", *arguments, f"--init_from={trained}", *flags)
    assert (status, err.count("\n"), message in err) == (2, 1, True), err
    assert not RunDir(tmp_path).config.exists()


def test_a_model_that_ships_is_meant_where_no_such_run_is(script, data_dir, tmp_path):
    arguments = tiny("wgan-mse", data_dir, tmp_path)
    status, _, err = script("train", *arguments, "--init_from=generator-mse-lodopab")
    assert (status, err.count("\n")) == (2, 1)
    assert "no such file; the model that ships is pretrained:generator-mse-lodopab" in err


@pytest.mark.slow
def test_reproduce_begins_the_others_with_its_first_model(script, hdf5_dir, tmp_path, caplog):
    flags = ("--models=generator-mse,wgan-mse", "--init_from=generator-mse")
    status, _, err = script("reproduce", *chain(hdf5_dir, tmp_path / "1", *flags))
    assert status == 0, err
    stored = {
        name: json.loads(RunDir(tmp_path / "1" / name).config.read_text()) for name in ("generator-mse", "wgan-mse")
    }
    assert stored["generator-mse"]["init_from"] is None
    assert stored["wgan-mse"]["init_from"]["source"] == str(tmp_path / "1" / "generator-mse")
    assert "began with generator-mse" in (tmp_path / "1" / "results.md").read_text()
    (tmp_path / "1").rename(tmp_path / "moved")
    before = files_with_times(tmp_path / "moved")
    status, _, err = script("reproduce", *chain(hdf5_dir, tmp_path / "moved", *flags))
    assert (status, files_with_times(tmp_path / "moved") == before) == (0, True), err
    assert script("reproduce", *chain(hdf5_dir, tmp_path / "2", "--models=wgan-mse", "--epochs=1"))[0] == 0
    assert "not trained before wgan-mse, which begins with random weights" in caplog.text
    assert json.loads(RunDir(tmp_path / "2" / "wgan-mse").config.read_text())["init_from"] is None


def test_a_run_goes_on_where_what_it_began_with_has_moved(script, data_dir, tmp_path, trained, monkeypatch):
    """Fails where a source is its path; and where any source will do."""
    stopped_at_the_start(monkeypatch)
    for name in ("source", "elsewhere"):
        shutil.copytree(trained, tmp_path / name)
    settings = RunDir(trained).load_config().generator
    another = to_state_dict(build_generator(settings, seed=9), generator_of(settings))
    write_safetensors(tmp_path / "another.safetensors", another, {})
    command = lambda name: tiny("wgan-mse", data_dir, tmp_path / "run", f"--init_from={tmp_path / name}")  # noqa: E731
    assert script("train", *command("source"))[0] == 0
    shutil.rmtree(tmp_path / "source")
    status, _, err = script("train", *command("elsewhere"))
    assert status == 0, err
    for name, said in (("another.safetensors", "training.init_from: "), ("nowhere", "nowhere")):
        status, _, err = script("train", *command(name))
        assert (status, err.count("\n"), said in err) == (2, 1, True), err


def test_a_run_stopped_before_its_first_checkpoint_begins_again_with_the_same_weights(
    script, data_dir, tmp_path, trained, monkeypatch
):
    """Fails where the source is dropped once config.json is there."""
    stopped_at_the_start(monkeypatch)
    arguments = tiny("wgan-mse", data_dir, tmp_path, f"--init_from={trained}")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trainer.Trainer, "begin", killed)
        assert script("train", *arguments)[0] == 130
    assert RunDir(tmp_path).config.exists()
    assert script("train", *arguments)[0] == 0
    for ours, theirs in zip(start_of(tmp_path), load_generator(RunDir(trained), "best").get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert json.loads(RunDir(tmp_path).config.read_text())["init_from"]["source"] == str(trained)


def test_a_models_name_is_no_folder_to_begin_with(script, data_dir, tmp_path, monkeypatch):
    (tmp_path / "generator-mse").mkdir()
    monkeypatch.chdir(tmp_path)
    for preset in ("demo", "lodopab"):
        flags = [f"--preset={preset}", f"--data_dir={data_dir}", f"--workdir={tmp_path / 'run'}"]
        status, _, err = script("train", *flags, "--model=wgan-mse", "--init_from=generator-mse")
        assert (status, err.count("\n"), "of a folder give ./generator-mse" in err) == (2, 1, True), err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("part", ["end", "critic"])
def test_a_damaged_best_checkpoint_gives_way_to_the_newest_whole_one(tmp_path, trained, part):
    """Fails where step and weights are of two checkpoints: a generator can be read beside a damaged critic."""
    shutil.copytree(trained, tmp_path / "run")
    run = RunDir(tmp_path / "run")
    older, newest = checkpoint_prefixes(run.checkpoints)[-2:]
    generator = load_generator(run)
    tf.train.Checkpoint(generator=generator).read(str(older)).expect_partial()
    moment = "critic_optimizer/_variables/5/.ATTRIBUTES/VARIABLE_VALUE"
    for prefix in (newest, *checkpoint_prefixes(run.best)):
        for file in checkpoint_files(prefix)[1:]:
            content = bytearray(file.read_bytes())
            if part == "end":
                del content[-9:]
            else:
                content[content.index(tf.train.load_checkpoint(str(prefix)).get_tensor(moment).tobytes())] ^= 1
            file.unlink()  # best is the same file by another name
            file.write_bytes(content)
    assert saved_step(run, "raw") == step_of(older)
    assert saved_step(run, "best") is None
    source = find_source(str(run.path), run.load_config().generator)
    assert source.description["step"] == step_of(older)
    for found in (source.generator, load_generator(run).get_weights()):
        for ours, theirs in zip(found, generator.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_given_weights_are_not_drawn_anew_however_dark():
    settings = small_config("generator-mse", **{"training.init_from": "somewhere"})
    state = create_state(settings, (8, 8), 100)
    state.generator.set_weights([0 * weight for weight in state.generator.get_weights()])
    assert initialization.initialize_generator(state, settings, batch(0)[0]) == [0.0]
    assert not any(weight.any() for weight in state.generator.get_weights())


def test_the_best_weights_of_a_run_are_taken_though_newer_ones_are_there(tmp_path):
    run = write_run(tmp_path)  # which leaves step 7
    keep_best(run, 7)
    newer = build_generator(run.load_config().generator, seed=9)
    tf.train.Checkpoint(generator=newer).write(str(run.checkpoints / "step-000000008"))
    source = find_source(str(tmp_path), run.load_config().generator)
    assert source.description["step"] == 7
    assert methods.from_run(run, "best").step == 7  # what their evaluation says
    np.testing.assert_array_equal(source.generator[0], load_generator(run, "best").get_weights()[0])
    assert not np.array_equal(source.generator[0], newer.get_weights()[0])


def test_best_weights_that_are_the_runs_own_beginning_are_named(trained, monkeypatch, caplog):
    settings = small_config("wgan-mse").generator
    warm_start.find_source(str(trained), settings)
    assert "of step 0" not in caplog.text
    monkeypatch.setattr(warm_start, "saved_step", lambda *_: 0)
    warm_start.find_source(str(trained), settings)
    assert f"training.init_from={trained}: its best weights are those that it began with, of step 0" in caplog.text
