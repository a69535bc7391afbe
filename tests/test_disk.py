"""Disks that fill up while something is written, and folders that cannot be written: one line, and nothing left."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO

from data_prep import prepare_dicom, staging
from data_prep.config import DataConfig
from data_prep.errors import InputError
from wgan_vgg.files import write_via

PHANTOMS = ["--source=phantoms", "--preset=demo", "--set=phantoms.train_patients=1", "--set=phantoms.max_slices=12"]
# A file system of its own, in a name space of its own: no other process sees it, and it goes with the last of this one.
MOUNTED = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && "$@"; status=$?; find {} -mindepth 1; exit $status'


def run_on_disk(disk: Path, size: str, *command: object) -> subprocess.CompletedProcess[str]:
    """Runs a command with a disk of `size` at `disk`; its stdout ends with what is on it afterwards."""
    disk.mkdir()
    separate = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNTED.format(disk), "sh", size, disk]
    try:
        subprocess.run([*separate, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this system mounts nothing for a user: {error}")
    return subprocess.run([*separate, *command], cwd=REPO, capture_output=True, text=True, timeout=300)


def run_with_limit(size: int, *command: object) -> subprocess.CompletedProcess[str]:
    """Runs a command whose files cannot grow beyond `size` bytes: that works everywhere."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # noqa: E731
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=300, preexec_fn=limit)


def prepare(*flags: str) -> list[str]:
    return [sys.executable, "-m", "experiments.prepare", "--num_train=0", "--num_test=0", *flags]


def assert_told(done: subprocess.CompletedProcess[str], argument: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: {argument}: no space left on the disk /"), done.stderr
    assert done.stderr.count("error") == 1
    assert done.stdout == ""


def test_records_on_a_full_disk(hdf5_dir, tmp_path):
    out = tmp_path / "disk" / "out"
    command = prepare(f"--input_dir={hdf5_dir}", f"--output_dir={out}", "--image_size=0")
    done = run_on_disk(out.parent, "200k", *command)
    assert_told(done, f"output_dir {out}")
    assert f"the disk {out.parent};" in done.stderr


def test_phantoms_on_a_full_disk(tmp_path):
    hdf5 = tmp_path / "disk" / "hdf5"
    done = run_on_disk(
        hdf5.parent, "3m", *prepare(*PHANTOMS, f"--input_dir={hdf5}", f"--output_dir={tmp_path / 'out'}")
    )
    assert_told(done, f"output_dir {hdf5}")
    assert not (tmp_path / "out").exists()


def test_records_larger_than_a_file_may_be(hdf5_dir, tmp_path):
    out = tmp_path / "out"
    command = prepare(f"--input_dir={hdf5_dir}", f"--output_dir={out}", "--image_size=0", "--set=data.shards=1")
    assert_told(run_with_limit(100_000, *command), f"output_dir {out}")
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys
from pathlib import Path
import numpy as np
from data_prep.hdf5_slices import new_images
try:
    with new_images(Path(sys.argv[1]), (20, 64, 64), {"source": "a test"}) as write:
        for row in range(20):
            write(row, np.random.default_rng(row).random((64, 64), np.float32))
            print(row)
except OSError as error:
    print(error.strerror)
"""


def test_hdf5_stops_at_the_first_failed_write_and_ends_in_peace(tmp_path):
    """h5py alone goes on, cannot close the file, and dies of a segmentation fault when the interpreter ends."""
    done = run_with_limit(100_000, sys.executable, "-c", WRITER, tmp_path / "a.hdf5")
    assert (done.returncode, done.stderr) == (0, "")
    rows = done.stdout.split("\n")
    assert rows[-2] == "File too large"
    assert 2 <= len(rows[:-2]) <= 6, "16,384 bytes a row"


@pytest.mark.parametrize("place", ["/proc/out", "file/out", "file/deep/out"])
def test_an_unwritable_output_folder_is_refused_before_the_phantoms_are_made(script, tmp_path, place):
    (tmp_path / "file").write_text("mine")
    out, hdf5 = tmp_path / place, tmp_path / "hdf5"
    status, stdout, err = script("prepare", *PHANTOMS, f"--input_dir={hdf5}", f"--output_dir={out}")
    assert (status, stdout, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: output_dir {out}: cannot be written (")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_unwritable_input_folder_is_refused_before_the_phantoms_are_made(script, tmp_path):
    status, stdout, err = script("prepare", *PHANTOMS, "--input_dir=/proc/hdf5", f"--output_dir={tmp_path / 'out'}")
    assert (status, stdout, err.count("\n")) == (2, "", 1)
    assert "/proc/hdf5: cannot be written" in err


def test_an_unwritable_output_folder_is_refused_before_dicom_files_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_dicom, "find_pairs", lambda *_, **__: pytest.fail("the input was read first"))
    config = DataConfig(noise="none", noise_variance=None)
    with pytest.raises(InputError, match="output_dir /proc/out: cannot be written"):
        prepare_dicom.prepare_dicom(tmp_path, Path("/proc/out"), config, seed=0, test_patients=["a"])


def test_probing_a_folder_leaves_nothing(tmp_path):
    staging.check_free(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_what_is_still_written_is_not_swept(tmp_path):
    """A second run of the same output, which fails at once: the folder of the first, which lives, is left alone."""
    with staging.staged_folder(tmp_path / "out") as first:
        (first / "shard").write_text("half")
        with pytest.raises(RuntimeError), staging.staged_folder(tmp_path / "out"):
            raise RuntimeError
        assert (first / "shard").read_text() == "half"


def test_two_processes_that_write_one_file_do_not_mix(tmp_path, monkeypatch):
    path = tmp_path / "kept.json"

    def slowly(file):
        file.write(b"first, ")
        file.flush()
        with monkeypatch.context() as other:
            other.setattr("os.getpid", lambda: -1)
            write_via(path, lambda theirs: theirs.write(b"theirs"), shared=True)
        assert path.read_bytes() == b"theirs"
        file.write(b"whole")

    write_via(path, slowly, shared=True)
    assert path.read_bytes() == b"first, whole"
    assert [one.name for one in tmp_path.iterdir()] == ["kept.json"]
