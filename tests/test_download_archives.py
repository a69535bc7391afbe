"""Archives from a loopback server: hostile and broken ones, full disks, and kills at every moment."""

import errno
import os
import shutil
import stat
import struct
import subprocess
import sys

import pytest
from conftest import REPO
from zenodo_server import CSV, FILES, MEMBERS, OBSERVATIONS, ZIP, assert_whole, fetch, names, zipped

from data_prep import download, staging, transfer
from data_prep.errors import InputError

GOOD = "ground_truth_test_000.hdf5"
HOSTILE = {
    "parent": zipped({GOOD: MEMBERS[GOOD], "../evil": b"x"}),
    "parent of a good name": zipped({f"../{GOOD}": MEMBERS[GOOD]}),
    "absolute": zipped({f"/tmp/{GOOD}": MEMBERS[GOOD]}),
    "folder": zipped({"ground_truth_test/": b""}),
    "other part": zipped({"ground_truth_train_000.hdf5": MEMBERS[GOOD]}),
    "other name": zipped({GOOD: MEMBERS[GOOD], "setup.py": b"x"}),
    "symlink": zipped({GOOD: b"/etc/passwd"}, stat.S_IFLNK | 0o777),
    "too many": zipped({f"ground_truth_test_{i:03d}.hdf5": b"x" for i in range(29)}),
    "none": zipped({}),
    "not a zip": b"nothing of that kind",
    "truncated": FILES[ZIP][:-100],
    "damaged": FILES[ZIP][:60_000] + bytes(50) + FILES[ZIP][60_050:],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_or_broken_archive_leaves_nothing(zenodo, tmp_path, kind):
    zenodo.files[ZIP] = HOSTILE[kind]
    broken = kind in ("not a zip", "truncated", "damaged")
    message = "not a whole zip archive" if broken else "has .* members" if kind in ("too many", "none") else "member '"
    with pytest.raises(InputError, match=f"{ZIP}: {message}") as error:
        fetch(zenodo, tmp_path / "data")
    assert "\n" not in str(error.value)
    assert names(tmp_path / "data") == {CSV, ZIP, download.RECEIPT}
    assert names(tmp_path) == {"data"}


def test_refusal_names_the_member(zenodo, tmp_path):
    zenodo.files[ZIP] = HOSTILE["parent"]
    with pytest.raises(InputError, match=r"member '\.\./evil'"):
        fetch(zenodo, tmp_path)


def test_bomb_is_refused_by_its_declared_size(zenodo, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MEMBER_SLACK", -128 * 362 * 362 * 4 + 10_000)
    zenodo.files[ZIP] = zipped({GOOD: bytes(10_001)})
    with pytest.raises(InputError, match=rf"member '{GOOD}' has 10001 bytes, expected 10000 at most"):
        fetch(zenodo, tmp_path)


def test_bound_lets_the_real_files_pass():
    # A real file of 128 slices in HDF5 chunks of (8, 46, 46) takes 8 * 8 chunks a layer: 368 x 368.
    assert 128 * 368 * 368 * 4 < download._contents(ZIP).max_bytes < 90e6
    assert 272.8e6 < download._contents(OBSERVATIONS).max_bytes < 300e6  # 128 / 104 of the real last test file


@pytest.mark.parametrize("declared", [100, 200_000])
def test_member_that_lies_about_its_size_is_refused(zenodo, tmp_path, declared):
    content = zipped({GOOD: bytes(100_000)})
    sizes = struct.pack("<I", 100_000)
    assert content.count(sizes) == 2  # local header and directory
    zenodo.files[ZIP] = content.replace(sizes, struct.pack("<I", declared))
    with pytest.raises(InputError, match="not a whole zip archive"):
        fetch(zenodo, tmp_path)
    assert GOOD not in names(tmp_path)
    assert f"{GOOD}.part" not in names(tmp_path)


def test_disk_that_is_too_small_is_said_before_anything_is_fetched(zenodo, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    needed = len(FILES[CSV]) + 2.25 * len(FILES[ZIP])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=int(needed) - 2))
    with pytest.raises(InputError, match=r"need 0\.00 GB, the disk /.* has 0\.00 GB free"):
        fetch(zenodo, tmp_path)
    assert not {CSV, ZIP} & {name for name, _ in zenodo.asked}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=int(needed) + 2))
    fetch(zenodo, tmp_path)
    assert_whole(tmp_path)


def test_disk_check_counts_what_is_there_already(zenodo, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    (tmp_path / ZIP).write_bytes(FILES[ZIP])
    (tmp_path / f"{GOOD}.part").write_bytes(MEMBERS[GOOD])  # left by a kill
    needed = len(FILES[CSV]) + len(MEMBERS["ground_truth_test_001.hdf5"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed))
    fetch(zenodo, tmp_path)
    assert_whole(tmp_path)


def test_disk_that_fills_up_meanwhile(zenodo, tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(transfer.os, "fsync", full)
        with pytest.raises(
            InputError,
            match=r"the disk /.* is full; free some space or choose another folder; the same command resumes",
        ):
            fetch(zenodo, tmp_path)
        assert names(tmp_path) == {CSV, ZIP, download.RECEIPT}
    fetch(zenodo, tmp_path)
    assert_whole(tmp_path)
    assert zenodo.served[ZIP] == len(FILES[ZIP])


def test_second_run_into_the_same_folder_is_refused(zenodo, tmp_path):
    with staging.locked(tmp_path, "never said"), pytest.raises(InputError, match="another download into it is running"):
        fetch(zenodo, tmp_path)


KILLER = """
import os, signal, sys
from pathlib import Path
import requests  # once, and not in each child
from data_prep import download, transfer

url, root = sys.argv[1], Path(sys.argv[2])

def run(folder, kill_at):
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    left = kill_at
    def point():
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def hook(event, args):
        writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in ("os.rename", "os.remove")) and str(args[0]).startswith(str(folder)):
            point()
    sys.addaudithook(hook)
    try:
        download.download_lodopab(folder, ["test"], base_url=url, progress=lambda *_: point())
    except BaseException as error:
        print(repr(error))
        os._exit(1)
    os._exit(0)

for kill_at in range(1, 1000):
    folder = root / str(kill_at)
    killed = run(folder, kill_at)
    assert killed in (0, -signal.SIGKILL), killed
    if killed:
        assert run(folder, 0) == 0, (kill_at, sorted(p.name for p in folder.iterdir()))
    else:
        print(kill_at)
        break
"""


def test_killed_at_any_write_rename_removal_or_chunk_the_same_command_completes(zenodo, tmp_path):
    command = [sys.executable, "-c", KILLER, zenodo.url, str(tmp_path)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 20
    for folder in tmp_path.iterdir():
        assert_whole(folder)
