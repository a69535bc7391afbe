"""Noise of a lower dose added to images: its variance against theory, what stays untouched, DICOM files, refusals."""

import dataclasses
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import PREPARE, write_part
from dicom_files import SIDE, prepare, records, refusal, stored_slice, write_single
from scipy import ndimage

from data_prep import projection, repeated_scans
from data_prep.errors import InputError
from data_prep.geometry import Geometry
from data_prep.noise_insertion import VALUE_PER_HU, NoiseInsertion
from data_prep.patches import to_range
from data_prep.prepare import prepare_lodopab
from wgan_vgg import config
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.reporting.results import describe_data
from wgan_vgg.training_input import training_input

SIZE, SPACING = 128, 1.2


def water(size: int = SIZE, spacing: float = SPACING, radius_mm: float = 60.0) -> np.ndarray:
    """A cylinder of water in air, float32 HU."""
    middle = (np.arange(size) - (size - 1) / 2) * spacing
    return np.where(np.hypot(middle[:, None], middle) < radius_mm, 0, -1000).astype(np.float32)


def middle_of(image: np.ndarray) -> np.ndarray:
    """The pixels around the middle, a third of the side."""
    third = image.shape[-1] // 3
    return image[..., third:-third, third:-third]


def added(model: NoiseInsertion, hu: np.ndarray, spacing: float = SPACING, count: int = 4) -> np.ndarray:
    """What the model adds in several scans: (count, n, n) HU."""
    return np.stack([model.add_to_hu(hu, spacing, np.random.default_rng(seed)) - hu for seed in range(count)])


def test_an_image_at_half_dose_has_twice_the_variance_and_at_a_quarter_four_times() -> None:
    """The image's own noise is simulated by counts at the full dose, which is another path than what is tested."""
    hu, geometry = water(), Geometry.of_image(SIZE, SPACING)
    clean = projection.forward_projection(VALUE_PER_HU * (hu + 1000), geometry)
    rng = np.random.default_rng(9)
    one, other = (projection.low_dose_observation(clean, geometry.counts(2e4), rng) for _ in range(2))
    own = projection.filtered_backprojection(one - other, geometry, SIZE, "hann") / (VALUE_PER_HU * math.sqrt(2))
    own_variance = middle_of(own).var()
    for dose in (0.5, 0.25):
        extra = middle_of(added(NoiseInsertion(dose, 2e4), hu)).var()
        assert (own_variance + extra) / own_variance == pytest.approx(1 / dose, rel=0.1)


