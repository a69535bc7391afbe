"""The side of a pixel, wherever it comes from, and from when on it is another scan's."""

import numpy as np
import pytest
from conftest import smooth_images, write_part

from data_prep.manifest import load_manifest
from wgan_vgg.image_files.array_io import Hdf5Slices
from wgan_vgg.image_files.nifti_io import NiftiSlices
from wgan_vgg.image_files.slices import Options
from wgan_vgg.inference.summary import mismatch


def test_of_records_that_were_made_smaller(data_dir):
    # LoDoPaB-CT's 260 mm are 362 pixels, of which these have 40, made 32.
    assert load_manifest(data_dir)["pixel_spacing_mm"] == pytest.approx(260 / 362 * 40 / 32)


def test_of_hdf5_which_shows_all_of_the_260_mm(tmp_path):
    path = write_part(tmp_path, "test", smooth_images(2, 40, 0))
    assert Hdf5Slices(path, Options()).spacing_mm == pytest.approx(260 / 40)


def test_of_nifti_within_its_slices(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(np.zeros((8, 9, 3), np.int16), np.diag([500, 2000, 3000, 1]))
    image.header.set_xyzt_units("micron")
    image.to_filename(tmp_path / "a.nii")
    assert NiftiSlices(tmp_path / "a.nii", Options()).spacing_mm == pytest.approx(1.0)


def test_half_as_large_again_is_another_scans():
    assert mismatch({"pixel_spacing_mm": 1.0}, 1.4, None) == ""
    assert mismatch({"pixel_spacing_mm": 1.0}, 1.6, None) != ""
