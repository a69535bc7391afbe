"""Observation files: their layout, what is written, resumed and refused."""

import dataclasses
import json
import shutil

import h5py
import numpy as np
import pytest
from conftest import TWO_PARTS, write_part

from data_prep import lodopab, low_dose
from data_prep.errors import InputError
from data_prep.geometry import Geometry
from data_prep.observations import open_observations, reader, write_observations
from data_prep.prepare import prepare_lodopab
from data_prep.projection import filtered_backprojection, forward_projection, low_dose_observation
from wgan_vgg.input_pipeline import DataSet

TINY = Geometry(num_angles=12, num_detectors=17)


@pytest.fixture
def ground_truth(tmp_path):
    """A training file of 5 slices and one row of padding, a test file of 2 slices; no patient ids."""
    images = np.random.default_rng(3).random((7, 20, 20), dtype=np.float32)
    write_part(tmp_path, "train", np.concatenate([images[:5], np.zeros((1, 20, 20), np.float32)]))
    write_part(tmp_path, "test", images[5:])
    return tmp_path


def stored(path):
    """The observations of a file."""
    dataset = open_observations(path, TINY)
    with dataset.file:
        return dataset[()]


def test_observation_files_have_the_layout_and_do_not_depend_on_the_workers(ground_truth):
    calls, files = [], [ground_truth / f"observation_{part}_000.hdf5" for part in ("train", "test")]
    before = set(ground_truth.iterdir())
    arguments = {"photons": 4096, "seed": 11, "geometry": TINY}
    write_observations(ground_truth, **arguments, workers=1, progress=lambda *call: calls.append(call))

    assert set(ground_truth.iterdir()) - before == set(files)
    assert calls == [("simulate observations", done, 7) for done in range(1, 8)]
    with h5py.File(files[0]) as file:
        assert (file["data"].shape, file["data"].dtype) == ((6, 12, 17), np.float32)
        assert file["data"].chunks == (1, 12, 17)
        assert file["data"].id.get_num_chunks() == 5, "padding was written"
        assert not file["data"][5].any()
        settings = json.loads(file.attrs["observation_settings"])
        counts = 4096 * (1000 * 513) / (12 * 17)  # the same dose on fewer rays
        assert (settings["photons"], settings["seed"], settings["geometry"]["num_angles"]) == (counts, 11, 12)
        assert file.attrs["source"] == "lodopab"
    one_worker = [stored(path) for path in files]

    # Each slice is what its image, part and index say; two slices, or two parts, share no noise.
    with h5py.File(ground_truth / "ground_truth_test_000.hdf5") as file:
        projection = forward_projection(file["data"][1], TINY)
    rng = np.random.default_rng(np.random.SeedSequence(11, spawn_key=(lodopab.PARTS.index("test"), 1)))
    np.testing.assert_array_equal(one_worker[1][1], low_dose_observation(projection, counts, rng))

    for path in files:
        path.unlink()
    write_observations(ground_truth, **arguments, workers=2)
    for path, expected in zip(files, one_worker, strict=True):
        np.testing.assert_array_equal(stored(path), expected)


def test_a_file_of_unknown_making_is_kept_and_refused(ground_truth):
    existing = ground_truth / "observation_train_000.hdf5"
    with h5py.File(existing, "w") as file:  # as LoDoPaB's own
        file["data"] = np.zeros((6, 12, 17), np.float32)
    before = {path: path.read_bytes() for path in ground_truth.iterdir()}
    with pytest.raises(InputError, match=r"observation_train_000\.hdf5: made with unknown settings .*, asked for"):
        write_observations(ground_truth, photons=4096, seed=0, geometry=TINY)
    assert {path: path.read_bytes() for path in ground_truth.iterdir()} == before


