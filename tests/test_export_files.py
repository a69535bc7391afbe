"""Exports of files of weights, and of the models that ship."""

import json

import numpy as np
import pytest
import tensorflow as tf
from deployed import odd_images, write_run

import wgan_vgg
from data_prep.errors import InputError
from experiments import export as export_script
from wgan_vgg import pretrained
from wgan_vgg.exporters.export import export


def test_a_file_of_weights_is_exported_as_its_run_is(tmp_path):
    run = write_run(tmp_path / "run")
    saved_model = export(run, tmp_path / "saved_model", "saved_model")
    weights = export(run, tmp_path / "torch", "torch") / "generator.safetensors"
    folder = export(weights, tmp_path / "again", "saved_model")
    given, wanted = (tf.saved_model.load(str(one)).signatures["denoise_hu"] for one in (folder, saved_model))
    hu = tf.constant(4096 * odd_images() - 1024)
    np.testing.assert_array_equal(given(low_dose_hu=hu)["denoised"], wanted(low_dose_hu=hu)["denoised"])
    of_run, of_file = (
        json.loads((one / "assets.extra" / "metadata.json").read_text()) for one in (saved_model, folder)
    )
    assert of_file == of_run
    with pytest.raises(InputError, match=r"generator\.safetensors comes without records; give --calibration"):
        export(weights, tmp_path / "int8", "tflite", precision="int8")
    with pytest.raises(InputError, match="exported already; give the run"):
        export(tmp_path / "generator.onnx", tmp_path / "onnx", "saved_model")
    with pytest.raises(InputError, match="model generator-mse: no run, no file, and none of generator-mse-lodopab"):
        wgan_vgg.export("generator-mse", tmp_path / "none")
    with pytest.raises(InputError, match="weights=best: only a run has several"):
        export(weights, tmp_path / "best", "saved_model", weights="best")
    with pytest.raises(InputError, match="it would be made of, lies there"):
        export(weights, tmp_path / "torch", "torch", overwrite=True)
    assert weights.is_file()


def test_models_that_ship_are_exported_by_name(tmp_path, monkeypatch):
    (tmp_path / "wgan-vgg-lodopab").mkdir()  # a folder of that name is ./wgan-vgg-lodopab, as it is to denoise
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        export_script.main(["--model=wgan-vgg-lodopab", f"--output_dir={tmp_path / 'shipped'}"])
    assert ended.value.code == 0
    metadata = json.loads((tmp_path / "shipped" / "assets.extra" / "metadata.json").read_text())
    assert (metadata["model"], metadata["hu"]["transposed"]) == ("wgan-vgg", True)
    low_dose, _ = pretrained.example()
    given = tf.saved_model.load(str(tmp_path / "shipped")).signatures["denoise_hu"](
        low_dose_hu=tf.constant(low_dose[None, ..., None])
    )["denoised"]
    np.testing.assert_allclose(given[0, ..., 0], wgan_vgg.load("wgan-vgg-lodopab")(low_dose), atol=0.1)
