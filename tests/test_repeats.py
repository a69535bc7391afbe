"""Scans made again: kept, with lesions where they belong, and what a method's noise and responses are of."""

import dataclasses

import numpy as np
import pytest
from conftest import PREPARE, write_bodies

from wgan_vgg.config import EvaluationConfig
from wgan_vgg.evaluation import lesions, observers, repeats
from wgan_vgg.input_pipeline import DataSet

CONFIG = EvaluationConfig()
FEW = {
    "repeated_images": 4,
    "lesion_diameters_mm": (36.0,),  # 4.4 pixels
    "lesion_contrasts_hu": (900.0,),
    "lesion_max_step_hu": 2000.0,
}

FAINT = {"lesion_contrasts_hu": (40.0,)}


@pytest.fixture(scope="module")
def bodies(tmp_path_factory):
    """With gaussian noise."""
    return write_bodies(tmp_path_factory.mktemp("bodies"), PREPARE)


def scanned(lesion=0.0, count=8, side=64):
    """Slices of white noise of standard deviation .01, with two lesions in each."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, (2, count, side, side)).astype(np.float32)
    square = lesion * lesions.disc(13, 5.0).astype(np.float32)
    places = [[lesions.Place(8, 8, 0), lesions.Place(30, 30, 0)] for _ in range(count)]
    pairs = zip(noise[0], places, strict=True)
    present = np.stack([lesions.inserted(one, there, square[None]) for one, there in pairs])
    scans = np.stack([noise[0], noise[1], present])
    rows = [{"patient_id": str(n % 4), "slice_index": n, "source": "s"} for n in range(count)]
    settings = EvaluationConfig(lesion_diameters_mm=(5.0,), lesion_contrasts_hu=(40.0,))
    return repeats.Repeats(rows, 0 * noise[0], scans, places, 13, settings)


def test_a_lesion_is_compared_with_its_place_in_the_same_noise():
    (found,) = scanned(0.05).evaluate("m", lambda b: b.low_dose)
    for one in found[observers.NPW].values():
        count = len(one["present"])
        np.testing.assert_allclose(np.subtract(one["present"], one["absent"][:count]), 1.0, atol=1e-3)


def test_a_lesion_has_its_contrast_and_its_diameter():
    # 8 mm are 4 pixels, 40 HU .01.
    settings = EvaluationConfig(lesion_diameters_mm=(8.0,), lesion_contrasts_hu=(40.0,))
    (square,) = repeats._contrasts(settings, 13, 2.0, 4000.0)
    assert square[6, 6] == pytest.approx(0.01)
    assert square.sum() == pytest.approx(0.01 * np.pi * 2.0**2, rel=0.1)


def test_scans_are_kept_and_made_anew_for_other_settings(bodies, tmp_path):
    data, config = DataSet.open(bodies), dataclasses.replace(CONFIG, **FEW)
    kept = tmp_path / "scans.npz"
    first = repeats.scan_again(data, "test", config, kept)
    made = kept.stat().st_mtime_ns
    again = repeats.scan_again(data, "test", config, kept)
    assert kept.stat().st_mtime_ns == made
    np.testing.assert_array_equal(first.scans, again.scans)
    # Plain and with lesions: the same noise; again: another.
    assert np.corrcoef(*((first.scans[i] - first.truths).ravel() for i in (repeats.PLAIN, repeats.AGAIN)))[0, 1] < 0.1
    noise = first.scans[repeats.PLAIN] - first.truths
    assert np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1] < 0.1, "each slice has its own"
    outside = np.ones(first.truths[0].shape, bool)
    for place in first.places[0]:
        outside[place.row : place.row + first.side, place.column : place.column + first.side] = False
    difference = first.scans[repeats.WITH_LESIONS][0] - first.scans[repeats.PLAIN][0]
    assert first.places[0]
    np.testing.assert_array_equal(difference[outside], 0)
    assert np.abs(difference[~outside]).max() > 0
    other = dataclasses.replace(config, lesion_contrasts_hu=(500.0,))
    repeats.scan_again(data, "test", other, kept)
    assert kept.stat().st_mtime_ns != made
    assert repeats.scan_again(data, "test", dataclasses.replace(config, repeated_images=0), kept) is None


def test_each_slice_begins_with_the_next_kind_of_lesion(bodies, tmp_path):
    """Fails where all begin with the first: of slices that hold one lesion each, the others would never come."""
    config = dataclasses.replace(CONFIG, **FEW | {"lesion_contrasts_hu": (900.0, 500.0), "lesions_per_image": 1})
    made = repeats.scan_again(DataSet.open(bodies), "test", config, tmp_path / "scans.npz")
    assert [[place.kind for place in there] for there in made.places] == [[0], [1], [0], [1]]


def test_what_an_earlier_version_kept_is_made_anew(bodies, tmp_path, monkeypatch):
    data, config = DataSet.open(bodies), dataclasses.replace(CONFIG, **FEW)
    kept = tmp_path / "scans.npz"
    with monkeypatch.context() as earlier:
        earlier.setattr(repeats, "VERSION", 1)
        repeats.scan_again(data, "test", config, kept)
    made = kept.stat().st_mtime_ns
    repeats.scan_again(data, "test", config, kept)
    assert kept.stat().st_mtime_ns != made


def test_counted_photons_are_the_same_with_lesions_but_on_their_rays(tmp_path):
    # NumPy's own counts take a varying number of draws: every ray after the first that meets a lesion had other noise.
    poisson = dataclasses.replace(PREPARE, noise="poisson", reconstruction_filter="ram-lak", noise_std=None)
    data, config = DataSet.open(write_bodies(tmp_path, poisson)), dataclasses.replace(CONFIG, **FEW | FAINT)
    made = repeats.scan_again(data, "test", config, tmp_path / "scans.npz")
    plain, again, present = (made.scans[number] for number in (repeats.PLAIN, repeats.AGAIN, repeats.WITH_LESIONS))
    outside = np.ones(plain.shape, bool)
    for shown, places in zip(outside, made.places, strict=True):
        for place in places:
            shown[place.row : place.row + made.side, place.column : place.column + made.side] = False
    assert not outside.all()
    assert np.std((present - plain)[outside]) < 0.3 * np.std((again - plain)[outside])
