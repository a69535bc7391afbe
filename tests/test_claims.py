"""Locks and claims in a denoised folder: whose they are, and when they end."""

import errno
import fcntl
import subprocess
import sys
import threading
import time

import pytest
from conftest import REPO

from wgan_vgg.errors import InputError
from wgan_vgg.inference import claims as claims_module
from wgan_vgg.inference.claims import CLAIMS, LOCK, claims_in


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


@pytest.mark.parametrize("share", [False, True])
def test_the_lock_is_on_a_file_which_the_last_one_out_removes(tmp_path, share):
    """NFS passes locks of files on to other hosts, but not those of folders."""
    with claims_in(tmp_path, share=share):
        with (tmp_path / LOCK).open("rb+") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        with pytest.raises(InputError, match="give all of them --share"), claims_in(tmp_path, share=False):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_lock_keeps_no_lock_file(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(claims_module.fcntl, "flock", refuse)
    with claims_in(tmp_path, share=False):
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="its disk cannot lock"), claims_in(tmp_path, share=True):
        pass


def test_a_lock_on_a_file_that_was_just_removed_is_none(tmp_path, monkeypatch):
    """The last call out removes it between another's opening and locking it: a third one would lock a new file."""
    flock, calls = fcntl.flock, []

    def removed_first(file, kind):
        if not calls:
            (tmp_path / LOCK).unlink()
        calls.append(kind)
        flock(file, kind)

    monkeypatch.setattr(claims_module.fcntl, "flock", removed_first)
    with claims_in(tmp_path, share=False), (tmp_path / LOCK).open("rb+") as file, pytest.raises(BlockingIOError):
        flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    assert len(calls) == 3  # the removed file, the new one, and on the way out
