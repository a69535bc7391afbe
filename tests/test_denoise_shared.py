"""Several calls of experiments.denoise that share one output folder: every file once, also where one is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from conftest import REPO
from deployed import ended_at_a_rename, hu_images
from dicom_files import write_slice

from wgan_vgg.errors import InputError
from wgan_vgg.inference import work
from wgan_vgg.inference.claims import claims_in
from wgan_vgg.inference.denoise import Settings, denoise
from wgan_vgg.inference.denoiser import Denoiser

FILES = [f"patient{patient}/{number:02d}.npy" for patient in range(3) for number in range(8)]


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def tree(tmp_path):
    for number, name in enumerate(FILES):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, hu_images(1, 32, 32)[0] + number)
    return tmp_path / "in"


def test_three_processes_divide_a_tree_and_take_over_from_one_that_is_killed(network, tree, tmp_path):
    output = tmp_path / "out"
    flags = [f"--model={network}", f"--input={tree}", f"--output={output}", "--batch=2", "--share"]
    written = lambda: {path.relative_to(output).as_posix() for path in output.rglob("[0-9]*.npy")}  # noqa: E731
    started = []

    def start(*command):
        started.append(subprocess.Popen([sys.executable, *command], cwd=REPO, stdout=subprocess.DEVNULL))
        return started[-1]

    try:
        victim = start("-c", ended_at_a_rename("SIGSTOP"), *flags)  # as a host that hangs
        wait_for(lambda: os.waitid(os.P_PID, victim.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None)
        by_victim = written()
        assert len(by_victim) == 4
        others = [
            start("-m", "experiments.denoise", *flags, f"--json={tmp_path / name}") for name in ("1.json", "2.json")
        ]
        wait_for(lambda: len(written()) == len(FILES) - 2)  # all but what the victim holds: the rest of its batch
        time.sleep(1)
        assert [process.poll() for process in others] == [None, None]
        victim.send_signal(signal.SIGKILL)
        assert [process.wait(60) for process in others] == [0, 0]
    finally:
        for process in started:
            process.kill()
            process.wait()
    told = [json.loads((tmp_path / name).read_text()) for name in ("1.json", "2.json")]
    assert sum(each["files"] for each in told) == len(FILES) - len(by_victim)  # none of them twice
    assert min(each["files"] for each in told) > 0
    assert [each["files"] + each["skipped"] for each in told] == [len(FILES)] * 2
    denoise(Denoiser.load(network), tree, tmp_path / "alone", Settings())
    found = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert found == {*FILES, "denoise.json"}  # no half-written file, no claims
    for name in FILES:
        assert (output / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_what_does_not_fit_together_is_refused(network, identity, tree, tmp_path):
    output, shared = tmp_path / "out", Settings(share=True)
    denoise(Denoiser.load(network), tree, output, shared)
    with claims_in(output, share=True) as claims:
        claims.let_others_in()
        with pytest.raises(InputError, match="another model or input writes there"):
            denoise(Denoiser.load(identity), tree, output, shared)
        with pytest.raises(InputError, match="give all of them --share"):
            denoise(Denoiser.load(network), tree, output, Settings())
        np.save(tree / "late.npy", hu_images(1, 32, 32)[0])
        with pytest.raises(InputError, match=r"late.npy came after other calls had begun"):
            denoise(Denoiser.load(network), tree, output, shared)
    with pytest.raises(InputError, match="share: not with overwrite"):
        Settings(share=True, overwrite=True)
    with pytest.raises(InputError, match="is a file; leave it out"):
        denoise(Denoiser.load(network), tree / "late.npy", tmp_path / "late.npy", shared)


def test_a_dicom_instance_that_another_call_denoises_is_left_out(network, tmp_path):
    """Elsewhere in the tree, the other call has a copy of it."""
    uid = pydicom.dcmread(write_slice(tmp_path / "in" / "a.dcm", np.full((24, 24), 1000, np.uint16))).SOPInstanceUID
    write_slice(tmp_path / "in" / "b.dcm", np.full((24, 24), 1000, np.uint16), 1)
    holds = f"""
