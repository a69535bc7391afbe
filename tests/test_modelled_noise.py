"""The GAN noise model: smooth blocks by hand, records of them, and noise from a trained generator on clean slices."""

import dataclasses

import numpy as np
import pytest
from conftest import PREPARE, records, write_part
from scipy import stats
from training_runs import tiny

import wgan_vgg
from data_prep.config import DataConfig
from data_prep.errors import InputError
from data_prep.manifest import load_manifest
from data_prep.modelled_noise import ModelledNoise, white_field
from data_prep.noise_blocks import SPREAD, Smoothness, noise_blocks
from data_prep.noise_models import NOISES
from data_prep.prepare import prepare_lodopab
from data_prep.progress import silent
from data_prep.repeated_scans import scanner
from wgan_vgg import config
from wgan_vgg.checkpoint_reader import load_generator
from wgan_vgg.evaluation import noise_texture
from wgan_vgg.reproduction import noise_block_records
from wgan_vgg.run_dir import RunDir

# Small networks on small patches, on inputs of mean 0; the output is no image, so it may be negative.
NOISE_GAN = {
    "model": "wgan",
    "generator.layers": 6,
    "generator.filters": 16,
    "generator.padding": "valid",
    "generator.output_relu": False,
    "generator.input_mean": 0.5,
    "generator.input_std": 1 / SPREAD,
    "critic.filters": (16, 16, 32, 32),
    "critic.dense_units": 32,
    "input.patch_size": 28,
    "optimizer.generator_lr": 3e-4,
    "optimizer.critic_lr": 1e-3,
    "training.critic_steps": 3,
    "training.eval_images": 8,
}
SMALL = Smoothness(block_side=8, block_stride=4, cell_side=4)
TEN = (10.0, 10.0, 10.0, 10.0)
# 16 pixels of mean 0 and variance 1.
CELL = np.tile([[1.0, -1.0], [-1.0, 1.0]], (2, 2))


def block(means=(1.0, 1.0, 1.0, 1.0), deviations=(1.0, 1.0, 1.0, 1.0)):
    """8x8 of four cells with these means and standard deviations."""
    cells = [mean + deviation * CELL for mean, deviation in zip(means, deviations, strict=True)]
    return np.block([cells[:2], cells[2:]])


@pytest.mark.parametrize(
    ("changed", "smooth"),
    [
        ({}, True),
        # The block's mean is 20.5, off by 1.5 at most: .073 of it; or 21, off by 3: .143.
        ({"means": (20.0, 20.0, 20.0, 22.0), "deviations": TEN}, True),
        ({"means": (20.0, 20.0, 20.0, 24.0), "deviations": TEN}, False),
        # The same edge in little noise: the block's variance is 1.75, the cells' 1, off by .43 of it.
        ({"means": (20.0, 20.0, 20.0, 22.0)}, False),
        ({"means": (-20.0, -20.0, -20.0, -20.0)}, False),  # no mean is within a negative tolerance
        # Variances 1, 1, 1, v: the block's is (3 + v) / 4. v = 1.3: 1.075, off by .21 of it; v = 1.5: 1.125, .33.
        ({"deviations": (1.0, 1.0, 1.0, 1.3**0.5)}, True),
        ({"deviations": (1.0, 1.0, 1.0, 1.5**0.5)}, False),
        ({"deviations": (0.0, 0.0, 0.0, 0.0)}, False),  # no noise at all
    ],
)
def test_a_block_is_smooth_where_all_its_cells_are_like_it(changed, smooth):
    assert SMALL.holds(block(**changed)) is smooth


def test_blocks_lie_on_a_grid_and_lose_their_mean():
    image = np.zeros((12, 16), np.float32)
    image[4:12, 8:16] = block(means=(3.0, 3.0, 3.0, 3.0))
    (found,) = noise_blocks(image, SMALL)
    np.testing.assert_allclose(found, block(means=(0.0, 0.0, 0.0, 0.0)), atol=1e-6)
    assert noise_blocks(np.roll(image, 1, axis=1), SMALL) == []


@pytest.fixture(scope="module")
def flat_dir(tmp_path_factory):
    """Records at 32x32 of slices that show one value each, with noise of standard deviation .1."""
    folder = tmp_path_factory.mktemp("flat")
    for number, part in enumerate(("train", "validation", "test")):
        slices = np.linspace(0.5, 0.7, 8)[:, None, None] * np.ones((8, 40, 40), np.float32)
        write_part(folder / "hdf5", part, slices.astype(np.float32), ids=[10 * number + i % 4 for i in range(8)])
    whole = dataclasses.replace(PREPARE, num_train=0, num_validation=0, num_test=0)
    prepare_lodopab(folder / "hdf5", folder / "records", whole, seed=0)
    return folder / "records"


