"""kill -9 at every moment of a conversion: no data set appears, and the same command makes what it would have made."""

import subprocess
import sys

import pytest
from conftest import REPO

# Every opening for writing, making, renaming and removing of a file or folder is a moment, and so is every report of
# progress, between two records. Each is tried in a process of its own, forked so that TensorFlow is imported once.
KILLER = """
import os, shutil, signal, sys
from pathlib import Path
from experiments.launch import quiet_tensorflow
quiet_tensorflow()
import data_prep.prepare, wgan_vgg.reproduction.reproduce  # once, and not in each child
from experiments import prepare, progress

root, flags = Path(sys.argv[1]), sys.argv[2:]

def run(folder, kill_at):
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    left = kill_at
    def moment():
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def hook(event, args):
        writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        changes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir")
        if (writes or changes) and str(args[0]).startswith(str(folder)):
            moment()
    sys.addaudithook(hook)
    progress.Reporter.__call__ = lambda *_: moment()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        prepare.main([flag.replace("ROOT", str(folder)) for flag in flags])
    except SystemExit as end:
        os._exit(end.code)

def content(folder):
    # Folders too: what a killed run leaves behind may be empty.
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}

def begin(name):
    if (root / "hdf5").is_dir():
        shutil.copytree(root / "hdf5", root / name / "hdf5")
    else:
        (root / name).mkdir()
    return root / name

unbroken = begin("unbroken")
assert run(unbroken, 0) == 0
expected = content(unbroken)
for kill_at in range(1, 1000):
    folder = begin(f"killed-{kill_at}")
    status = run(folder, kill_at)
    if status == 0:
        assert content(folder) == expected
        print(kill_at - 1)
        break
    assert status == -signal.SIGKILL, status
    if (folder / "out").exists():  # killed after the last rename
        assert (folder / "out" / "manifest.json").exists(), kill_at
        print("whole", kill_at)
        shutil.rmtree(folder / "out")
    assert run(folder, 0) == 0, (kill_at, sorted(content(folder)))
    differing = {name for name, _ in content(folder).items() ^ expected.items()}
    assert not differing, (kill_at, differing)
    shutil.rmtree(folder)
"""


def killed_everywhere(root, *flags):
    """The number of moments at which the command was killed, and at which the data set was there already."""
    command = [sys.executable, "-c", KILLER, root, *flags, "--input_dir=ROOT/hdf5", "--output_dir=ROOT/out"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    *whole, moments = done.stdout.splitlines()
    return int(moments), [int(line.split()[1]) for line in whole]


def test_records_of_lodopab_files(hdf5_dir, tmp_path):
    (tmp_path / "hdf5").symlink_to(hdf5_dir)
    moments, whole = killed_everywhere(
        tmp_path, "--image_size=16", "--num_train=6", "--num_test=3", "--set=data.shards=2"
    )
    assert moments > 15, "nine records, and files and folders"
    assert len(whole) <= 2, "only what is removed after the data set's rename"


INTERRUPTED = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from data_prep.tfrecords import Record, write_dataset

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a job in the background inherits ignores it
image, made = np.zeros((4, 4), np.float32), []

def make_record(number):
    made.append(number)
    if len(made) == 3:
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)
    return Record(image, image, "1", number, "s")

try:
    write_dataset(Path(sys.argv[1]) / "out", {"train": range(1000)}, make_record, shards=1, description={})
except KeyboardInterrupt:
    print(len(made), os.listdir(sys.argv[1]))
"""


def test_an_interrupt_does_not_wait_for_whole_shards(tmp_path):
    command = [sys.executable, "-c", INTERRUPTED, tmp_path]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=120)
    made, left = done.stdout.split(maxsplit=1)
    assert (int(made) < 100, left) == (True, "[]\n"), "of 1000 records in the only shard"


@pytest.mark.slow
def test_phantoms_with_observations_and_their_records(tmp_path):
    patients = [
        f"--set=phantoms.{part}_patients={count}" for part, count in (("train", 1), ("validation", 0), ("test", 1))
    ]
    slices = ["--set=phantoms.min_slices=2", "--set=phantoms.max_slices=2", "--projection_coarseness=12"]
    noise = ["--source=phantoms", "--preset=demo", "--write_observations", "--noise=observations", "--num_train=0"]
    noise.append("--set=data.validation_parts=()")
    moments, whole = killed_everywhere(tmp_path, *noise, *patients, *slices)
    assert moments > 30
    assert len(whole) <= 2
