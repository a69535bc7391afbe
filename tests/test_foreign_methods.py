"""experiments.evaluate on what was not made here: a SavedModel, a folder of denoised images; good and bad ones."""

import csv
import json
import pickle
import shutil

import numpy as np
import pytest
import tensorflow as tf
from conftest import smooth_images, write_part

from wgan_vgg.evaluation.noise_texture import noise_power_distance
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import RunDir

QUICK = ["--baselines=gaussian", "--vgg_weights=none", "--set=evaluation.tuning_images=2"]
# Squares that are large enough for a spectrum of noise, wherever they lie in these images.
ANY_SQUARE = [f"--set=evaluation.flat_{n}" for n in ("smallest_side=16", "min_hu=-3000.0", "max_step_hu=9999.0")]


@pytest.fixture(scope="module")
def images(data_dir, tmp_path_factory):
    """Half of the noisy input for each test record, named as `--images` wants it."""
    folder = tmp_path_factory.mktemp("foreign") / "half"
    folder.mkdir()
    for record in DataSet.open(data_dir).records("test").as_numpy_iterator():
        name = f"{record['patient_id'].decode()}_{record['slice_index']}.npy"
        np.save(folder / name, record["low_dose"][..., 0] / 2)
    return folder


def save_model(folder, function, shape=(None, None, None, 1)):
    module = tf.Module()
    specification = [tf.TensorSpec(shape, tf.float32, name="image")]
    signature = tf.function(function, input_signature=specification, autograph=False)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})


def rows(results, method):
    text = RunDir(results).eval_csv("test").read_text()
    return [row for row in csv.DictReader(text.splitlines()) if row["method"] == method]


def test_images_and_a_saved_model_of_one_method_get_the_same_rows(script, data_dir, images, tmp_path):
    save_model(tmp_path / "halver", lambda image: {"whatever": image / 2})
    for source in (f"--images={images}", f"--saved_model={tmp_path / 'halver'}"):
        results = tmp_path / source.partition("=")[0].strip("-")
        status, out, err = script(
            "evaluate", source, f"--output_dir={results}", f"--data_dir={data_dir}", *QUICK, *ANY_SQUARE
        )
        assert (status, out.startswith("In PSNR against the tuned baselines"), "\n| noisy input" in out) == (
            0,
            True,
            True,
        ), err
    found = [rows(tmp_path / "images", "half"), rows(tmp_path / "saved_model", "halver")]
    assert [len(part) for part in found] == [12, 12]
    for first, second in zip(*found, strict=True):
        assert {k: v for k, v in first.items() if k != "method"} == {k: v for k, v in second.items() if k != "method"}
    power = [
        json.loads(RunDir(tmp_path / name).eval_json("test").read_text())["noise_power"]["methods"][method]
        for name, method in (("images", "half"), ("saved_model", "halver"))
    ]
    assert power[0] == power[1] is not None
    summary = json.loads(RunDir(tmp_path / "saved_model").eval_json("test").read_text())
    for method in ("noisy input", "halver"):
        pair = [summary["noise_power"]["methods"][name] for name in ("normal dose", method)]
        expected = noise_power_distance(*pair)
        assert summary["methods"][method]["noise_power_distance"] == expected is not None
        assert abs(expected - noise_power_distance(*pair[::-1])) > 0.1, "it matters which of them is the truth"
        shown = summary["sample"]
        (row,) = [
            one
            for one in rows(tmp_path / "saved_model", method)
            if (one["patient_id"], int(one["slice_index"])) == (shown["patient_id"], shown["slice_index"])
        ]
        assert shown["methods"][method]["ssim"] == pytest.approx(float(row["ssim"])), "of its own image"
    record = next(DataSet.open(data_dir).records("test").as_numpy_iterator())
    error = np.mean((record["low_dose"].astype(float) / 2 - record["normal_dose"]) ** 2)
    assert float(found[0][0]["psnr"]) == pytest.approx(-10 * np.log10(error), abs=1e-4)
    summary = json.loads(RunDir(tmp_path / "images").eval_json("test").read_text())
    assert list(summary["methods"]) == ["noisy input", "gaussian", "half"]
    assert summary["statistics"]["no_test"] == "too few patients"


def test_windows_and_name_by_flag(script, data_dir, images, tmp_path):
    flags = (f"--images={images}", f"--output_dir={tmp_path}", f"--data_dir={data_dir}", *QUICK)
    status, out, err = script("evaluate", *flags, "--windows=lung,brain", "--name=Halved by Bob")
    assert status == 0, err
    assert "brain 40/80 HU" in out
    row = rows(tmp_path, "Halved by Bob")[0]
    assert 0 < float(row["ssim_lung"]) < 1


