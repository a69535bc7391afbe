"""data_prep.low_dose: noise by image and seed, and the settings that the noise of records and of later scans has."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from conftest import PREPARE, records

from data_prep import lodopab, low_dose, repeated_scans
from data_prep.geometry import Geometry
from data_prep.noise_insertion import NoiseInsertion
from data_prep.prepare import prepare_lodopab
from data_prep.projection import forward_projection, low_dose_observation
from wgan_vgg.input_pipeline import DataSet


def reference(index):
    return lodopab.SliceRef("train", Path("x.hdf5"), 0, index, index, "1")


def test_gaussian_noise_has_its_std_and_each_image_its_own_field():
    image = np.full((200, 200), 0.5, np.float32)
    noise = low_dose.GaussianNoise(math.sqrt(0.015), seed=1)
    first, second, again = (noise(reference(index), image, image) for index in (1, 2, 1))
    assert (first - image).var() == pytest.approx(0.015, rel=0.03)
    assert abs((first - image).mean()) < 0.002
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, low_dose.GaussianNoise(math.sqrt(0.015), seed=2)(reference(1), image, image))
    assert first.min() < 0.1, "unclipped"


def test_shared_field_is_the_same_in_every_image():
    noise = low_dose.GaussianNoise(0.1, seed=1, shared_field=True)
    black, grey = np.zeros((8, 8), np.float32), np.full((8, 8), 0.5, np.float32)
    first, second = noise(reference(1), black, black), noise(reference(2), grey, grey)
    np.testing.assert_allclose(first, second - 0.5, atol=1e-6)


def test_min_max_rescale():
    np.testing.assert_allclose(low_dose.min_max_rescale(np.array([-1.0, 0.0, 3.0])), [0, 0.25, 1])


def test_noise_is_by_the_slices_place_in_its_part():
    """Fails where it is by the row in a file: the same row of two files would have the same noise."""
    first, second = (lodopab.SliceRef("train", Path("x.hdf5"), number, 0, 128 * number, "1") for number in (0, 1))
    noise = [low_dose.random_stream(1, ref).standard_normal() for ref in (first, second)]
    assert noise[0] != noise[1]
    assert noise[1] == np.random.default_rng(np.random.SeedSequence(1, spawn_key=(0, 128))).standard_normal()


def test_records_and_later_scans_have_the_filter_that_was_asked_for(hdf5_dir, tmp_path):
    """Fails where either is reconstructed with hann whatever the config says."""
    config = dataclasses.replace(
        PREPARE, image_size=0, noise="poisson", noise_std=None, reconstruction_filter="ram-lak"
    )
    prepare_lodopab(hdf5_dir, tmp_path / "out", config, seed=0)
    ref = lodopab.list_slices(hdf5_dir, "test", lodopab.find_parts(hdf5_dir)["test"])[0]
    with lodopab.SliceReader() as reader:
        image = reader.read(ref)
    geometry = Geometry().coarser(8)
    expected = low_dose.PoissonNoise(4096.0, 0, geometry, "ram-lak")(ref, image, image)
    np.testing.assert_array_equal(records(tmp_path / "out", "test")[0]["low_dose"][..., 0], expected)
    again = repeated_scans.scanner(DataSet.open(tmp_path / "out").manifest, "test")(image, np.random.default_rng(5))
    clean, counts = forward_projection(image, geometry), geometry.counts(4096.0)
    observation = low_dose_observation(clean, counts, np.random.default_rng(5))
    np.testing.assert_array_equal(again, low_dose.reconstructed(observation, geometry, "ram-lak", 40, 40))


def test_noise_is_inserted_at_the_spacing_of_the_slice_before_it_is_resized():
    """Fails where the pixel's side is that of the resized image: a body of twice the width would be projected."""
    image = np.full((40, 40), 0.2458, np.float32)
    small, model = low_dose.resized(image, 20), NoiseInsertion(0.5, 1e4)
    found = low_dose.InsertedNoise(model, 3)(reference(0), image, small)
    noise = model.noise(image, 260 / 40, low_dose.random_stream(3, reference(0)))
    np.testing.assert_array_equal(found, small + low_dose.resized(noise, 20))
