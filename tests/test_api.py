"""The front door: what `import wgan_vgg` offers, and that it and --help cost nothing until something is used."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import REPO, SCRIPTS
from dicom_files import write_patients
from training_runs import TINY

import wgan_vgg
from wgan_vgg.errors import InputError
from wgan_vgg.image_files.read import read_hu

PROMISED = ("DataSet", "Denoiser", "denoise", "evaluate", "export", "load", "metrics", "preset", "train")


def test_importing_and_looking_around_import_no_tensorflow():
    code = "import sys, wgan_vgg; wgan_vgg.preset('demo'); dir(wgan_vgg); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPO, check=False).returncode == 0


def test_no_script_imports_tensorflow_to_print_its_help():
    """Importing it takes seconds; a bad flag or --help must not wait for it."""
    code = (
        "import sys, importlib\n"
        f"for name in {SCRIPTS}:\n"
        "    try: importlib.import_module('experiments.' + name).main(['--help'])\n"
        "    except SystemExit: pass\n"
        "print([name for name in ('tensorflow', 'keras', 'torch') if name in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPO)
    assert result.stdout.count("Flags:") == len(SCRIPTS) == 10
    assert result.stdout.splitlines()[-1] == "[]"


def test_what_is_promised_is_there_whatever_was_imported_before():
    import wgan_vgg.exporters.export  # a subpackage must not take a function's place

    assert set(PROMISED) <= set(dir(wgan_vgg))
    for name in set(PROMISED) - {"metrics"}:
        assert callable(getattr(wgan_vgg, name)), name
    assert wgan_vgg.metrics.psnr(np.zeros((2, 2)), np.full((2, 2), 0.1)) == pytest.approx(20.0)
    with pytest.raises(AttributeError, match="no attribute 'denoize'"):
        _ = wgan_vgg.denoize


def test_a_preset_takes_overrides():
    config = wgan_vgg.preset("demo", {"training.steps": 3, "model": "wgan"})
    assert (config.training.steps, config.model, config.preset) == (3, "wgan", "demo")
    with pytest.raises(InputError, match=r"did you mean training\.steps"):
        wgan_vgg.preset("demo", {"training.step": 3})


def test_from_records_to_a_denoised_file(hdf5_dir, tmp_path):
    tiny = dict(flag.removeprefix("--set=").split("=", 1) for flag in TINY if flag.startswith("--set="))
    values = {"model": "generator-mse", "training.steps": 2, "training.batch_size": 4, "data.image_size": 32}
    config = wgan_vgg.preset("demo", tiny | values | {"data.num_train": 0, "evaluation.perceptual": False})
    data = wgan_vgg.prepare(config, tmp_path / "records", source="lodopab", input_dir=str(hdf5_dir))
    assert wgan_vgg.train(config, str(data.path), tmp_path / "run")["step"] == 2
    summary = wgan_vgg.evaluate(tmp_path / "run", data, overrides={"evaluation.baselines": ()})
    exported = wgan_vgg.export(tmp_path / "run", tmp_path / "saved_model")
    # LoDoPaB-CT's slices lie transposed; a denoiser takes them upright.
    low_dose, truth = (part.numpy()[..., 0].swapaxes(1, 2) for part in data.first("test", 12))
    np.save(tmp_path / "low_dose.npy", data.hu.to_hu(low_dose))
    outcome = wgan_vgg.denoise(tmp_path / "low_dose.npy", str(tmp_path / "denoised.npy"), exported)
    assert outcome.slices == 12
    denoised = data.hu.to_values(np.load(tmp_path / "denoised.npy"))
    psnr = np.mean([wgan_vgg.metrics.psnr(*pair) for pair in zip(truth, denoised, strict=True)])
    assert psnr == pytest.approx(summary["methods"]["generator-mse"]["psnr"], abs=0.01)
    by_path = wgan_vgg.load(exported)(str(tmp_path / "low_dose.npy"))
    np.testing.assert_allclose(by_path, np.load(tmp_path / "denoised.npy"), atol=0.01)


def test_a_series_is_read_in_the_order_of_positions_not_of_names(tmp_path):
    import pydicom

    folder = write_patients(tmp_path / "mayo", ["L0"]) / "L0" / "full_3mm"
    files = sorted(folder.iterdir())
    inverted = tmp_path / "series"
    inverted.mkdir()
    for number, file in enumerate(reversed(files)):
        (inverted / f"{number}.dcm").write_bytes(file.read_bytes())
    positions = [float(pydicom.dcmread(file).ImagePositionPatient[2]) for file in files]
    expected = [read_hu(files[place])[0] for place in np.argsort(positions)]
    np.testing.assert_array_equal(read_hu(inverted), expected)
    assert not np.array_equal(expected[0], expected[-1])


def test_what_cannot_be_one_stack_is_refused(tmp_path):
    for side in (8, 9):
        np.save(tmp_path / f"{side}.npy", np.random.default_rng(0).normal(size=(side, side)).astype(np.float32))
    with pytest.raises(InputError, match="slices of several sizes"):
        read_hu(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        wgan_vgg.load("generator-mse-lodopab")(tmp_path / "nothing")
    with pytest.raises(InputError, match="out/: ends as a folder does, but the input is a file"):
        wgan_vgg.denoise(tmp_path / "8.npy", f"{tmp_path}/out/")
