"""Slices of LoDoPaB-CT lie transposed: so records and networks see them, and nobody else does.

Wherever it matters the images and kernels here differ from their own transposes.
"""

import json

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import TWO_PARTS, smooth_images, write_part
from deployed import hu_images, save_run
from PIL import Image

import wgan_vgg
from data_prep import lodopab, phantoms
from data_prep.errors import InputError
from data_prep.manifest import load_manifest, transposed
from data_prep.prepare import prepare_lodopab
from wgan_vgg import config, pretrained
from wgan_vgg.checkpoint_reader import load_generator
from wgan_vgg.evaluation import evaluate, metrics
from wgan_vgg.exporters.export import METADATA, export
from wgan_vgg.exporters.import_weights import import_generator
from wgan_vgg.exporters.precision import find_samples
from wgan_vgg.hu import HuMapping
from wgan_vgg.inference.denoise import Settings, denoise
from wgan_vgg.inference.denoiser import Denoiser
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.models import build_generator

LYING = {"transposed": True}


def run_that_smears(workdir, **data):
    """A run whose network mixes each pixel with the one before it along axis 1, never along axis 0."""
    settings = config.override(config.preset("demo"), {"model": "generator-mse", "generator.layers": 2})
    generator = build_generator(settings.generator)
    for layer in (layer for layer in generator.layers if isinstance(layer, keras.layers.Conv2D)):
        kernel = np.zeros(layer.kernel.shape, np.float32)
        kernel[1, :2, 0, 0] = 0.4, 0.6
        layer.set_weights([kernel, np.zeros(layer.bias.shape)])
    return save_run(workdir, settings, generator, data)


def by_network(run, hu):
    """What the network makes of HU (slices, height, width) as they lie."""
    values = ((hu + 1024) / 4096)[..., None]
    return 4096 * load_generator(run)(values).numpy()[..., 0] - 1024


# Records


def test_manifests_say_how_their_images_lie(data_dir, tmp_path):
    manifest = load_manifest(data_dir)
    assert manifest["transposed"] is True
    assert DataSet.open(data_dir).description["transposed"] is True
    old = {name: value for name, value in manifest.items() if name != "transposed"}
    found = {source: transposed(old | {"source": source}) for source in ("lodopab", "phantoms", "dicom")}
    assert found == {"lodopab": True, "phantoms": False, "dicom": False}, "as these versions made them"


@pytest.mark.parametrize("said", [{"source": "phantoms"}, {"orientation": "upright"}])
def test_files_may_say_otherwise_but_not_one_by_one(tmp_path, said):
    for part in ("train", "test"):
        path = write_part(tmp_path / "in", part, smooth_images(2, 32, 0), ids=[int(part == "test")] * 2)
        with h5py.File(path, "a") as file:
            file.attrs.update(said)
    assert not lodopab.is_transposed(path)
    assert prepare_lodopab(tmp_path / "in", tmp_path / "out", TWO_PARTS, seed=0)["transposed"] is False
    with h5py.File(path, "a") as file:
        file.attrs["orientation"] = "transposed"
    with pytest.raises(InputError, match=r"test_000.* has transposed slices, .*train_000.* upright ones; convert"):
        prepare_lodopab(tmp_path / "in", tmp_path / "mixed", TWO_PARTS, seed=0)
    with h5py.File(path, "a") as file:
        file.attrs["orientation"] = "sideways"
    with pytest.raises(InputError, match="orientation='sideways'; must be transposed or upright"):
        lodopab.is_transposed(path)


def test_phantoms_lie_as_lodopabs_slices_do(tmp_path, monkeypatch):
    downwards = np.tile(np.linspace(-1000.0, 1000.0, lodopab.IMAGE_SIZE)[:, None], lodopab.IMAGE_SIZE)
    monkeypatch.setattr(phantoms, "render_slice", lambda *_: downwards)
    phantoms.write_phantoms(tmp_path / "in", patients={"train": 1}, slices_per_patient=(1, 1), seed=0)
    path = tmp_path / "in" / "ground_truth_train_000.hdf5"
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["data"][0], lodopab.values_from_hu(downwards).T)
    assert lodopab.is_transposed(path)
    monkeypatch.undo()
    phantoms.check_same(tmp_path / "in", patients={"train": 1}, slices_per_patient=(1, 1), seed=0)


def test_evaluating_on_records_that_lie_otherwise_warns(data_dir, tmp_path, caplog):
    data = DataSet.open(data_dir)
    evaluate.warn_of_other_data(run_that_smears(tmp_path / "upright", transposed=False), data)
    assert "transposed: False -> True" in caplog.text
    caplog.clear()
    evaluate.warn_of_other_data(run_that_smears(tmp_path / "lying", **LYING), data)
    assert "transposed" not in caplog.text


# Networks