@pytest.fixture(scope="module")
def blocks(flat_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise") / "blocks"
    loose = {"block_side": 16, "block_stride": 8, "cell_side": 8, "variance_tolerance": 0.6}
    noise_block_records.prepare(config.preset("demo"), flat_dir, folder, allow_leak=False, progress=silent, **loose)
    return folder


def test_records_hold_white_noise_and_the_noise_of_the_images(blocks, flat_dir):
    deviations = load_manifest(blocks)["block_deviations"]
    assert np.median(deviations) == pytest.approx(0.1, rel=0.1), "the records' gaussian noise"
    found = records(blocks)
    assert len(found) == len(deviations) > 20
    unit = np.stack([SPREAD * (record["normal_dose"] - 0.5) for record in found])
    np.testing.assert_allclose(unit.mean(axis=(1, 2, 3)), 0.0, atol=1e-4)
    np.testing.assert_allclose(unit.std(axis=(1, 2, 3)), 1.0, rtol=1e-3)
    white = np.stack([SPREAD * (record["low_dose"] - 0.5) for record in found])
    assert white.std() == pytest.approx(1.0, rel=0.05)
    assert abs(np.corrcoef(white.ravel(), unit.ravel())[0, 1]) < 0.05
    assert {record["patient_id"] for record in found} <= {record["patient_id"] for record in records(flat_dir)}


def test_noise_of_a_slice_is_its_own_and_has_a_deviation_of_the_blocks(hdf5_dir):
    from data_prep import lodopab

    slices = lodopab.list_slices(hdf5_dir, "test", lodopab.find_parts(hdf5_dir)["test"])
    model = ModelledNoise(lambda white: white, np.array([0.1, 0.3]), 7)
    clean = np.full((200, 200), 0.2, np.float32)
    noisy = [model(ref, clean, clean) for ref in slices]
    np.testing.assert_array_equal(model(slices[3], clean, clean), noisy[3])
    assert {round(float((image - clean).std()), 2) for image in noisy} == {0.1, 0.3}
    assert abs(np.corrcoef(noisy[0].ravel(), noisy[1].ravel())[0, 1]) < 0.05
    assert white_field((200, 200), np.random.default_rng(0)).std() == pytest.approx(1 / SPREAD, rel=0.02)


@pytest.mark.slow
def test_a_model_trained_on_blocks_makes_records_that_every_model_trains_on(blocks, hdf5_dir, tmp_path, script):
    run, exported, made = (tmp_path / name for name in ("run", "exported", "records"))
    assert script("train", *tiny("wgan", blocks, run, "--set=generator.output_relu=False"))[0] == 0
    assert script("export", f"--workdir={run}", f"--output_dir={exported}")[0] == 0
    flags = ["--preset=demo", "--noise=modelled", "--image_size=32"]
    flags += ["--num_train=12", "--num_validation=4", "--num_test=4", f"--input_dir={hdf5_dir}"]
    flags += [f"--set=data.noise_model={exported}", f"--set=data.noise_blocks={blocks}"]
    for folder in (made, tmp_path / "again"):
        status, _, err = script("prepare", *flags, f"--output_dir={folder}")
        assert status == 0, err
    for one, other in zip(records(made), records(tmp_path / "again"), strict=True):
        np.testing.assert_array_equal(one["low_dose"], other["low_dose"])
        assert (one["low_dose"] - one["normal_dose"]).std() > 0
    assert script("train", *tiny("generator-mse", made, tmp_path / "denoiser"))[0] == 0
    quick = ["--baselines=gaussian", "--vgg_weights=none", "--set=evaluation.tuning_images=2"]
    status, _, err = script("evaluate", f"--workdir={tmp_path / 'denoiser'}", f"--data_dir={made}", *quick)
    assert status == 0, err


def test_every_noise_has_a_caption_and_only_counts_are_scanned_again(data_dir):
    manifest = load_manifest(data_dir) | {"pixel_spacing_mm": 0.8}
    again = []
    for name, noise in NOISES.items():
        strength = {} if name == "gaussian" else {"noise_variance": None}
        settings = DataConfig(noise=name, **strength).to_manifest()
        assert noise.says(settings)
        if scanner(manifest | {"data": settings}, "test"):
            again.append(name)
    assert again == ["gaussian", "poisson", "observations"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"noise_model": None}, "needs data.noise_model"),
        ({"noise_blocks": None}, "needs data.noise_model"),
        ({"noise_blocks": "{records}"}, "not made by --source=noise-blocks"),
        ({"noise_model": "{records}"}, "no saved_model.pb there"),
    ],
)
def test_what_is_no_noise_model_is_refused(changed, message, blocks, data_dir, hdf5_dir, tmp_path):
    given = {"noise_model": str(tmp_path), "noise_blocks": str(blocks)} | {
        name: value and value.format(records=data_dir) for name, value in changed.items()
    }
    settings = {name: getattr(PREPARE, name) for name in ("image_size", "num_train", "num_validation", "num_test")}
    modelled = DataConfig(noise="modelled", noise_std=None, noise_variance=None, **settings, **given)
    with pytest.raises(InputError, match=message):
        prepare_lodopab(hdf5_dir, tmp_path / "records", modelled, seed=0)
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--block_side=64"], "block_side=64: the images have 32x32"),
        (["--block_side=16", "--cell_side=4", "--variance_tolerance=1e-6"], "no smooth block in the train split"),
        (["--cell_side=0"], "cell_side=0: must be at least 2"),
        (["--block_side=16"], "block_side=16: must be at least twice cell_side=16"),
        (["--test_patients=1"], "--test_patients: goes with --source=dicom, not noise-blocks"),
        (["--photons=4096"], "data.photons=4096: decides nothing with --source=noise-blocks"),
    ],
)
def test_records_without_smooth_blocks_are_refused(flags, message, data_dir, tmp_path, script):
    flags = ["--source=noise-blocks", f"--input_dir={data_dir}", f"--output_dir={tmp_path / 'blocks'}", *flags]
    status, _, err = script("prepare", *flags)
    told = err.splitlines()[-1]
    assert (status, told.startswith("error: "), message in told) == (2, True, True), err
    assert not (tmp_path / "blocks").exists()


