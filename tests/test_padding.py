"""Padding that no tag names: a plateau below all that scanners give, in every format."""

import numpy as np
import pydicom
import pytest
from dicom_files import write_slice

import wgan_vgg
from wgan_vgg import pretrained
from wgan_vgg.extent import Extent
from wgan_vgg.hu import HuMapping, padded
from wgan_vgg.inference.denoise import Settings, denoise
from wgan_vgg.inference.denoiser import Denoiser

MAPPING = HuMapping(4096.0, -1024.0, clip=(0.0, 1.0))


def plateau(value, pixels=25):
    """Tissue of 0 HU (20x20), its first pixels, from 25 on 6 % of all, of another value."""
    hu = np.zeros((20, 20), np.float32)
    hu.flat[:pixels] = value
    return hu


@pytest.mark.parametrize(
    ("value", "pixels", "expected"),
    [
        (-2000, 25, 25),
        (-3024, 5, 5),
        (-3024, 4, 0),  # 1 %: four noisy pixels, perhaps
        (-1025, 25, 25),
        (-1024, 25, 0),  # what scanners give for air
    ],
)
def test_padding_is_a_plateau_at_the_minimum_below_all_measurements(value, pixels, expected):
    hu = np.stack([plateau(value, pixels), plateau(0)])
    found = padded(hu)
    assert (found.sum(), found[0].flat[:expected].all(), found.shape) == (expected, True, hu.shape)


@pytest.mark.parametrize("floor", [-1100, -1200, -1350])
def test_noise_that_was_cut_off_is_none(floor):
    """As by a picture's lung window, -1350 to 150 HU: air with the noise of a low dose."""
    hu = np.random.default_rng(0).normal(-1000, 210, (2, 128, 128)).astype(np.float32)
    assert np.mean(hu < floor) > 0.03
    assert not padded(np.maximum(hu, floor)).any()


@pytest.mark.parametrize("tile", [0, 8])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_the_network_sees_air_there_and_the_output_keeps_what_was_there(tile, strength):
    seen = []

    def network(values):
        seen.append(values.copy())
        return values + np.float32(8 / 4096)

    denoiser = Denoiser(network, HuMapping(4096.0, -1024.0), {"fingerprint": "0" * 64}, Extent(1, maps=1), strength)
    before = np.stack([plateau(-3024), plateau(-1024)])
    after = denoiser(before, tile)
    assert min(values.min() for values in seen) == 0.0  # -1024 HU; of -3024 it would be -.488
    np.testing.assert_array_equal(after[0].flat[:25], -3024)
    np.testing.assert_allclose(after[0].flat[25:], 8 * strength, atol=1e-3)
    np.testing.assert_allclose(after[1].flat[:25], -1024 + 8 * strength, atol=1e-3)


def test_files_keep_it_and_it_is_not_counted_as_clipped(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    hu = plateau(-2048).astype(np.int16)
    hu.flat[25:] = np.random.default_rng(0).integers(-50, 50, 375)
    np.save(tmp_path / "a.npy", hu)
    nibabel.Nifti1Image(hu.T[..., None], np.eye(4)).to_filename(tmp_path / "a.nii")
    write_slice(tmp_path / "a.dcm", hu, RescaleIntercept=0)
    denoiser = Denoiser(lambda values: values + np.float32(8 / 4096), MAPPING, {"fingerprint": "0" * 64}, Extent(1, 1))
    read = {
        "npy": np.load,
        "nii": lambda path: nibabel.load(path).dataobj.get_unscaled()[..., 0].T,
        "dcm": lambda path: pydicom.dcmread(path).pixel_array,
    }
    for ending, load in read.items():
        outcome = denoise(denoiser, tmp_path / f"a.{ending}", tmp_path / f"b.{ending}", Settings())
        after = load(tmp_path / f"b.{ending}")
        assert outcome.clipped == 0, ending
        np.testing.assert_array_equal(after.flat[:25], -2048, err_msg=ending)
        np.testing.assert_array_equal(after.flat[25:], hu.flat[25:] + 8, err_msg=ending)


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_tissue_beside_it_is_denoised_as_beside_air(suffix):
    if suffix == ".onnx":
        pytest.importorskip("onnxruntime")
    denoiser = wgan_vgg.load(pretrained.find("generator-mse-lodopab", suffix))
    hu = np.random.default_rng(0).normal(0, 50, (48, 48)).astype(np.float32)
    hu[:12] = denoiser.mapping.padding_hu
    wanted = denoiser(hu)
    hu[:12] = -3024
    np.testing.assert_array_equal(denoiser(hu)[12:], wanted[12:])
