"""experiments.import_weights: generators of other programs, against those programs."""

import argparse

import numpy as np
import pytest
import tensorflow as tf
from deployed import odd_images, write_run
from foreign_files import (
    convolutions,
    run_torch,
    state_dict,
    torch_network,
    write_tf1_checkpoint,
)
from safetensors.numpy import save_file

from data_prep.errors import InputError
from data_prep.manifest import load_manifest
from wgan_vgg.checkpoint_reader import load_generator
from wgan_vgg.exporters.export import export
from wgan_vgg.exporters.import_weights import import_generator
from wgan_vgg.inference.denoiser import Denoiser
from wgan_vgg.run_dir import RunDir

PARTS = convolutions()
NAMES = {"notebook": ("convlayers.", 1), "ssinyu": ("generator.net.", 2), "ldct-benchmark": ("net.", 2)}
IN_SAFETENSORS = [
    "notebook",
    "ssinyu",
]  # told apart by their names; ldct-benchmark's `net.` alone is any project's


def by_hand(parts, images, output_relu=True):
    """The network computed by TensorFlow's own convolution."""
    for number, (kernel, bias) in enumerate(parts):
        images = tf.nn.conv2d(images, kernel, 1, "SAME") + bias
        if output_relu or number < len(parts) - 1:
            images = tf.nn.relu(images)
    return images.numpy()


def expected(layout, images):
    """What the foreign program makes of images in this project's range."""
    if layout != "ldct-benchmark":
        return by_hand(PARTS, images)
    stored = 4096 * images  # HU + 1024
    return (by_hand(PARTS, (stored - 481.454) / 502.185, output_relu=False) * 502.185 + 481.454) / 4096


@pytest.mark.parametrize("layout", NAMES)
def test_safetensors_of_each_layout_compute_the_same(tmp_path, layout):
    save_file(state_dict(PARTS, *NAMES[layout]), tmp_path / "weights.safetensors")
    given = None if layout in IN_SAFETENSORS else layout
    stored = import_generator(tmp_path / "weights.safetensors", tmp_path / "run", layout=given)
    assert stored["data"]["source"] == f"imported ({layout})"
    assert stored["config"]["data"]["rescale_low_dose"] == (layout == "notebook")
    images, wanted = odd_images(), expected(layout, odd_images())
    assert wanted.std() > 0.01
    np.testing.assert_allclose(load_generator(RunDir(tmp_path / "run"))(images), wanted, atol=1e-5)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("layout", NAMES)
def test_torch_files_compute_what_torch_does(tmp_path, layout, wrapped):
    torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'wgan-vgg[weights]')")
    state = {name: torch.from_numpy(value) for name, value in state_dict(PARTS, *NAMES[layout]).items()}
    if layout == "ssinyu":  # its file holds all three networks
        state["discriminator.net.0.weight"] = torch.zeros(64, 1, 3, 3)
        state["feature_extractor.feature_extractor.0.weight"] = torch.zeros(64, 3, 3, 3)
    torch.save({"model_state_dict": state, "epoch": 3} if wrapped else state, tmp_path / "weights.ckpt")
    import_generator(tmp_path / "weights.ckpt", tmp_path / "run", layout=layout)
    network = torch_network(PARTS, output_relu=layout != "ldct-benchmark")
    images = odd_images()
    given = load_generator(RunDir(tmp_path / "run"))(images).numpy()
    if layout == "ldct-benchmark":
        wanted = (run_torch(network, (4096 * images - 481.454) / 502.185) * 502.185 + 481.454) / 4096
    else:
        wanted = run_torch(network, images)
    np.testing.assert_allclose(given, wanted, atol=1e-5)


def test_the_tf1_repositorys_checkpoint(tmp_path, script):
    prefix = write_tf1_checkpoint(tmp_path / "model-200000", PARTS)
    status, out, err = script("import_weights", f"--input={prefix}", f"--output_dir={tmp_path / 'run'}")
    assert status == 0, err
    assert "8 convolutions of 32 filters, imported (original), for inputs of [-1024, 3072] HU" in out
    images = odd_images()
    np.testing.assert_allclose(load_generator(RunDir(tmp_path / "run"))(images), by_hand(PARTS, images), atol=1e-5)
    import_generator(prefix.with_suffix(".index"), tmp_path / "again")


def test_hu_of_ldct_benchmark_have_no_bias(tmp_path):
    # A network that passes its input on: of +-x in two channels, since there is a ReLU in between.
    first, last = np.zeros((3, 3, 1, 2), np.float32), np.zeros((3, 3, 2, 1), np.float32)
    first[1, 1, 0], last[1, 1, :, 0] = (1, -1), (1, -1)
    save_file(
        state_dict([(first, np.zeros(2, np.float32)), (last, np.zeros(1, np.float32))], "net.", 2), tmp_path / "w"
    )
    import_generator(tmp_path / "w", tmp_path / "run", layout="ldct-benchmark")
    hu = np.random.default_rng(0).uniform(-1024, 3072, (1, 31, 17)).astype(np.float32)
    np.testing.assert_allclose(Denoiser.load(tmp_path / "run")(hu), hu, atol=0.01)  # the peer is off by 20.73


def test_the_range_is_converted_to_that_of_other_records(tmp_path, data_dir):
    save_file(state_dict(PARTS, "net.", 2), tmp_path / "w.safetensors")
    import_generator(tmp_path / "w.safetensors", tmp_path / "own", layout="ldct-benchmark")
    import_generator(tmp_path / "w.safetensors", tmp_path / "converted", layout="ldct-benchmark", data_dir=data_dir)
    hu = np.random.default_rng(0).uniform(-1000, 3000, (1, 31, 17)).astype(np.float32)
    own, converted = (Denoiser.load(tmp_path / name) for name in ("own", "converted"))
    assert own.mapping != converted.mapping
    np.testing.assert_allclose(converted(hu), own(hu), atol=0.05)