def test_a_broken_off_run_goes_on_with_the_missing_files(ground_truth):
    arguments = {"photons": 4096, "seed": 0, "geometry": TINY}

    def stop(stage, done, total):
        if done == 6:  # one file of 5 slices is whole
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_observations(ground_truth, **arguments, progress=stop)
    (first,) = ground_truth.glob("observation_*")
    (ground_truth / ".observations.partial-dead").mkdir()  # what kill -9 leaves
    made = first.stat()
    calls = []
    write_observations(ground_truth, **arguments, progress=lambda *call: calls.append(call))
    assert [call[1:] for call in calls] == [(1, 2), (2, 2)]
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    assert not list(ground_truth.glob(".*"))
    found = {path.name: path.read_bytes() for path in ground_truth.glob("observation_*")}
    for path in ground_truth.glob("observation_*"):
        path.unlink()
    write_observations(ground_truth, **arguments)
    assert {path.name: path.read_bytes() for path in ground_truth.glob("observation_*")} == found


@pytest.mark.parametrize(
    "other", [{"photons": 2048}, {"seed": 1}, {"geometry": Geometry(num_angles=12, num_detectors=17, image_side_m=0.2)}]
)
def test_files_made_otherwise_are_refused(ground_truth, other):
    arguments = {"photons": 4096, "seed": 0, "geometry": TINY}
    write_observations(ground_truth, **arguments)
    write_observations(ground_truth, **arguments)
    with pytest.raises(InputError, match=r"train_000\.hdf5: made with .*; remove it or take another folder") as caught:
        write_observations(ground_truth, **(arguments | other))
    assert "\n" not in str(caught.value)


def test_observations_that_cannot_be_used_are_named_before_or_instead_of_records(ground_truth, tmp_path):
    write_observations(ground_truth, photons=4096, seed=0, geometry=Geometry().coarser(100))
    config = dataclasses.replace(TWO_PARTS, noise="observations", noise_std=None, projection_coarseness=100)
    path, out = ground_truth / "observation_train_000.hdf5", tmp_path / "records" / "out"
    with h5py.File(path, "r+") as file:
        file["data"][3, 0, 0] = np.inf
    with pytest.raises(InputError, match=r"observation_train_000\.hdf5: slice 3 has 1 NaN or infinite"):
        prepare_lodopab(ground_truth, out, config, seed=0)
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((3, *Geometry().coarser(100).shape), np.float32)
    with pytest.raises(InputError, match=r"observation_train_000\.hdf5: 3 slices, too few for ground_truth_train_000"):
        prepare_lodopab(ground_truth, out, config, seed=0)
    for found in ground_truth.glob("observation_*"):
        found.unlink()
    write_observations(ground_truth, photons=2048, seed=0, geometry=Geometry().coarser(100))
    with pytest.raises(InputError, match=r"train_000\.hdf5: made with 1\.75\S+ photons per ray .* asks for 3\.50"):
        prepare_lodopab(ground_truth, out, config, seed=0)
    with h5py.File(path, "w") as file:  # as LoDoPaB-CT's own, which do not say that they are of 4096 photons
        file["data"] = np.zeros((99, *Geometry().coarser(100).shape), np.float32)
    with pytest.raises(InputError, match=r"train_000\.hdf5: made with 3\.50\S+ photons per ray .* asks for 8\.7"):
        prepare_lodopab(ground_truth, out, dataclasses.replace(config, photons=1024.0), seed=0)
    path.write_bytes(b"x" * 5000)
    with pytest.raises(InputError, match=r"observation_train_000\.hdf5: not a readable HDF5 file"):
        prepare_lodopab(ground_truth, out, config, seed=0)
    assert list(out.parent.iterdir()) == []


def test_slices_that_are_not_square_cannot_be_projected(tmp_path):
    path = write_part(tmp_path, "train", np.full((2, 8, 9), 0.1, np.float32))
    with pytest.raises(InputError, match="slices of 8x9, but projecting them needs square ones") as caught:
        write_observations(tmp_path, photons=4096, seed=0, geometry=TINY)
    assert str(path) in str(caught.value)


