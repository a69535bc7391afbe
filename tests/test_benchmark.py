"""experiments.benchmark: costs counted by hand, timing, limits, the peer that must be the same network, the script."""

import importlib.util
import json
import subprocess
import sys
import time

import pytest
from conftest import REPO

from benchmark import costs, limits, start, timing
from benchmark.feed import write_random_records
from benchmark.rows import Row
from experiments.benchmark import PARTS
from wgan_vgg import config, models
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.models import vgg
from wgan_vgg.training.state import create_state

REPORT = config.preset("report")


def test_costs_are_those_counted_by_hand():
    generator = costs.layer_costs(models.build_generator(REPORT.generator), (64, 64))
    assert sum(generator.values()) == 55_872 * 64 * 64  # 9 * (32 + 6 * 32 * 32 + 32) a pixel
    critic = costs.layer_costs(models.build_critic(REPORT.critic, (64, 64)), (64, 64))
    assert critic["conv1"] == 64 * 64 * 9 * 1 * 64
    assert critic["conv2"] == 32 * 32 * 9 * 64 * 64  # stride 2
    assert critic["conv6"] == 8 * 8 * 9 * 256 * 256
    assert critic["dense"] == 8 * 8 * 256 * 1024
    assert critic["score"] == 1024
    assert sum(critic.values()) == pytest.approx(283e6, rel=0.01)
    weights = config.VggConfig(weights="random")
    assert sum(costs.layer_costs(vgg.build_vgg(weights), (64, 64)).values()) == pytest.approx(1.59e9, rel=0.01)


def test_the_notebooks_padding_costs_what_its_output_sizes_do():
    notebook = costs.layer_costs(models.build_critic(config.preset("notebook").critic, (64, 64)), (64, 64))
    assert notebook["conv2"] == 32 * 32 * 9 * 64 * 64


def test_a_step_costs_ten_passes_a_critic_update_less_the_first_layers_way_to_the_image():
    settings = config.override(REPORT, {"vgg.weights": "random", "training.batch_size": 2, "training.critic_steps": 3})
    state = create_state(settings, (64, 64), 10)
    g, d, v = (sum(costs.layer_costs(m, (64, 64)).values()) for m in (state.generator, state.critic, state.vgg))
    g1, d1 = 64 * 64 * 9 * 32, 64 * 64 * 9 * 64
    expected = 3 * (g + 2 * (3 * d - d1) + 4 * d) + (3 * g - g1) + 2 * d + 3 * v
    assert costs.step_flops(settings, state, (64, 64)) == 2 * 2 * expected


def test_timing_takes_things_in_turn_and_leaves_warmups_out():
    calls = []
    found = timing.time_in_turn(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b") or time.sleep(0.02)}, rounds=3, warmups=1
    )
    assert calls == ["a", "b"] * 4
    assert len(found["a"].seconds) == 3
    assert found["a"].median < 0.02 <= found["b"].median
    assert timing.Timing((1.0, 2.0, 4.0)).median == 2.0
    assert timing.Timing((1.0, 2.0, 4.0)).spread == 1.5


def test_the_peak_is_the_best_shape():
    network = vgg.build_vgg(config.VggConfig(weights="random", layer="block2_conv1"))
    peak = limits.ConvolutionPeak(network, (16, 16), 2, "float32")
    assert costs.convolution_shapes(network, (16, 16)) == [(16, 16, 3, 64), (16, 16, 64, 64), (8, 8, 64, 128)]
    for function in peak.functions:
        function()
    timings = [timing.Timing((seconds,)) for seconds in (1.0, 2.0, 0.1)]
    assert peak.rate(timings) == 2 * 2 * 8 * 8 * 9 * 64 * 128 / 0.1


