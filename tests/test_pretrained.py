"""The models that ship with the package: loaded by name, checked, better than their input on real CT, documented."""

import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import REPO
from dicom_files import write_series

import wgan_vgg
from data_prep.errors import InputError
from wgan_vgg import pretrained
from wgan_vgg.config import GeneratorConfig
from wgan_vgg.evaluation import metrics
from wgan_vgg.exporters.import_weights import import_generator
from wgan_vgg.exporters.state_dict import set_state_dict, to_state_dict
from wgan_vgg.inference import denoiser
from wgan_vgg.models import build_generator, generator_of
from wgan_vgg.reporting import example_figure

NAMES = list(pretrained.index())


def published_bias(name):
    """HU, of the test split, as its card says it: a loss of features alone does not see what all values share."""
    results = pretrained.card(name).partition("## Results: test")[2].partition("| bias HU |")[2]
    return float(re.search(r"\| bm3d .*\n\| \S+ +\| ([+-][\d.]+) ", results)[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_denoises_a_real_slice(name):
    """Its patient was in the test split; the weights of another step or a wrong HU mapping would not do it."""
    low_dose, normal_dose = pretrained.example()
    denoised = wgan_vgg.load(name)(low_dose)
    assert (denoised.shape, denoised.dtype) == (low_dose.shape, np.float32)
    before, after = (metrics.psnr(normal_dose / 4072, image / 4072) for image in (low_dose, denoised))
    assert before == pytest.approx(27.4, abs=0.1)
    assert after > before + 12
    assert np.mean(denoised - normal_dose) == pytest.approx(published_bias(name), abs=3.0)


@pytest.mark.parametrize("name", NAMES)
def test_every_model_has_its_card_with_data_licences_results_and_what_it_is_not_for(name):
    card = pretrained.card(name)
    for heading in ("## Use", "## Data", "## Training", "## Results: validation", "## Results: test"):
        assert heading in card
    for words in ("Not for diagnosis", "CC BY 4.0", "4096 photons", "python -m experiments.train", "bm3d"):
        assert words in card


def test_stacks_single_slices_and_strength(tmp_path):
    low_dose = pretrained.example()[0][:64, :64]
    whole = wgan_vgg.load(NAMES[0])(np.stack([low_dose, low_dose]))
    single = wgan_vgg.load(NAMES[0])(low_dose.astype(np.int16))
    np.testing.assert_allclose(whole[0], single, atol=0.05)
    mixed = wgan_vgg.load(NAMES[0], strength=0.25)
    np.testing.assert_allclose(mixed(low_dose), 0.25 * single + 0.75 * low_dose, atol=0.05)
    assert mixed.fingerprint != wgan_vgg.load(NAMES[0]).fingerprint, "two strengths must not mix in a folder"
    assert "strength 0.25" in mixed.derivation
    np.testing.assert_array_equal(wgan_vgg.load(NAMES[0], strength=0.0)(low_dose), low_dose)
    for wrong, message in ((np.zeros(5), "shape"), (np.full((3, 3), np.nan), "9 NaN or infinite")):
        with pytest.raises(InputError, match=message):
            mixed(wrong)
    with pytest.raises(InputError, match="strength=2: must be from 0"):
        wgan_vgg.load(NAMES[0], strength=2)
    for model in (NAMES[0], pretrained.find(NAMES[0])):
        with pytest.raises(InputError, match=f"weights=best: only a run has several, and model {model} is none"):
            wgan_vgg.load(model, "best")
    with pytest.raises(InputError, match=f"neither a SavedModel nor a run, and none of {NAMES[0]}"):
        wgan_vgg.load(tmp_path / "nothing")


def test_denoise_takes_it_by_name_and_lists_it(script, tmp_path):
    status, out, _ = script("denoise", "--list_models")
    assert (status, out.split(":")[0]) == (0, NAMES[0])
    write_series(tmp_path / "in", 2)
    flags = (f"--model={NAMES[0]}", f"--input={tmp_path / 'in'}", "--strength=0.5")
    status, out, err = script("denoise", *flags, f"--output={tmp_path / 'out'}")
    assert (status, "2 files" in out) == (0, True), err
    status, _, err = script("denoise", *flags[:2], f"--output={tmp_path / 'out'}")
    assert (status, "another model" in err) == (2, True), "another strength is another model"


def test_importing_the_package_imports_no_tensorflow():
    code = "import sys, wgan_vgg; wgan_vgg.pretrained.index(); assert 'tensorflow' not in sys.modules; wgan_vgg.load"
    subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True, timeout=120)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        wgan_vgg.nothing  # noqa: B018


def test_its_weights_are_a_run_as_well(tmp_path):
    import_generator(pretrained.find(NAMES[0]), tmp_path / "run")
    hu = pretrained.example()[0][:64, :64]
    np.testing.assert_array_equal(wgan_vgg.load(tmp_path / "run")(hu), wgan_vgg.load(pretrained.find(NAMES[0]))(hu))


# Without TensorFlow


@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime_denoises_as_tensorflow_does(name):
    """Fails where one of the two files is of other weights, or one backend's images lie the other way."""
    pytest.importorskip("onnxruntime")
    low_dose, _ = pretrained.example()
    plain, fast = (wgan_vgg.load(pretrained.find(name, suffix)) for suffix in (".safetensors", ".onnx"))
    assert plain.metadata == fast.metadata
    assert plain.derivation == fast.derivation
    np.testing.assert_allclose(fast(low_dose), plain(low_dose), atol=1e-5 * plain.mapping.slope)
    np.testing.assert_allclose(fast(low_dose, tile=100), fast(low_dose), atol=1e-5 * plain.mapping.slope)


def test_a_slice_is_denoised_without_importing_tensorflow(tmp_path):
    """It takes seconds to import; the slice takes a tenth of one."""
    pytest.importorskip("onnxruntime")
    np.save(tmp_path / "a.npy", pretrained.example()[0][:64, :64])
    code = (
        "import sys\nfrom experiments.denoise import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print([name for name in ('tensorflow', 'keras', 'torch') if name in sys.modules])\n"
    )
    flags = (f"--model={NAMES[0]}", f"--input={tmp_path / 'a.npy'}", f"--output={tmp_path / 'b.npy'}")
    done = subprocess.run(
        [sys.executable, "-c", code, *flags], cwd=REPO, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert np.load(tmp_path / "b.npy").shape == (64, 64)


def test_with_a_gpu_or_without_onnxruntime_it_is_tensorflow(monkeypatch, tmp_path):
    monkeypatch.setattr(denoiser.importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(denoiser, "_DEVICES", tmp_path)
    assert denoiser.model_path(NAMES[0]).suffix == ".onnx"
    (tmp_path / "nvidia0").touch()
    assert denoiser.model_path(NAMES[0]).suffix == ".safetensors"
    (tmp_path / "nvidia0").unlink()
    monkeypatch.setattr(denoiser.importlib.util, "find_spec", lambda _: None)
    assert denoiser.model_path(NAMES[0]).suffix == ".safetensors"


def test_an_onnx_file_that_is_not_ours_is_refused(tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    (tmp_path / "text.onnx").write_text("text")
    with pytest.raises(InputError, match=r"text\.onnx: not a readable ONNX file"):
        wgan_vgg.load(tmp_path / "text.onnx")
    model = onnx.load(pretrained.find(NAMES[0], ".onnx"))
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(InputError, match=r"bare\.onnx: not a file of experiments\.export --format=onnx"):
        wgan_vgg.load(tmp_path / "bare.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"bare\.onnx: needs onnxruntime: pip install"):
        wgan_vgg.load(tmp_path / "bare.onnx")


def test_an_earlier_versions_file_opens():
    """Its tensors were called net.0.weight, net.0.bias, net.2.weight ..."""
    config = GeneratorConfig(layers=2, filters=4)
    generator, other = build_generator(config, seed=1), build_generator(config, seed=2)
    state = {f"net.{name}": array for name, array in to_state_dict(generator, generator_of(config)).items()}
    set_state_dict(other, generator_of(config), state, "old.safetensors")
    for ours, theirs in zip(other.get_weights(), generator.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_figures_ssim_is_the_tables():
    low_dose, normal_dose = pretrained.example()
    values = [(hu + 1001) / 4072 for hu in (normal_dose.astype(float), low_dose)]  # about LoDoPaB-CT's range
    expected = metrics.ssim(*values)
    text = example_figure._quality(normal_dose, low_dose)
    assert float(text.rpartition(" ")[2]) == pytest.approx(expected, abs=6e-4)
    assert abs(metrics.ssim(normal_dose / 4072, low_dose / 4072) - expected) > 0.002, "HU without their intercept"