def test_anatomy_is_untouched_and_unbiased_and_the_full_dose_adds_nothing() -> None:
    hu = water()
    hu[:, SIZE // 2 :] += 40.0 * (hu[:, SIZE // 2 :] > -500)
    np.testing.assert_array_equal(NoiseInsertion(1.0, 1e3).add_to_hu(hu, SPACING, np.random.default_rng(0)), hu)
    noise = added(NoiseInsertion(0.25, 1e4), hu, count=8)
    assert noise.dtype == np.float32
    for half in (middle_of(noise)[..., :20], middle_of(noise)[..., -20:]):
        # Neighbours are correlated; of 8 scans the mean over 20 x 44 pixels is much surer than this.
        assert abs(half.mean()) < 0.05 * half.std()
    again = NoiseInsertion(0.25, 1e4).add_to_hu(hu, SPACING, np.random.default_rng(3)) - hu
    np.testing.assert_array_equal(again, noise[3])


def test_outside_the_circle_nothing_is_attenuated_or_changed() -> None:
    hu = water()
    padded = hu.copy()
    corners = np.hypot(*np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) > SIZE / 2
    padded[corners] = 3000.0  # as wrong as padding can be
    noise = [
        added(NoiseInsertion(0.25, 1e4), image, count=1)[0] for image in (hu, padded, np.where(corners, -3024, hu))
    ]
    for one in noise:
        assert not one[corners].any()
        np.testing.assert_allclose(one, noise[0], atol=1e-3)


def test_the_pixel_spacing_decides_how_much_is_attenuated() -> None:
    """The same pixels of twice the size are a body of twice the width: exp(attenuation) more variance, at any angle.

    The filter cuts off at half the frequency, which is 1/4 of the noise power, seen through pixels of 4 times the area.
    """
    small, large = (middle_of(added(NoiseInsertion(0.5, 1e5), water(spacing=1.0, radius_mm=40), s)) for s in (1.0, 2.0))
    # Variance of a pixel: attenuation * (count of a wider ray)^-1 * width^-2.
    chord = 0.08 * projection.MU_WATER
    assert large.var() / small.var() == pytest.approx(math.exp(chord) / 2 / 4, rel=0.15)


def test_the_noise_of_a_body_does_not_depend_on_the_pixels_it_is_shown_in() -> None:
    """As far as the wider pixels resolve it. Counts that do not grow with the detector cell give a ratio of 0.76."""
    found = []
    for size, spacing in ((120, 2.0), (60, 4.0)):
        noise = added(NoiseInsertion(0.5, 1e5, filter_name="ram-lak"), water(size, spacing, 100), spacing, count=8)
        found.append(middle_of(ndimage.gaussian_filter(noise, (0, 8 / spacing, 8 / spacing))).std())
    assert found[0] / found[1] == pytest.approx(1, abs=0.15)


# DICOM files


AT_A_QUARTER = {"noise": "poisson", "dose": 0.25, "photons": 1e5}


def test_records_of_a_normal_dose_series_alone(tmp_path: Path) -> None:
    root = write_single(tmp_path / "in", ["L0", "L1", "L2"])
    manifest = prepare(root, **AT_A_QUARTER)
    assert manifest["patients"] == {"train": ["L0", "L1"], "test": ["L2"]}
    assert (manifest["data"]["dose"], manifest["data"]["photons"]) == (0.25, 1e5)
    assert manifest["low_dose_clip"] == [0.0, 1.0]
    assert manifest["pixel_spacing_mm"] == 0.75
    assert len(manifest["input_files"]) == 12
    for record in records(root, "test"):
        stored = stored_slice(2, "full_3mm", int(record["slice_index"]))
        np.testing.assert_array_equal(record["normal_dose"][..., 0], stored.astype(np.float32) / 4096)
        key = (zlib.crc32(b"L2"), int(record["slice_index"]))  # the patient's and the slice's own noise
        rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=key))
        expected = NoiseInsertion(0.25, 1e5).add_to_hu(stored.astype(np.float32) - 1024, 0.75, rng)
        np.testing.assert_array_equal(record["low_dose"][..., 0], to_range(expected)[0])
        assert 1 < middle_of(4096 * (record["low_dose"] - record["normal_dose"])[..., 0]).std() < 20
    again = repeated_scans.scanner(manifest, "test")(record["normal_dose"][..., 0], np.random.default_rng(5))
    assert 0 <= again.min() <= again.max() <= 1
    noise = [4096 * middle_of(image - record["normal_dose"][..., 0]) for image in (again, record["low_dose"][..., 0])]
    assert noise[0].std() == pytest.approx(noise[1].std(), rel=0.5)
    patches = manifest | {"data": manifest["data"] | {"patch_size": 8}}
    assert repeated_scans.scanner(patches, "test") is None, "a patch cannot be projected"
    errors = [(record["low_dose"] - record["normal_dose"])[..., 0] for record in records(root, "test")]
    assert abs(np.corrcoef(errors[0].ravel(), errors[1].ravel())[0, 1]) < 0.2, "each slice its own noise"