def test_images_that_would_overwrite_each_other_are_refused_before_any_work(script, identity, tmp_path):
    """Without patient ids two parts begin with slice 0 each."""
    for number, part in enumerate(("train", "validation", "test")):
        write_part(tmp_path / "hdf5", part, smooth_images(2, 32, number) + 0.01)
    records = tmp_path / "records"
    flags = [f"--input_dir={tmp_path / 'hdf5'}", f"--output_dir={records}", "--set=data.validation_parts=()"]
    flags += ["--image_size=0", "--num_train=0", "--num_test=0", "--test_parts=validation,test"]
    assert script("prepare", *flags)[0] == 0
    flags = [f"--models=echo={identity}", f"--output_dir={tmp_path / 'out'}", f"--data_dir={records}", *QUICK]
    status, out, err = script("evaluate", *flags, f"--save_images={tmp_path / 'images'}")
    assert (status, out) == (2, "")
    assert "unknown_0.npy: two records of the test split have this name; they cannot be distinguished" in err
    assert not (tmp_path / "images").exists()


def bad_images(images, folder, change):
    shutil.copytree(images, folder)
    change(folder, sorted(folder.iterdir())[0])
    return folder


def hostile(path):
    array = np.array([{"anything": 1}], dtype=object)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (1,)})
        pickle.dump(array, file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, path: path.unlink(), "missing; every image"),
        (lambda folder, path: shutil.copy(path, folder / "99_99.npy"), "99_99.npy: the test split has no such record"),
        (lambda _, path: np.save(path, np.zeros((16, 32), np.float32)), "float32 (16, 32), expected float32 (32, 32)"),
        (lambda _, path: np.save(path, np.zeros((32, 32))), "float64 (32, 32), expected float32"),
        (lambda _, path: np.save(path, np.full((32, 32), np.nan, np.float32)), "1024 NaN or infinite pixels"),
        (lambda _, path: np.save(path, np.full((32, 32), -900, np.float32)), "expected the data set's [0, 1]; not HU"),
        (lambda _, path: path.write_bytes(b"not an array"), "not a .npy array"),
        (lambda _, path: path.write_bytes(b""), "not a .npy array"),
        (lambda _, path: hostile(path), "allow_pickle=False"),
    ],
)
def test_bad_images_are_named_before_any_result(script, data_dir, images, tmp_path, change, message):
    folder = bad_images(images, tmp_path / "bad", change)
    flags = (f"--images={folder}", f"--output_dir={tmp_path / 'out'}", f"--data_dir={data_dir}", *QUICK)
    status, out, err = script("evaluate", *flags)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert message in err
    assert str(folder) in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("function", "shape", "message"),
    [
        (lambda image: {"a": image, "b": image}, (None, None, None, 1), "gives ['a', 'b']; it must"),
        (lambda image: {"a": image[:, 1:]}, (None, None, None, 1), "gives shape (12, 31, 32, 1)"),
        (lambda image: {"a": image @ tf.eye(3)}, (None, None, None, 3), "does not take float32 (12, 32, 32, 1)"),
        (lambda image: {"a": image / 0}, (None, None, None, 1), "NaN or infinite pixels in its image of patient"),
    ],
)
def test_bad_saved_models_are_refused(script, data_dir, tmp_path, function, shape, message):
    save_model(tmp_path / "model", function, shape)
    flags = (f"--saved_model={tmp_path / 'model'}", f"--output_dir={tmp_path / 'out'}", f"--data_dir={data_dir}")
    status, out, err = script("evaluate", *flags, *QUICK)
    assert (status, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert not RunDir(tmp_path / "out").eval_json("test").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data_dir={data}"], "--workdir, --models, --saved_model, --images: give one of them, got none"),
        (["--data_dir={data}", "--images=/a", "--workdir=/b"], "got workdir, images"),
        (["--data_dir={data}", "--images=/a"], "--output_dir is required"),
        (["--data_dir={data}", "--workdir=/a", "--output_dir=/b"], "a run has its own"),
        (["--data_dir={data}", "--images=/nowhere", "--output_dir=/tmp/never"], "no such folder"),
        (["--data_dir={data}", "--saved_model=/nowhere", "--output_dir=/tmp/never"], "not a SavedModel"),
        (["--data_dir={data}", "--images={images}", "--output_dir=/tmp/never", "--name=tv"], "own methods"),
        (["--data_dir={data}", "--images={images}", "--output_dir=/tmp/never", "--name=normal dose"], "own methods"),
        (["--data_dir={data}", "--images={images}", "--output_dir=/tmp/never", "--windows=liver"], "take some of lung"),
        (["--data_dir={data}", "--images={images}", "--output_dir=/tmp/never", "--set=data.noise=none"], "evaluation."),
        (["--data_dir={data}", "--images={images}", "--output_dir=/proc/out"], "cannot be written"),
    ],
)
def test_mistakes_are_one_line(script, data_dir, images, flags, message):
    status, out, err = script("evaluate", *(flag.format(data=data_dir, images=images) for flag in flags))
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert message in err