@pytest.mark.slow
def test_generated_noise_has_the_true_ones_deviation_histogram_and_spectrum(tmp_path):
    """Phantoms under simulated scans. White noise of the right deviation fails by its spectrum."""
    few = {"phantoms.train_patients": 6, "phantoms.validation_patients": 2, "phantoms.test_patients": 4}
    few |= {"phantoms.min_slices": 4, "phantoms.max_slices": 4, "data.num_train": 0, "data.num_validation": 0}
    few |= {"data.num_test": 0, "data.image_size": 0, "data.noise": "poisson", "data.reconstruction_filter": "hann"}
    scans = wgan_vgg.prepare(config.preset("demo", few), tmp_path / "scans")
    smooth = Smoothness(block_side=32, block_stride=16)
    noise_block_records.prepare(
        config.preset("demo"),
        scans.path,
        tmp_path / "blocks",
        allow_leak=False,
        progress=silent,
        **dataclasses.asdict(smooth),
    )
    learnt = config.preset("lodopab", NOISE_GAN | {"training.steps": 600, "training.evaluation_steps": 600})
    wgan_vgg.train(learnt, tmp_path / "blocks", tmp_path / "run")
    true = np.stack([block for record in records(scans.path, "test") for block in true_noise(record, smooth)])
    white = np.stack([white_field(block.shape, np.random.default_rng(i)) for i, block in enumerate(true)])
    generator = load_generator(RunDir(tmp_path / "run"))
    made = SPREAD * (generator.predict(white[..., np.newaxis], verbose=0)[..., 0] - 0.5)
    unit = true / true.std(axis=(1, 2), keepdims=True)
    figures = {
        "deviation": made.std() / unit.std(),
        "histogram": stats.wasserstein_distance(unit.ravel(), made.ravel()),
        "texture": texture(unit, made),
        "white texture": texture(unit, SPREAD * (white - 0.5)),
    }

    assert figures["deviation"] == pytest.approx(1.0, abs=0.15), figures
    assert figures["histogram"] < 0.2, figures
    assert figures["texture"] < 0.5 * figures["white texture"], figures


def true_noise(record, smooth):
    """Low minus normal dose where the low dose is smooth."""
    low_dose, noise = record["low_dose"][..., 0], (record["low_dose"] - record["normal_dose"])[..., 0]
    side = smooth.block_side
    for row in range(0, len(noise) - side + 1, smooth.block_stride):
        for column in range(0, len(noise) - side + 1, smooth.block_stride):
            square = (slice(row, row + side), slice(column, column + side))
            if smooth.holds(low_dose[square]):
                yield noise[square]


def texture(one, other):
    """The texture distance of two sets of squares."""
    spectra = [noise_texture.power_spectrum(part - part.mean(axis=(1, 2), keepdims=True), 1.0) for part in (one, other)]
    return noise_texture.texture_distance(*spectra)
