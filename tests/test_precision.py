"""Training in bfloat16: what stays float32, and where it is slower."""

import pytest
import tensorflow as tf
from small_networks import batch, small_config
from training_runs import tiny

from wgan_vgg import config
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training import precision_check, train_step
from wgan_vgg.training.state import create_state
from wgan_vgg.training.train_loop import train


def test_bfloat16_trains_with_float32_weights_and_losses(script, data_dir, tmp_path):
    assert script("train", *tiny("wgan-vgg", data_dir, tmp_path / "b", "--precision=bfloat16", "--epochs=1"))[0] == 0
    assert script("train", *tiny("wgan-vgg", data_dir, tmp_path / "f", "--epochs=1"))[0] == 0
    reader = tf.train.load_checkpoint(str(tmp_path / "b" / "checkpoints" / "step-000000006"))
    types = {name: kind for name, kind in reader.get_variable_to_dtype_map().items() if kind.is_floating}
    assert set(types.values()) == {tf.float32}
    settings = small_config("wgan-vgg", **{"training.precision": "bfloat16"})
    state = create_state(settings, (8, 8), 24)
    images = batch(0)
    terms = train_step.build_train_step(state, settings, tf.distribute.get_strategy())(images, (images,) * 3, 0.0)
    found = [*terms.values(), state.generator(images[0]), state.critic(images[0]), state.vgg(images[0])]
    assert {value.dtype for value in found} == {tf.float32}
    layers = (state.vgg.get_layer("vgg19").layers[1], state.critic.layers[1], state.generator.layers[1])
    assert {layer.compute_dtype for layer in layers} == {"bfloat16"}
    half, full = (RunDir(tmp_path / name).rows()[-1]["train"] for name in "bf")
    assert half["vgg"] != full["vgg"], "it does compute otherwise"
    assert half["psnr"] == pytest.approx(full["psnr"], abs=0.5)


@pytest.mark.parametrize(("speed", "said"), [(0.5, 1), (1.5, 0)])
def test_a_bfloat16_slower_than_float32_is_said_in_one_line(data_dir, tmp_path, monkeypatch, caplog, speed, said):
    monkeypatch.setattr(precision_check, "speed_of", lambda _: speed)
    settings = config.override(config.preset("demo"), {"training.precision": "bfloat16", "training.epochs": 1})
    train(config.for_model(settings, "generator-mse"), DataSet.open(data_dir), tmp_path)
    lines = [record.getMessage() for record in caplog.records if "bfloat16" in record.getMessage()]
    assert len(lines) == said
    assert all("0.50 times its speed in float32, which is faster" in line for line in lines)
    assert precision_check.slower_than_float32("float32") == ""


def test_the_speed_of_bfloat16_is_of_two_measurements(monkeypatch):
    """The convolution is a real one: the ratio of its times, each the least of three."""
    clock = iter([0, 9, 0, 4, 0, 2, 0, 3, 0, 9, 0, 1, 0, 2, 0, 5])
    monkeypatch.setattr(precision_check.time, "perf_counter", lambda: next(clock))
    assert precision_check.speed_of("bfloat16") == 2 / 1