@pytest.mark.parametrize("data", [LYING, {"source": "lodopab"}, {"transposed": False}, {"source": "phantoms"}])
def test_the_network_sees_what_it_was_trained_on(tmp_path, data):
    """In every way of deploying it, on images that are not square; a run of an earlier version says its source only."""
    run, hu = run_that_smears(tmp_path / "run", **data), hu_images()
    lying = transposed(data)
    wanted = by_network(run, hu.swapaxes(1, 2)).swapaxes(1, 2) if lying else by_network(run, hu)
    other = by_network(run, hu) if lying else by_network(run, hu.swapaxes(1, 2)).swapaxes(1, 2)
    assert np.abs(wanted - other).max() > 100
    saved_model = export(run, tmp_path / "saved_model", "saved_model")
    weights = export(run, tmp_path / "torch", "torch") / "generator.safetensors"
    import_generator(weights, tmp_path / "back")
    for model in (run.path, saved_model, weights, tmp_path / "back"):
        denoiser = wgan_vgg.load(model)
        assert denoiser.mapping.transposed == lying
        np.testing.assert_allclose(denoiser(hu), wanted, atol=0.05)
        np.testing.assert_allclose(denoiser(hu, tile=12), wanted, atol=0.05)
    signatures = tf.saved_model.load(str(saved_model)).signatures
    given = signatures["denoise_hu"](low_dose_hu=tf.constant(hu[..., None]))["denoised"]
    np.testing.assert_allclose(given[..., 0], wanted, atol=0.05)
    given = signatures["serving_default"](low_dose=tf.constant((hu[..., None] + 1024) / 4096))["denoised"]
    np.testing.assert_allclose(4096 * given[..., 0] - 1024, by_network(run, hu), atol=0.05)  # as records are
    assert json.loads((tmp_path / "torch" / METADATA).read_text())["hu"]["transposed"] == lying


def test_an_export_of_an_earlier_version_is_known_by_its_data():
    hu = {"slope": 4072.0, "intercept": -1001.0, "rescaled": False, "clip": None}
    for source, lying in (("lodopab", True), ("phantoms", False), ("imported (ssinyu)", False)):
        assert HuMapping.from_metadata({"hu": hu, "training_data": {"source": source}}).transposed == lying
    mapping = HuMapping(4072.0, -1001.0, transposed=True)
    assert HuMapping.from_metadata({"hu": json.loads(json.dumps(mapping.describe()))}) == mapping


def test_the_model_that_ships_gains_by_it():
    """It has learnt streaks from side to side; transposed ones cost it .6 dB here."""
    low_dose, normal_dose = pretrained.example()
    denoiser = wgan_vgg.load("generator-mse-lodopab")
    right, wrong = (
        metrics.psnr(normal_dose / 4072, image / 4072) for image in (denoiser(low_dose), denoiser(low_dose.T).T)
    )
    assert right > wrong + 0.3


def test_what_earlier_versions_denoised_is_not_mixed_in(tmp_path):
    upright, lying = (Denoiser.load(run_that_smears(tmp_path / name, **LYING).path) for name in ("a", "b"))
    upright.metadata["fingerprint"] = lying.metadata["fingerprint"]
    assert lying.fingerprint != lying.metadata["fingerprint"], "which is what an earlier version's outputs are known by"
    assert upright.fingerprint == lying.fingerprint


def test_calibration_images_lie_as_the_network_wants_them(tmp_path):
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", hu_images(1)[0])
    mapping = HuMapping.from_run(run_that_smears(tmp_path / "run", **LYING))
    (values,) = find_samples("int8", tmp_path / "in", mapping, None).calibration
    np.testing.assert_allclose(values[..., 0], (hu_images(1)[0].T + 1024) / 4096, atol=1e-6)


def test_an_import_is_turned_to_the_records_it_is_judged_on(data_dir, tmp_path):
    run = run_that_smears(tmp_path / "run", transposed=False)
    state = export(run, tmp_path / "torch", "torch") / "generator.safetensors"
    for name, records in (("own", None), ("turned", data_dir)):
        import_generator(state, tmp_path / name, layout="original", data_dir=records)
    hu = hu_images()
    own, turned = (Denoiser.load(tmp_path / name) for name in ("own", "turned"))
    assert (own.mapping.transposed, turned.mapping.transposed) == (False, True)
    np.testing.assert_allclose(own(hu), by_network(run, hu), atol=0.05)
    np.testing.assert_allclose(turned(hu), own(hu), atol=2)  # the range is another one


# Files and pictures


def test_lodopabs_files_are_denoised_as_they_lie_and_shown_upright(tmp_path):
    run = run_that_smears(tmp_path / "run", **LYING, hu_slope=4072.001, hu_intercept=-1001.001, low_dose_clip=None)
    images = smooth_images(3, 48, 0)[:, :, :40]
    images[1, :8], images[1, 8:] = 0.3, 0.0  # soft tissue: shown upright, the left margin
    path = write_part(tmp_path, "test", images)
    denoise(Denoiser.load(run.path), path, tmp_path / "out.hdf5", Settings(preview=True))
    with h5py.File(tmp_path / "out.hdf5") as file:
        np.testing.assert_allclose(file["data"][:], load_generator(run)(images[..., None])[..., 0], atol=1e-5)
    with Image.open(tmp_path / "previews" / "out.hdf5.png") as picture:
        before = np.asarray(picture)[:40, :48]
    assert before[:, :8].min() > 240
    assert before[:, 8:].max() == 0
