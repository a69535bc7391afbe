"""Every network from training on: tiles and halves against the whole image, every format, a resumed run."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from deployed import odd_images, save_run
from small_networks import small
from training_runs import checkpoint_digest, without_times

import wgan_vgg
from wgan_vgg import config, models
from wgan_vgg.checkpoint_reader import load_generator
from wgan_vgg.config.networks import GENERATORS
from wgan_vgg.exporters.export import export
from wgan_vgg.exporters.formats import tflite_runner
from wgan_vgg.exporters.inference_graph import arranged_for_cpu
from wgan_vgg.inference.denoiser import Denoiser
from wgan_vgg.run_dir import RunDir

# Parts of images


@pytest.mark.parametrize("tile", [16, 21, 40])
def test_tiles_of_a_5x5_network_are_the_whole(wide, tile, tmp_path):
    """Fails where a layer counts for one pixel, as of 3x3 ones."""
    check_tiles(wide, tile, tmp_path)


@pytest.mark.parametrize("name", GENERATORS)
def test_tiles_and_halves_of_every_network_are_the_whole(name, tmp_path):
    check_tiles(small(name), 24, tmp_path)
    settings = small(name)
    generator, extent = models.build_generator(settings, seed=3), models.generator_of(settings).extent
    for height in (16 * extent.overlap, 16 * extent.overlap + 5):
        images = odd_images(1, height, extent.smallest_side + 2)
        np.testing.assert_allclose(
            tf.function(arranged_for_cpu(generator, extent))(images), generator(images), atol=1e-5
        )


def check_tiles(settings, tile, folder):
    whole = config.override(config.preset("demo"), {"model": "generator-mse"})
    whole = dataclasses.replace(whole, generator=settings)
    denoiser = Denoiser.load(save_run(folder, whole, models.build_generator(settings, seed=3), {}).path)
    hu = 4096 * odd_images(2, 72, 96)[..., 0] - 1024
    one, parts = denoiser(hu), denoiser(hu, tile=tile)
    np.testing.assert_allclose(parts, one, atol=0.05)
    assert one.std() > 1
    spoiled = dataclasses.replace(denoiser, extent=dataclasses.replace(denoiser.extent, reach=0))
    assert np.abs(spoiled(hu, tile=tile) - one).max() > 0.05, "there is nothing that a seam could show"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in GENERATORS if name != "plain-cnn"])
def test_every_format_of_every_network_gives_the_same(name, tmp_path):
    """plain-cnn's are test_export's. Sizes that are no multiples; a plain Keras loads what it loads."""
    whole = config.override(config.preset("demo"), {"model": "generator-mse"})
    whole = dataclasses.replace(whole, generator=small(name))
    run = save_run(tmp_path / "run", whole, models.build_generator(small(name), seed=3), {})
    images = odd_images(2, 37, 53)
    wanted = load_generator(run)(images).numpy()
    assert wanted.std() > 0.01
    signature = tf.saved_model.load(str(export(run, tmp_path / "saved_model", "saved_model"))).signatures
    given = signature["serving_default"](low_dose=tf.constant(images))["denoised"]
    np.testing.assert_allclose(given, wanted, atol=1e-5)
    model = keras.saving.load_model(export(run, tmp_path / "keras", "keras") / "generator.keras")
    np.testing.assert_allclose(model(images), wanted, atol=1e-5)
    runner = tflite_runner((export(run, tmp_path / "tflite", "tflite") / "generator.tflite").read_bytes())
    np.testing.assert_allclose(runner(low_dose=images)["denoised"], wanted, atol=1e-5)
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(export(run, tmp_path / "onnx", "onnx") / "generator.onnx"))
    np.testing.assert_allclose(session.run(["denoised"], {"low_dose": images})[0], wanted, atol=1e-5)
    hu = 4096 * images[..., 0] - 1024
    deployed = [tmp_path / "run", tmp_path / "saved_model", export(run, tmp_path / "torch", "torch")]
    for folder in (*deployed[:2], deployed[2] / "generator.safetensors", tmp_path / "onnx" / "generator.onnx"):
        np.testing.assert_allclose(wgan_vgg.load(folder)(hu), 4096 * wanted[..., 0] - 1024, atol=0.05)


# From training on


@pytest.mark.slow
def test_a_resumed_unet_with_a_patch_critic_ends_as_an_unbroken_one_and_is_evaluated(data_dir, tmp_path, script):
    """Fails where a layer that is shared by whole images and patches is restored in one of them only."""
    flags = ("--generator=unet", "--set=generator.filters=2", "--critic=patch", "--set=critic.filters=(2,4,4)")
    more = ("--preset=demo", "--batch_size=4", "--epochs=2", "--ema_decay=0.9", "--critic_steps=1")
    more += (f"--data_dir={data_dir}", "--set=training.eval_images=4", "--model=wgan-mse")
    for name, last in (("whole", []), ("broken", ["--max_steps=5"]), ("broken", [])):
        status, _, err = script("train", *flags, *more, f"--workdir={tmp_path / name}", *last)
        assert status == 0, err
    whole, broken = (RunDir(tmp_path / name) for name in ("whole", "broken"))
    assert without_times(whole.rows()) == without_times(broken.rows())
    assert checkpoint_digest(whole.path, 12) == checkpoint_digest(broken.path, 12)
    quick = ["--baselines=gaussian", "--vgg_weights=none", "--set=evaluation.tuning_images=2"]
    status, _, err = script("evaluate", f"--workdir={whole.path}", f"--data_dir={data_dir}", *quick)
    assert status == 0, err
    status, _, err = script("report", f"--workdir={whole.path}")
    assert status == 0, err
