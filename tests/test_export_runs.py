"""Exports of runs that differ, rescaled inputs and older code, and what an export may replace."""

import json

import numpy as np
import pytest
import tensorflow as tf
from deployed import odd_images, write_run
from small_networks import small
from test_export import expected

from data_prep.errors import InputError
from data_prep.low_dose import min_max_rescale
from wgan_vgg.checkpoint_reader import load_generator
from wgan_vgg.exporters.export import export
from wgan_vgg.exporters.exportable import fingerprint, of_run
from wgan_vgg.exporters.saved_model import write_saved_model
from wgan_vgg.hu import HuMapping
from wgan_vgg.models import build_generator, generator_of


def test_a_model_of_rescaled_inputs_rescales_each_image_and_says_so(tmp_path):
    rescaled = write_run(tmp_path / "run", **{"data.rescale_low_dose": True})
    folder = export(rescaled, tmp_path / "saved_model", "saved_model", optimize="cpu")
    values = odd_images() * np.array([0.3, 0.6]).reshape(2, 1, 1, 1).astype(np.float32)
    given = tf.saved_model.load(str(folder)).signatures["denoise_hu"](low_dose_hu=tf.constant(4096 * values - 1024))
    wanted = expected(rescaled, np.stack([min_max_rescale(image) for image in values]))
    np.testing.assert_allclose(given["denoised"], 4096 * wanted - 1024, atol=0.2)
    high = odd_images(height=150)  # denoised in halves, which have other extremes than the whole
    high[0, 3, 4] = 3.0
    given = tf.saved_model.load(str(folder)).signatures["denoise_hu"](low_dose_hu=tf.constant(4096 * high - 1024))
    wanted = expected(rescaled, np.stack([min_max_rescale(image) for image in high]))
    np.testing.assert_allclose(given["denoised"], 4096 * wanted - 1024, atol=0.2)
    flat = tf.saved_model.load(str(folder)).signatures["denoise_hu"](low_dose_hu=tf.fill([1, 9, 9, 1], 40.0))
    assert np.isfinite(flat["denoised"]).all()
    warnings = json.loads((folder / "assets.extra" / "metadata.json").read_text())["warnings"]
    assert "min-max rescaled" in warnings[0]


def test_a_run_of_older_code_takes_its_hu_from_its_records(tmp_path, data_dir):
    run = write_run(tmp_path / "run")
    stored = json.loads(run.config.read_text())
    del stored["data"]["hu_slope"], stored["data"]["hu_intercept"]
    stored["data"]["path"] = str(data_dir)
    run.config.write_text(json.dumps(stored))
    folder = export(run, tmp_path / "out", "keras")
    assert json.loads((folder / "metadata.json").read_text())["hu"]["slope"] == 4072.001


def test_only_an_export_is_replaced(tmp_path):
    run = write_run(tmp_path / "models" / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for place, reason in (
        (run.path, "lies there"),
        (run.path.parent, "lies there"),
        (tmp_path / "mine", "something else"),
    ):
        with pytest.raises(InputError, match=reason):
            export(run, place, "keras", overwrite=True)
    assert run.config.is_file()
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"
    folder = export(run, tmp_path / "model", "keras")
    assert export(run, folder, "saved_model", overwrite=True) == folder
    assert not (folder / "generator.keras").exists()


@pytest.mark.parametrize(
    "metadata", [{}, [1], {"name": "holiday"}, {"name": "wgan-vgg"}, {"name": "other", "fingerprint": "0" * 64}]
)
def test_a_folder_with_somebody_else_s_metadata_is_not_replaced(tmp_path, metadata):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(InputError, match="holds something else"):
        export(write_run(tmp_path / "run"), tmp_path / "mine", "keras", overwrite=True)
    assert json.loads((tmp_path / "mine" / "metadata.json").read_text()) == metadata


def test_a_fingerprint_tells_two_trainings_of_one_network_apart(tmp_path):
    """Fails where it is of the settings alone: denoise would take an older training's outputs for up to date."""
    exportable = of_run(write_run(tmp_path), "raw")
    first = exportable.metadata["fingerprint"]
    assert fingerprint(exportable.generator, exportable.mapping) == first
    bias = exportable.generator.weights[-1]
    bias.assign(bias + 0.5)
    assert fingerprint(exportable.generator, exportable.mapping) != first


def test_metadata_name_the_weights_that_were_chosen_and_the_step_of_these(tmp_path):
    """Fails where step or weights are always those of the newest checkpoint."""
    run = write_run(tmp_path)
    tf.train.Checkpoint(generator=load_generator(run)).write(str(run.best / "step-000000003"))
    found = {weights: of_run(run, weights).metadata for weights in ("raw", "best")}
    assert {name: (one["weights"], one["step"]) for name, one in found.items()} == {
        "raw": ("raw", 7),
        "best": ("best", 3),
    }


def test_int16_ends_at_its_highest_value(tmp_path):
    """Fails where it is cast without: 100,000 HU would come out as another number, with another sign."""
    config = small("plain-cnn")
    generator = build_generator(config)
    generator.set_weights([0 * weight for weight in generator.get_weights()])
    write_saved_model(tmp_path / "model", generator, generator_of(config).extent, HuMapping(4096.0, 100_000.0))
    call = tf.saved_model.load(str(tmp_path / "model")).signatures["denoise_hu_int16"]
    given = call(low_dose_hu=tf.zeros([1, 3, 3, 1], tf.int16))["denoised"]
    np.testing.assert_array_equal(given, np.full((1, 3, 3, 1), 32767))
