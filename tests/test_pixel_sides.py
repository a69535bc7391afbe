"""The side of a pixel, wherever it comes from, and from when on it is another scan's."""

import dataclasses

import numpy as np
import pytest
from conftest import PREPARE, TWO_PARTS, records, smooth_images, write_part

from data_prep.manifest import load_manifest
from data_prep.prepare import prepare_lodopab
from data_prep.repeated_scans import scanner
from wgan_vgg.image_files.array_io import Hdf5Slices
from wgan_vgg.image_files.nifti_io import NiftiSlices
from wgan_vgg.image_files.slices import Options
from wgan_vgg.inference.summary import mismatch


def test_of_records_and_of_hdf5_which_show_all_of_the_260_mm(data_dir, hdf5_dir, tmp_path):
    """Slices of 40 pixels, made 32 and kept; so they are projected, too."""
    manifest = load_manifest(data_dir)
    assert (manifest["pixel_spacing_mm"], manifest["scanned_side"]) == (260 / 32, 40)
    kept = prepare_lodopab(hdf5_dir, tmp_path / "kept", dataclasses.replace(PREPARE, image_size=0), seed=0)
    path = hdf5_dir / "ground_truth_test_000.hdf5"
    assert kept["pixel_spacing_mm"] == Hdf5Slices(path, Options()).spacing_mm == 260 / 40


@pytest.mark.parametrize("dose", [{}, {"dose": 0.5}], ids=["simulated", "added"])
def test_small_slices_are_scanned_again_at_their_own_side(tmp_path, dose):
    """As an earlier version's manifest says it, too, and not where they have several."""
    settings = {"noise": "poisson", "noise_std": None, "projection_coarseness": 1 if dose else 8}
    config = dataclasses.replace(TWO_PARTS, image_size=20, **settings, **dose)
    for part, first in (("train", 0), ("test", 10)):
        write_part(tmp_path / "hdf5", part, smooth_images(2, 40, first) + 0.01, ids=[first, first + 1])
    manifest = prepare_lodopab(tmp_path / "hdf5", tmp_path / "out", config, seed=0)
    (record, _) = records(tmp_path / "out", "test")
    image = record["normal_dose"][..., 0]
    earlier = {name: value for name, value in manifest.items() if name != "scanned_side"}
    earlier["pixel_spacing_mm"] = 260 / 362 * 40 / 20
    scans = [scanner(one, "test")(image, np.random.default_rng(0)) for one in (manifest, earlier)]
    np.testing.assert_array_equal(*scans)
    write_part(tmp_path / "hdf5", "test", smooth_images(2, 30, 10) + 0.01)
    mixed = prepare_lodopab(tmp_path / "hdf5", tmp_path / "mixed", config, seed=0)
    assert (mixed["pixel_spacing_mm"], mixed["scanned_side"]) == (260 / 20, "unknown")
    assert scanner(mixed, "test") is None


def test_of_nifti_within_its_slices(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(np.zeros((8, 9, 3), np.int16), np.diag([500, 2000, 3000, 1]))
    image.header.set_xyzt_units("micron")
    image.to_filename(tmp_path / "a.nii")
    assert NiftiSlices(tmp_path / "a.nii", Options()).spacing_mm == pytest.approx(1.0)


def test_half_as_large_again_is_another_scans():
    assert mismatch({"pixel_spacing_mm": 1.0}, 1.4, None) == ""
    assert mismatch({"pixel_spacing_mm": 1.0}, 1.6, None) != ""