def test_patches_are_those_of_the_whole_slice_for_any_number_of_workers(tmp_path: Path) -> None:
    root = write_single(tmp_path / "in", ["L0", "L1", "L2"])
    prepare(root, **AT_A_QUARTER)
    whole = {int(record["slice_index"]): record["low_dose"] for record in records(root, "test")}
    (tmp_path / "records").rename(tmp_path / "whole")
    splits = prepare(root, **AT_A_QUARTER, patch_size=8, shards=2, workers=1)["splits"]
    patches = records(root, "test")
    assert len(patches) == 4 * 12, "air is left out by the normal dose"
    for record in patches:
        pair, number = divmod(int(record["slice_index"]), 10_000)
        row, column = divmod(number, SIDE // 8)
        expected = whole[pair][row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
        np.testing.assert_array_equal(record["low_dose"], expected)
    (tmp_path / "records").rename(tmp_path / "patches")
    assert prepare(root, **AT_A_QUARTER, patch_size=8, shards=2, workers=3)["splits"] == splits


def test_which_series_is_the_normal_dose(tmp_path: Path, mayo: Path) -> None:
    root = write_single(tmp_path / "in", ["L0", "L1", "L2"], ("Scout", "Soft Tissue 3.0"))
    message = refusal(root, **AT_A_QUARTER)
    assert "patient L0: 2 series ('Scout', 'Soft Tissue 3.0'); name one of them" in message
    assert prepare(root, **AT_A_QUARTER, normal_dose_description="soft")["splits"]["test"]["records"] == 4
    (tmp_path / "records").rename(tmp_path / "soft")
    # In the challenge's layout the folder tells, and the low dose beside it is not looked at.
    prepare(mayo, **AT_A_QUARTER)
    for record in records(mayo, "test"):  # in the order of position, which is not that of the names
        stored = stored_slice(2, "full_3mm", int(record["slice_index"]))
        np.testing.assert_array_equal(record["normal_dose"][..., 0], stored.astype(np.float32) / 4096)
    (tmp_path / "empty" / "in" / "L0").mkdir(parents=True)
    assert "no patient has a folder full_3mm, or DICOM files of one series" in refusal(
        tmp_path / "empty" / "in", **AT_A_QUARTER
    )


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"PixelSpacing": None}, "PixelSpacing None; data.dose needs square slices with square pixels"),
        ({"PixelSpacing": [0.75, 0.8]}, r"PixelSpacing \(0.75, 0.8\); data.dose needs square"),
        ({"PixelSpacing": [0, 0]}, r"0\.dcm: 32 x 32 pixels, PixelSpacing \(0.0, 0.0\); data.dose needs square"),
    ],
)
def test_slices_that_cannot_be_projected_are_refused(tmp_path: Path, attributes: dict, message: str) -> None:
    root = write_single(tmp_path / "in", ["L0", "L1", "L2"], **attributes)
    with pytest.raises(InputError, match=message):
        prepare(root, **AT_A_QUARTER)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data.dose": 0.0}, r"data\.dose=0\.0: must be in \(0, 1\]"),
        ({"data.dose": -0.5}, r"data\.dose=-0\.5: must be in"),
        ({"data.dose": "1.5"}, r"data\.dose=1\.5: must be in \(0, 1\]"),
        ({"data.dose": float("nan")}, r"data\.dose=nan"),
        ({"data.noise": "none", "data.dose": 0.5}, r"data\.dose=0\.5: needs data\.noise=poisson, not none"),
        ({"data.dose": 0.5, "data.photons": "100,200"}, "and one data.photons"),
        ({"data.dose": 0.5, "data.projection_coarseness": 2}, "take 1 with data.dose"),
        ({"data.electronic_noise": -1.0}, r"data\.electronic_noise=-1\.0: must be at least 0"),
        ({"data.electronic_noise": 5.0}, r"data\.electronic_noise=5: needs data\.dose; give that, too"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        config.override(config.preset("report"), {"data.noise": "poisson"} | values)


def test_by_script(tmp_path: Path, script: Callable[..., tuple[int, str, str]]) -> None:
    root, out = write_single(tmp_path / "in", ["L0", "L1", "L2"]), tmp_path / "out"
    flags = ["--source=dicom", "--preset=yang2018", f"--input_dir={root}", f"--output_dir={out}", "--test_patients=L2"]
    status, _, err = script("prepare", *flags, "--noise=poisson")
    assert (status, "data.noise=poisson, data.dose=None: where DICOM has real low-dose scans" in err) == (2, True)
    status, _, err = script("prepare", *flags, "--noise=poisson", "--dose=0")
    assert (status, "data.dose=0.0: must be in (0, 1]" in err) == (2, True)
    status, _, err = script("prepare", *flags, "--noise=poisson", "--electronic_noise=5")
    assert (status, err) == (2, "error: data.electronic_noise=5: needs data.dose; give that, too\n")
    status, _, err = script("prepare", *flags, "--noise=poisson", "--dose=0.5")
    assert (status, err.startswith("error: data.dose=0.5: is a share of photons that only you know")) == (2, True)
    flags += ["--noise=poisson", "--dose=0.5", "--photons=1e4", "--electronic_noise=5", "--patch_size=0"]
    status, said, err = script("prepare", *flags)
    assert (status, said.splitlines()[0]) == (0, "train: 4 images, patients: 1, 4 shards"), err
    data = DataSet.open(out)
    assert (data.config.dose, data.config.electronic_noise, data.config.photons) == (0.5, 5.0, 1e4)
    assert training_input(data)["photons"] == 5e3
    described = describe_data(data.description | {"settings": data.manifest["data"], "image_shape": [32, 32]})
    assert described == "DICOM series, 32x32, noise of 0.5 of the dose added (10000 photons per ray at the normal dose)"


def test_slices_in_lodopabs_layout_and_scans_again(tmp_path: Path) -> None:
    values = (VALUE_PER_HU * (water(40, 6.5, 90) + 1000)).astype(np.float32)
    for part, first in (("train", 0), ("test", 10)):
        write_part(tmp_path / "hdf5", part, np.stack([values] * 4), ids=[first + i for i in range(4)])
    settings = {"image_size": 0, "noise": "poisson", "noise_std": None, "projection_coarseness": 1, "dose": 0.5}
    data_config = dataclasses.replace(PREPARE, validation_parts=(), **settings)
    prepare_lodopab(tmp_path / "hdf5", tmp_path / "records", data_config, seed=0)
    data = DataSet.open(tmp_path / "records")
    (record, *others) = data.records("test").as_numpy_iterator()
    noise = (record["low_dose"] - record["normal_dose"])[..., 0]
    np.testing.assert_array_equal(record["normal_dose"][..., 0], values)
    assert all(not np.array_equal(record["low_dose"], other["low_dose"]) for other in others)
    scan = repeated_scans.scanner(data.manifest, "test")
    again = scan(values, np.random.default_rng(0)) - values
    assert middle_of(again).std() == pytest.approx(middle_of(noise).std(), rel=0.3)
    assert again.std() > 0.0002