import pathlib
from wgan_vgg.inference.claims import claims_in
with claims_in(pathlib.Path({str(tmp_path / "out")!r}), share=True) as claims:
    claims.let_others_in()
    print(claims.take({str(uid)!r}), flush=True)
    input()
"""
    denoise(Denoiser.load(network), tmp_path / "in", tmp_path / "out", Settings(share=True))
    (tmp_path / "out" / "a.dcm").unlink()
    holds = holds.replace("    print", "    claims.let_others_in()\n    print")
    with subprocess.Popen(
        [sys.executable, "-c", holds], cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"True\n"
        outcome = denoise(Denoiser.load(network), tmp_path / "in", tmp_path / "out", Settings(share=True))
        other.communicate(b"\n")
    assert outcome.skipped == 1
    assert [*outcome.left_out.values()] == [
        f"{tmp_path / 'in' / 'a.dcm'}: has the SOPInstanceUID of a file of another call; remove one of them"
    ]


def holding(folder, name):
    """A process that shares a folder and has claimed a name there, till it reads a line."""
    code = f"""
import pathlib
from wgan_vgg.inference.claims import claims_in
with claims_in(pathlib.Path({str(folder)!r}), share=True) as claims:
    claims.let_others_in()
    print(claims.take({name!r}), flush=True)
    input()
"""
    return subprocess.Popen([sys.executable, "-c", code], cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_claims_do_not_depend_on_how_the_folder_is_spelled(network, tree, tmp_path, monkeypatch):
    shared, name = Settings(share=True), "patient1/03.npy"
    denoise(Denoiser.load(network), tree, tmp_path / "out", shared)
    (tmp_path / "out" / name).unlink()
    monkeypatch.chdir(tmp_path)
    claimed = []
    with holding(tmp_path / "out", name) as other:
        assert other.stdout.readline() == b"True\n"

        def end_other(_):
            claimed.append((tmp_path / "out" / name).exists())
            other.communicate(b"\n")

        monkeypatch.setattr(work.time, "sleep", end_other)
        outcome = denoise(Denoiser.load(network), tree, Path("out"), shared)  # waits until the other leaves it
    assert (claimed, outcome.files, outcome.skipped) == ([False], 1, len(FILES) - 1)


def test_a_copy_of_an_instance_that_another_call_has_done_is_left_out(network, tmp_path):
    """The other call has ended since, so that its claims have gone."""
    pixels = np.full((24, 24), 1000, np.uint16)
    uid = pydicom.dcmread(write_slice(tmp_path / "in" / "a.dcm", pixels)).SOPInstanceUID
    write_slice(tmp_path / "in" / "b.dcm", pixels, SOPInstanceUID=uid)
    write_slice(tmp_path / "in" / "c.dcm", pixels)
    output, shared = tmp_path / "out", Settings(share=True)
    first = denoise(Denoiser.load(network), tmp_path / "in", output, shared)
    wanted = {tmp_path / "in" / "b.dcm": f"{tmp_path / 'in' / 'b.dcm'}: has the SOPInstanceUID of "
              f"{tmp_path / 'in' / 'a.dcm'}; remove one of them"}  # fmt: skip
    assert (first.files, first.left_out) == (2, wanted)
    for settings in (shared, Settings()):
        again = denoise(Denoiser.load(network), tmp_path / "in", output, settings)
        assert (again.files, again.skipped, again.left_out) == (0, 2, wanted)
    done = (output / "a.dcm").read_bytes()
    (output / "a.dcm").unlink()
    with holding(output, "a.dcm") as other:
        assert other.stdout.readline() == b"True\n"
        denoiser = Denoiser.load(network)
        original = Denoiser.check_shape

        def check_shape(self, name, shape):  # of b, before its instance is compared: the other ends
            (output / "a.dcm").write_bytes(done)
            other.communicate(b"\n")
            original(self, name, shape)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Denoiser, "check_shape", check_shape)
            outcome = denoise(denoiser, tmp_path / "in", output, shared)
    assert (outcome.files, outcome.skipped, outcome.left_out) == (0, 2, wanted)