def test_reading_and_copying_take_every_byte(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    paths[0].write_bytes(b"1" * 3_000_001)
    paths[1].write_bytes(b"2" * 7)
    assert limits.read_plainly(paths) == 3_000_008
    (tmp_path / "out").mkdir()
    assert limits.copy_plainly(paths, tmp_path / "out") == 3_000_008
    assert (tmp_path / "out" / "b").read_bytes() == b"2" * 7


def test_random_records_are_a_data_set(tmp_path):
    write_random_records(tmp_path / "records", side=16, size=5, shards=2)
    data = DataSet.open(tmp_path / "records")
    assert (data.size("train"), data.image_shape, data.config.image_size) == (5, (16, 16), 16)


def test_a_ratio_is_to_the_fastest_peer():
    assert Row("train", "x", 6.0, "images/s", peers={"slow": 2.0, "fast": 4.0}).ratio == 1.5
    assert Row("train", "x", 6.0, "images/s").ratio is None


PEER = """
import numpy as np
from benchmark.torch_peer import Peer, inference
import tensorflow as tf
from wgan_vgg import config
from wgan_vgg.training.state import create_state
from wgan_vgg.training.train_step import critic_update, generator_update

settings = config.override(config.preset("report"), {"vgg.weights": "random", "training.batch_size": 2})
settings = config.override(settings, {"training.critic_steps": 2, "vgg.layer": "block3_conv1"})
def batch(seed):
    return tuple(tf.random.stateless_uniform([2, 16, 16, 1], [seed, part]) for part in range(2))
weights = tuple(tf.random.stateless_uniform([2, 1, 1, 1], [seed, 9]) for seed in range(2))
for channels_last in (False, True):
    state = create_state(settings, (16, 16), 10)
    peer = Peer(state, settings, "float32", channels_last)
    images = np.random.default_rng(0).uniform(size=(2, 17, 19, 1)).astype(np.float32)
    np.testing.assert_allclose(inference(state.generator)(images), state.generator(images), atol=1e-5)
    theirs = peer.step(batch(0), (batch(1), batch(2)), weights)
    for number in range(2):
        ours = critic_update(state, settings, batch(number + 1), weights[number], 2)
    ours |= generator_update(state, settings, batch(0), 2)
    for name, value in theirs.items():
        np.testing.assert_allclose(value, ours[name], rtol=1e-3, atol=1e-5, err_msg=name)
    moved = peer.generator[0].weight.detach().numpy().transpose(2, 3, 1, 0)
    # Adam moves a weight whose gradient is all rounding by a whole rate, 1e-4, to either side.
    assert np.mean(np.abs(moved - state.generator.layers[1].kernel.numpy()) < 1e-5) > 0.95
    lower = Peer(state, settings, "bfloat16", channels_last)
    same = Peer(state, settings, "float32", channels_last)
    for seed in (0, 3):  # the second step sees what the first one changed
        rough, exact = (one.step(batch(seed), (batch(seed + 1), batch(seed + 2)), weights) for one in (lower, same))
    for name, value in exact.items():
        np.testing.assert_allclose(rough[name], value, rtol=0.05, atol=0.02, err_msg=name)
    moved = lower.generator[0].weight.detach().numpy().transpose(2, 3, 1, 0)
    assert np.abs(moved - state.generator.layers[1].kernel.numpy()).max() > 5e-5
print("same")
"""


def test_the_peer_is_the_same_networks_and_makes_the_same_step():
    """In a process of its own: torch has to be imported before TensorFlow."""
    pytest.importorskip("torch", reason="torch is not installed")
    command = [sys.executable, "-c", "import torch._dynamo\n" + PEER]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPO)
    assert result.stdout == "same\n", result.stderr[-2000:]


