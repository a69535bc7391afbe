"""Exports of runs that differ, rescaled inputs and older code, and what an export may replace."""

import json

import numpy as np
import pytest
import tensorflow as tf
from deployed import odd_images, write_run
from test_export import expected

from data_prep.errors import InputError
from data_prep.low_dose import min_max_rescale
from wgan_vgg.exporters.export import export


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