PHANTOMS = [
    "--source=phantoms",
    "--preset=demo",
    "--set=phantoms.train_patients=2",
    "--set=phantoms.validation_patients=0",
    "--set=phantoms.test_patients=1",
    "--set=phantoms.min_slices=2",
    "--set=phantoms.max_slices=2",
    "--projection_coarseness=10",
    "--num_train=0",
    "--set=data.validation_parts=()",
]


def test_phantoms_observations_and_records_by_one_command(script, tmp_path):
    hdf5, out_dir = tmp_path / "hdf5", tmp_path / "out"
    command = [*PHANTOMS, "--noise=observations", f"--input_dir={hdf5}", f"--output_dir={out_dir}"]
    status, _, err = script("prepare", *command)
    message = err.splitlines()[-1]  # after the progress of the phantoms
    assert (status, message.startswith("error: ")) == (2, True)
    assert "observation_train_000.hdf5: missing" in message
    assert "--write_observations" in message
    status, out, err = script("prepare", *command, "--write_observations", "--reconstruction_filter=ram-lak")
    assert (status, out.splitlines()[0]) == (0, "train: 4 images, patients: 2, 2 shards"), err
    first = next(iter(DataSet.open(out_dir).records("train").as_numpy_iterator()))
    geometry, row = Geometry().coarser(10), int(first["slice_index"])
    with reader(geometry) as observed:
        ref = lodopab.list_slices(hdf5, "train", lodopab.find_parts(hdf5)["train"])[row]
        expected = filtered_backprojection(observed.read(ref), geometry, filter_name="ram-lak")
    np.testing.assert_allclose(first["low_dose"][..., 0], low_dose.resized(expected, 64), atol=1e-6)
    shutil.rmtree(out_dir)
    status, _, err = script("prepare", *command, "--write_observations", "--photons=99")
    assert (status, "error: " in err, "made with" in err) == (2, True, True)


def test_observations_are_written_for_phantoms_only(script, tmp_path):
    command = ["--write_observations", f"--input_dir={tmp_path}", f"--output_dir={tmp_path / 'out'}"]
    status, out, err = script("prepare", "--source=lodopab", *command)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "--write_observations: goes with --source=phantoms" in err


def test_a_bad_slice_leaves_no_half_written_file(ground_truth):
    with h5py.File(ground_truth / "ground_truth_train_000.hdf5", "r+") as file:
        file["data"][3, 0, 0] = np.nan
    before = sorted(ground_truth.iterdir())
    with pytest.raises(InputError, match=r"train_000\.hdf5: slice 3 has 1 NaN"):
        write_observations(ground_truth, photons=4096, seed=0, geometry=TINY, workers=2)
    assert sorted(ground_truth.iterdir()) == before


@pytest.mark.parametrize(("argument", "value"), [("photons", -1), ("seed", -1), ("workers", 0)])
def test_write_observations_refuses_what_makes_no_sense(ground_truth, argument, value):
    arguments = {"photons": 4096, "seed": 0, "geometry": TINY, argument: value}
    with pytest.raises(InputError, match=f"{argument}={value}"):
        write_observations(ground_truth, **arguments)


def test_a_disk_too_small_is_said_before_any_work(ground_truth, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1000}))
    with pytest.raises(InputError, match=r"take 5,712 bytes, the disk /.* has 1,000 free"):
        write_observations(ground_truth, photons=4096, seed=0, geometry=TINY)


@pytest.mark.parametrize("shape", [(2, 17, 12), (2, 12, 18)])
def test_observations_of_another_geometry_are_refused(tmp_path, shape):
    path = tmp_path / "observation_test_000.hdf5"
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros(shape, np.float32)
    with pytest.raises(InputError) as caught:
        open_observations(path, TINY)
    assert str(path) in str(caught.value)
    assert f"{shape}, expected (slices, 12 angles, 17 detectors)" in str(caught.value)


def test_observations_get_the_checks_of_the_ground_truth(tmp_path):
    path = tmp_path / "observation_test_000.hdf5"
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((2, 12, 17), np.float64)
    with pytest.raises(InputError, match="dtype float64"):
        open_observations(path, TINY)