def test_evaluate_denoise_and_export_take_it(tmp_path, script, data_dir):
    save_file(state_dict(PARTS, "generator.net.", 2), tmp_path / "w.safetensors")
    run = tmp_path / "run"
    assert script("import_weights", f"--input={tmp_path / 'w.safetensors'}", f"--output_dir={run}")[0] == 0
    quick = ["--baselines=gaussian", "--vgg_weights=none", "--set=evaluation.tuning_images=2"]
    status, out, err = script("evaluate", f"--workdir={run}", f"--data_dir={data_dir}", *quick)
    assert status == 0, err
    assert "wgan-vgg" in out
    assert script("export", f"--workdir={run}", f"--output_dir={tmp_path / 'model'}")[0] == 0
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(0, 30, (9, 9)).astype(np.float32))
    flags = (f"--input={tmp_path / 'a.npy'}", f"--output={tmp_path / 'b.npy'}")
    assert script("denoise", f"--model_dir={tmp_path / 'model'}", *flags)[0] == 0


def test_an_import_has_no_best_weights(tmp_path):
    save_file(state_dict(PARTS, *NAMES["notebook"]), tmp_path / "w.safetensors")
    import_generator(tmp_path / "w.safetensors", tmp_path / "run")
    with pytest.raises(InputError, match=r"weights=best: .* has none that can be read; an imported run has none"):
        export(RunDir(tmp_path / "run"), tmp_path / "out", "saved_model", weights="best")


def test_an_exported_state_dict_comes_back_whole(tmp_path):
    values = {"generator.output_relu": False, "generator.input_std": 0.2, "generator.filters": 6, "generator.layers": 3}
    run = write_run(tmp_path / "run", {"hu_intercept": -1000.0}, **values)
    folder = export(run, tmp_path / "torch", "torch")
    import_generator(folder / "generator.safetensors", tmp_path / "back")
    first, second = (Denoiser.load(tmp_path / name) for name in ("run", "back"))
    assert first.metadata["fingerprint"] == second.metadata["fingerprint"]
    np.testing.assert_array_equal(first.network(odd_images()), second.network(odd_images()))


def test_an_export_loads_into_the_bare_sequential_and_saved_anew_keeps_its_kind(tmp_path, data_dir):
    torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'wgan-vgg[weights]')")
    from safetensors.torch import load_file

    manifest = load_manifest(data_dir)
    mapping = {name: manifest[name] for name in ("hu_slope", "hu_intercept", "transposed")}
    run = write_run(tmp_path / "run", mapping)
    state = load_file(export(run, tmp_path / "torch", "torch") / "generator.safetensors")
    network = torch_network(convolutions(seed=1))
    network.load_state_dict(state, strict=True)
    original = Denoiser.load(tmp_path / "run")
    np.testing.assert_allclose(run_torch(network, odd_images()), original.network(odd_images()), atol=1e-5)
    for name, content in (("bare", state), ("wrapped", {"model_state_dict": state, "iteration": 3})):
        torch.save(content, tmp_path / name)
        with pytest.raises(InputError, match="say whose it is with --layout"):
            import_generator(tmp_path / name, tmp_path / "back")
        with pytest.raises(InputError, match="give the records it was trained on with --data_dir"):
            import_generator(tmp_path / name, tmp_path / "back", layout="wgan-vgg")
        import_generator(tmp_path / name, tmp_path / f"{name}-run", layout="wgan-vgg", data_dir=data_dir)
        back = Denoiser.load(tmp_path / f"{name}-run")
        hu = np.random.default_rng(0).uniform(-1000, 2000, (1, 31, 17)).astype(np.float32)
        np.testing.assert_array_equal(back(hu), original(hu))


def test_an_export_saved_anew_keeps_its_records_rescaling(tmp_path, data_dir, monkeypatch):
    manifest = load_manifest(data_dir)
    rescaled = manifest | {"data": manifest["data"] | {"rescale_low_dose": True}}
    monkeypatch.setattr("wgan_vgg.exporters.import_weights.load_manifest", lambda _: rescaled)
    save_file(state_dict(PARTS, "", 2), tmp_path / "w")
    stored = import_generator(tmp_path / "w", tmp_path / "run", layout="wgan-vgg", data_dir=data_dir)
    assert stored["config"]["data"]["rescale_low_dose"]
    assert stored["data"]["hu_slope"] == manifest["hu_slope"]


def test_ldct_benchmarks_checkpoint_is_known_by_what_stands_beside_its_tensors(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'wgan-vgg[weights]')")
    state = {name: torch.from_numpy(value) for name, value in state_dict(PARTS, "net.", 2).items()}
    # ldctbench/methods/base.py, save_checkpoint.
    content = {"args": argparse.Namespace(trainer="wganvgg"), "iteration": 7, "model_state_dict": state}
    torch.save(content, tmp_path / "best_SSIM.pt")
    stored = import_generator(tmp_path / "best_SSIM.pt", tmp_path / "run")
    assert stored["data"]["source"] == "imported (ldct-benchmark)"
    images = odd_images()
    wanted = expected("ldct-benchmark", images)
    np.testing.assert_allclose(load_generator(RunDir(tmp_path / "run"))(images), wanted, atol=1e-5)


def test_an_import_replaces_another_if_asked(tmp_path):
    for filters in (4, 6):
        save_file(state_dict(convolutions(2, filters), "convlayers.", 1), tmp_path / "w")
        import_generator(tmp_path / "w", tmp_path / "run", overwrite=True)
    assert load_generator(RunDir(tmp_path / "run")).get_layer("conv1").filters == 6
