"""experiments.prepare as a user runs it: its flags, what it prints, its one-line refusals."""

import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import REPO, records, smooth_images, write_part
from dicom_files import write_single

from data_prep import lodopab


def test_verify_by_script(script, data_dir, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(data_dir, copy)
    status, out, _ = script("prepare", f"--verify={copy}")
    assert (status, out.splitlines()[0]) == (0, "train: 24 images, patients: 6, 2 shards")
    shard = copy / "low_dose_ct-test.tfrecord-00000-of-00002"
    shard.write_bytes(b"x" * shard.stat().st_size)
    status, out, err = script("prepare", f"--verify={copy}")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "its content was altered" in err


def test_parts_by_flag(script, tmp_path):
    for number, part in enumerate(lodopab.PARTS):
        write_part(
            tmp_path / "hdf5", part, smooth_images(3, 16, number) + 0.01, ids=[10 * number + i for i in range(3)]
        )
    command = [f"--input_dir={tmp_path / 'hdf5'}", f"--output_dir={tmp_path / 'out'}", "--num_train=0", "--num_test=0"]
    command.append("--validation_parts=")
    status, out, err = script("prepare", *command, "--train_parts=train,test", "--test_parts=validation")
    assert (status, out.splitlines()[:2]) == (
        0,
        ["train: 6 images, patients: 6, 6 shards", "test: 3 images, patients: 3, 3 shards"],
    ), err
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["patients"] == {"train": ["0", "1", "2", "20", "21", "22"], "test": ["10", "11", "12"]}
    command[1] += "2"
    for flag, message in (
        ("--train_parts=train,train", "data.train_parts=train,train: a part is named twice"),
        ("--test_parts=tests", "data.test_parts=tests: the split is empty"),
        ("--train_parts=", "the train split is empty"),
        ("--projection_coarseness=0", "data.projection_coarseness=0: must be at least 1"),
        ("--reconstruction_filter=cosine", "data.reconstruction_filter='cosine': unknown; take one of ram-lak, hann"),
        ("--reconstruction_filter=hann", "data.reconstruction_filter=hann: decides nothing with data.noise=gaussian"),
    ):
        status, out, err = script("prepare", *command, flag)
        assert (status, out, err.count("\n"), message in err) == (2, "", 1, True), err


def test_the_seed_decides_the_noise_of_slices(script, hdf5_dir, tmp_path):
    flags = ["--image_size=16", "--num_train=6", "--num_test=3", "--seed=3", f"--input_dir={hdf5_dir}"]
    status, _, err = script("prepare", *flags, f"--output_dir={tmp_path / 'out'}")
    assert status == 0, err
    record = records(tmp_path / "out")[0]
    rng = np.random.default_rng(np.random.SeedSequence(3, spawn_key=(0, int(record["slice_index"]))))
    noise = math.sqrt(0.015) * rng.standard_normal((16, 16), dtype=np.float32)
    np.testing.assert_allclose((record["low_dose"] - record["normal_dose"])[..., 0], noise, atol=1e-5)


def test_the_seed_decides_the_noise_of_dicom_slices(script, tmp_path):
    root = write_single(tmp_path / "in", ["L0", "L1", "L2"])
    flags = ["--source=dicom", "--preset=yang2018", f"--input_dir={root}", "--test_patients=L2", "--noise=poisson"]
    flags += ["--dose=0.5", "--photons=1e4", "--patch_size=0"]
    noisy = []
    for seed in (0, 3):
        status, _, err = script("prepare", *flags, f"--seed={seed}", f"--output_dir={tmp_path / str(seed)}")
        assert status == 0, err
        noisy.append(records(tmp_path / str(seed), "test")[0]["low_dose"])
    assert not np.array_equal(*noisy)


@pytest.mark.parametrize("place", [".", "/"])
def test_records_cannot_take_the_place_of_a_folder_that_is_in_use(script, hdf5_dir, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    status, out, err = script("prepare", f"--input_dir={hdf5_dir}", f"--output_dir={place}")
    assert (status, out, err) == (2, "", f"error: output_dir {place}: exists already; remove it or choose another\n")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_conversion_says_what_to_do(script, hdf5_dir, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("wgan_vgg.reproduction.sources.prepare_lodopab", interrupted)
    status, out, err = script("prepare", f"--input_dir={hdf5_dir}", f"--output_dir={tmp_path / 'out'}")
    assert (status, out, err) == (130, "", "error: interrupted; rerun the same command\n")


def test_the_notebooks_selection_says_how_many_patients_leak(tmp_path):
    """As in LoDoPaB, whole files of 128 slices that mix patients; here the last test file is the test split."""
    images = np.full((128, 4, 4), 0.1, np.float32)
    write_part(tmp_path / "hdf5", "validation", images, ids=[100 + i % 20 for i in range(128)])
    for number in range(2):
        write_part(tmp_path / "hdf5", "test", images, number, ids=[i % (8 if i < 128 else 12) for i in range(256)])
    flags = ["--image_size=0", "--num_train=0", "--num_test=0", f"--input_dir={tmp_path / 'hdf5'}"]
    command = [sys.executable, "-m", "experiments.prepare", *flags, f"--output_dir={tmp_path / 'out'}"]
    done = subprocess.run([*command, "--preset=notebook"], cwd=REPO, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "patients" in line]
    assert said == ["WARNING: 8 patients occur in more than one split"]
    assert done.stdout.splitlines()[:2] == [
        "train: 256 images, patients: 28, 8 shards",
        "test: 128 images, patients: 12, 8 shards",
    ]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["patients_in_both"] == list("01234567")


def test_a_leaking_selection_anywhere_else_is_refused(script, tmp_path):
    images = np.full((128, 4, 4), 0.1, np.float32)
    for number in range(2):
        write_part(tmp_path / "hdf5", "test", images, number, ids=[i % 9 for i in range(256)])
    flags = ["--image_size=0", "--num_train=0", "--num_test=0", "--train_parts=test", "--set=data.selection=files"]
    flags.append("--set=data.validation_parts=()")
    status, out, err = script("prepare", *flags, f"--input_dir={tmp_path / 'hdf5'}", f"--output_dir={tmp_path / 'out'}")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "9 patients occur in more than one split; only the notebook preset may leak" in err
    assert not (tmp_path / "out").exists()
