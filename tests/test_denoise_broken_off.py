"""experiments.denoise killed, on a full disk, twice at once: nothing half-written, out of date or lost."""

import contextlib
import dataclasses
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pydicom
import pytest
import tifffile
from conftest import REPO, smooth_images, write_part
from deployed import ended_at_a_rename, hu_images
from dicom_files import write_series, write_slice
from test_disk import run_on_disk

from data_prep.errors import InputError
from wgan_vgg.inference.claims import claims_in
from wgan_vgg.inference.denoise import Settings, denoise
from wgan_vgg.inference.denoiser import Denoiser

SLICES = 11


def command(*flags: object) -> list[object]:
    return [sys.executable, "-m", "experiments.denoise", *flags]


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Slices whose stored values show a tenth of a HU."""
    folder = tmp_path_factory.mktemp("series")
    for number in range(SLICES):
        stored = np.random.default_rng(number).integers(0, 30000, (64, 64)).astype(np.uint16)
        write_slice(folder / f"{number:02d}.dcm", stored, number, RescaleSlope=0.1, RescaleIntercept=-1000)
    return folder


@pytest.fixture(scope="module")
def unbroken(network, series, tmp_path_factory):
    """All its files, denoised in one go."""
    output = tmp_path_factory.mktemp("unbroken")
    subprocess.run(
        command(f"--model_dir={network}", f"--input={series}", f"--output={output}", "--batch=5"), cwd=REPO, check=True
    )
    return {path.name: path.read_bytes() for path in output.iterdir()}


def kill_at_a_rename(flags, output):
    done = subprocess.run(
        [sys.executable, "-c", ended_at_a_rename("SIGKILL"), *flags], cwd=REPO, timeout=120, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in output.glob(".partial-*")] == [".partial-04.dcm"]


def kill_when_the_third_slice_appears(flags, output):
    with subprocess.Popen(command(*flags), cwd=REPO) as process:
        while not (output / "02.dcm").exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                pytest.fail(f"it ended by itself, with {process.wait(0.001)}")
        process.kill()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("kill", [kill_at_a_rename, kill_when_the_third_slice_appears])
def test_kill_9_in_mid_series_changes_nothing_in_the_end(network, series, unbroken, tmp_path, kill):
    output = tmp_path / "out"
    flags = (f"--model_dir={network}", f"--input={series}", f"--output={output}", "--batch=5")
    kill(flags, output)
    finished = {path: path.stat() for path in output.glob("[0-9]*.dcm")}
    assert 2 < len(finished) < SLICES
    done = subprocess.run(command(*flags), cwd=REPO, capture_output=True, text=True, timeout=120, check=True)
    assert f"{SLICES - len(finished)} files" in done.stdout
    assert f"{len(finished)} done before" in done.stdout
    for path, before in finished.items():
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == unbroken


class Stopped(Exception):
    """What a test raises in place of a kill."""


def test_a_replacement_that_was_broken_off_goes_on_with_the_new_model(network, identity, tmp_path):
    write_series(tmp_path / "in", 4)
    old, new = Denoiser.load(identity), Denoiser.load(network)
    denoise(old, tmp_path / "in", tmp_path / "out", Settings())
    denoise(new, tmp_path / "in", tmp_path / "wanted", Settings())
    calls = []

    def broken(values):
        calls.append(len(values))
        if len(calls) == 2:
            raise Stopped
        return new.network(values)

    with pytest.raises(Stopped):
        denoise(
            dataclasses.replace(new, network=broken),
            tmp_path / "in",
            tmp_path / "out",
            Settings(None, 2, overwrite=True),
        )
    outcome = denoise(new, tmp_path / "in", tmp_path / "out", Settings())
    assert (outcome.files, outcome.skipped) == (2, 2)
    for number in range(4):
        assert (tmp_path / "out" / f"{number}.dcm").read_bytes() == (tmp_path / "wanted" / f"{number}.dcm").read_bytes()


@pytest.mark.parametrize("dated", [None, 1e9])
def test_a_slice_that_has_changed_is_denoised_anew(network, tmp_path, dated):
    """Whatever date it has: `cp -p` and unzip give it one long before the output's."""
    write_series(tmp_path / "in", 3)
    denoiser = Denoiser.load(network)
    denoise(denoiser, tmp_path / "in", tmp_path / "out", Settings())
    before = pydicom.dcmread(tmp_path / "out" / "1.dcm").pixel_array
    changed, output = tmp_path / "in" / "1.dcm", tmp_path / "out" / "1.dcm"
    while changed.stat().st_ctime_ns <= output.stat().st_mtime_ns:  # the file system's clock ticks in milliseconds
        write_slice(changed, np.full((24, 24), 1000, np.uint16))
        os.utime(changed, dated and (dated, dated))
    outcome = denoise(denoiser, tmp_path / "in", tmp_path / "out", Settings())
    assert (outcome.files, outcome.skipped) == (1, 2)
    assert not np.array_equal(pydicom.dcmread(tmp_path / "out" / "1.dcm").pixel_array, before)


