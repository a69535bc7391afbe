"""Several calls of experiments.denoise that share one output folder: every file once, also where one is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pydicom
import pytest
from conftest import REPO
from deployed import ended_at_a_rename, hu_images
from dicom_files import write_slice

from wgan_vgg.errors import InputError
from wgan_vgg.inference.claims import CLAIMS, claims_in
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


def test_a_claim_is_one_process_s_until_it_leaves_it_or_ends(tmp_path):
    tries = "; ".join(
        [
            "import sys, pathlib",
            "from wgan_vgg.inference.claims import claims_in",
            "opened = claims_in(pathlib.Path(sys.argv[1]), share=True)",
            "claims = opened.__enter__()",
            "print(claims.first, claims.take('a'), claims.take('b'))",
        ]
    )

    def other():
        done = subprocess.run([sys.executable, "-c", tries, tmp_path], cwd=REPO, capture_output=True, check=True)
        return done.stdout.decode().split()

    with claims_in(tmp_path, share=True) as claims:
        assert claims.first
        assert claims.take("a")
        claims.let_others_in()
        assert other() == ["False", "False", "True"]  # and its claim on b has gone with it
        assert claims.take("b")
        claims.release("a")
        assert other() == ["False", "True", "False"]
    assert not (tmp_path / CLAIMS).exists()


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


def test_a_call_that_does_not_share_is_told_apart_at_once_from_one_that_still_looks(tmp_path):
    began = time.monotonic()
    with (
        claims_in(tmp_path, share=False),
        pytest.raises(InputError, match="a call that does not share it writes there"),
        claims_in(tmp_path, share=True),
    ):
        pass
    assert time.monotonic() - began < 30, "it waited as for one that shares"
    with claims_in(tmp_path, share=True) as first:
        later = threading.Timer(3, first.let_others_in)
        later.start()
        with claims_in(tmp_path, share=True) as second:
            assert (first.first, second.first) == (True, False)
        later.join()