@pytest.mark.slow
def test_the_script_measures_every_part(script, tmp_path):
    arguments = ["--batch_size=2", "--critic_steps=1", "--models=wgan-mse", "--precisions=float32", "--sides=32"]
    arguments += ["--batches=1", "--records=64", "--shards=1,2", "--rounds=1", "--image_size=32", "--processes=1,2"]
    status, out, err = script("benchmark", *arguments, f"--json={tmp_path / 'b.json'}", f"--plot={tmp_path / 'b.png'}")
    assert status == 0, err
    rows = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert {row["part"] for row in rows} == set(PARTS)
    assert all(row["rate"] > 0 for row in rows)
    one, two = (row for row in rows if row["part"] == "scale")
    assert (one["share"], two["share"]) == (1.0, pytest.approx(two["rate"] / one["rate"]))
    assert two["case"].endswith("32x32, processes: 2")
    (train,) = (row for row in rows if row["part"] == "train")
    assert train["share"] == pytest.approx(train["details"]["GFLOP/s"] / float(train["limit"].split()[2]), rel=0.05)
    assert all(row["case"] in out for row in rows)
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--what=trian", "--what=trian: unknown; take some of train, gpu, scale"),
        ("--processes=1,3", "--processes=3: does not divide training.batch_size=32"),
        ("--models=wgan-vg", "unknown; take one of"),
        ("--precisions=float16", "take some of float32, bfloat16"),
        ("--records=0", "--records=0: expected whole numbers from 1"),
        ("--sides=a", "--sides=a: expected whole numbers"),
        ("--records=8", "take 16 or more"),
        ("--image_size=100", "must be a multiple of 32"),
        ("--preset=yang2018", "image_size=0: must be a multiple of 32"),
        ("--json=/tmp", "is a folder"),
        ("--json=/dev/null", "or a device; name a file"),
        ("--plot=x.svg", "must end in .png"),
        ("--rounds=0", "must be at least 1"),
        ("--peer=jax", "--peer=jax: unknown; take one of torch, onnxruntime"),
        ("--json=/nonexistent/b.json", "/nonexistent cannot be written"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(script, flag, message):
    status, _, err = script("benchmark", flag)
    assert (status, err.count("\n")) == (2, 1)
    assert message in err


def test_a_benchmark_that_is_broken_off_keeps_its_rows(script, monkeypatch, tmp_path):
    def measure(*_, **__):
        yield Row("train", "a model", 6.0, "images/s")
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.run.measure", measure)
    status, out, err = script("benchmark", f"--json={tmp_path / 'b.json'}")
    assert (status, err) == (130, "error: interrupted; called again, it measures everything anew\n")
    assert "a model" in out
    assert [row["case"] for row in json.loads((tmp_path / "b.json").read_text())["rows"]] == ["a model"]


def test_the_measured_start_is_of_the_same_config():
    changed = {"critic.filters": (4, 8), "vgg.weights": "random", "training.batch_size": 3, "optimizer.critic_lr": 1e-5}
    settings = config.override(config.preset("demo"), {**changed, "training.ema_decay": 0.5, "data.image_size": 96})
    flags = start.config_flags(settings)
    assert flags[:2] == ["--preset=demo", "--model=wgan-vgg"]
    given = dict(flag.removeprefix("--set=").split("=") for flag in flags[2:])
    assert config.override(config.preset("demo"), given | {"data.image_size": 96}) == settings


@pytest.mark.slow
def test_onnxruntime_is_a_peer_of_inference_alone(script, tmp_path):
    pytest.importorskip("tf2onnx")
    flags = ["--precisions=float32", "--sides=16", "--batches=2", "--rounds=1", "--peer=onnxruntime"]
    status, _, err = script("benchmark", *flags, "--what=infer", f"--json={tmp_path / 'b.json'}")
    assert status == 0, err
    *models, bare, from_c = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert [list(row["peers"]) for row in models] == [["onnxruntime float32"]] * 3
    assert models[2]["case"] == "SavedModel float32, optimize=cpu, called from C, 16x16, batch 2"
    assert (bare["case"], bare["peers"], bare["details"]) == ("SavedModel without layers, 16x16, batch 2", {}, {})
    assert from_c["case"] == "SavedModel without layers, called from C, 16x16, batch 2"
    assert bare["rate"] > max(row["rate"] for row in models[:2])
    assert from_c["rate"] > models[2]["rate"]
    status, _, err = script("benchmark", "--what=input", "--peer=onnxruntime")
    assert (status, err) == (2, "error: --peer=onnxruntime: it only infers; add infer to --what\n")


def test_a_missing_torch_is_one_line(script, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)
    status, _, err = script("benchmark", "--peer=torch")
    assert (status, err.count("\n")) == (2, 1)
    assert "torch is not installed; pip install torch" in err


@pytest.mark.parametrize("name", ["onnxruntime", "tf2onnx"])
def test_a_missing_peer_is_told_before_anything_is_measured(script, monkeypatch, name):
    monkeypatch.setattr("experiments.benchmark._import_torch", lambda: None)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda asked, *more: None if asked == name else found(asked, *more)
    )
    status, _, err = script("benchmark", "--peer=torch")
    assert (status, err.count("\n"), f"{name} is not installed; pip install {name}" in err) == (2, 1, True)