def test_a_kill_before_the_first_slice_is_gone_on_from(network, tmp_path):
    write_series(tmp_path / "in", 2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "denoise.json.part").write_text("{")  # what it leaves
    denoise(Denoiser.load(network), tmp_path / "in", tmp_path / "out", Settings())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.dcm", "1.dcm", "denoise.json"]


def test_two_calls_do_not_write_into_one_folder(script, network, tmp_path):
    write_series(tmp_path / "in", 2)
    (tmp_path / "out").mkdir()
    flags = (f"--model_dir={network}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    with claims_in(tmp_path / "out", share=False):
        status, _, err = script("denoise", *flags)
    assert (status, "another call writes there; wait, or give all of them --share" in err) == (2, True)
    assert list((tmp_path / "out").iterdir()) == []
    assert script("denoise", *flags)[0] == 0


def test_a_preview_beside_a_file_is_not_overwritten_unasked(script, network, tmp_path):
    np.save(tmp_path / "a.npy", hu_images())
    picture = tmp_path / "out" / "previews" / "b.npy.png"
    picture.parent.mkdir(parents=True)
    picture.write_text("mine")
    flags = (f"--model_dir={network}", f"--input={tmp_path / 'a.npy'}", f"--output={tmp_path / 'out' / 'b.npy'}")
    status, _, err = script("denoise", *flags, "--preview")
    assert (status, "b.npy.png: exists already; add --overwrite" in err) == (2, True)
    assert (picture.read_text(), (tmp_path / "out" / "b.npy").exists()) == ("mine", False)
    assert script("denoise", *flags, "--preview", "--overwrite")[0] == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def nifti(path, images):
    import nibabel

    nibabel.Nifti1Image(images, np.eye(4)).to_filename(path)


LARGE = {
    "a.npy": np.save,
    "a.npz": lambda path, images: np.savez(path, images=images),
    "a.nii": nifti,
    "a.nii.gz": nifti,
    "a.tif": lambda path, images: tifffile.imwrite(path, (images + 1024) / 4096, photometric="minisblack"),
    "a.hdf5": lambda path, _: write_part(path.parent, "test", smooth_images(9, 64, 0)).rename(path),
    "a.dcm": lambda path, _: write_slice(path, np.zeros((256, 256), np.uint16)),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("limit", [20, 60_000])
def test_a_full_disk_is_named_and_nothing_half_written_stays(network, tmp_path, name, limit):
    LARGE[name](tmp_path / name, hu_images(3, 128, 128))
    denoiser = Denoiser.load(network)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(InputError, match=f"output {tmp_path / 'out' / name}: no space left on the disk /"):
            settings = Settings(hu_range=None if name.startswith("a.np") else (-1024, 3072))
            denoise(denoiser, tmp_path / name, tmp_path / "out" / name, settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_ends_a_folder_of_dicom_and_is_no_fault_of_its_files(network, tmp_path):
    write_series(tmp_path / "in", 2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    denoiser = Denoiser.load(network)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # a slice has 1152 bytes of pixels
    try:
        with pytest.raises(InputError, match=f"output {tmp_path / 'out'}: no space left on the disk /"):
            denoise(denoiser, tmp_path / "in", tmp_path / "out", Settings())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_ends_with_one_line(network, tmp_path):
    np.save(tmp_path / "a.npy", hu_images(8, 128, 128))
    output = tmp_path / "disk" / "b.npy"
    done = run_on_disk(
        output.parent, "200k", *command(f"--model_dir={network}", f"--input={tmp_path / 'a.npy'}", f"--output={output}")
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        f"error: output {output}: no space left on the disk {output.parent};"
    )
