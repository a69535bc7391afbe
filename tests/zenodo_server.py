"""A loopback Zenodo with switchable faults; its archives hold real, tiny HDF5 files."""

import collections
import contextlib
import dataclasses
import hashlib
import http.server
import io
import json
import re
import socket
import struct
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from data_prep import download, transfer
from data_prep.download import download_lodopab

ZIP = "ground_truth_test.zip"
OBSERVATIONS = "observation_test.zip"
CSV = "patient_ids_rand_test.csv"
CUT = 100_000  # bytes after which a faulty connection ends: more than one chunk, less than the archive


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def hdf5(shape: tuple[int, ...], seed: int) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["data"] = np.random.default_rng(seed).random(shape, np.float32)
    return buffer.getvalue()


def zipped(members: dict[str, bytes], mode: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return buffer.getvalue()


MEMBERS = {f"ground_truth_test_00{i}.hdf5": hdf5((4, 64, 64), i) for i in range(2)}
FILES = {
    ZIP: zipped(MEMBERS),
    OBSERVATIONS: zipped({"observation_test_000.hdf5": hdf5((4, 50, 20), 2)}),
    CSV: b"3\n" * 4 + b"7\n" * 4,
}


@dataclasses.dataclass
class Zenodo:
    """What the server has, how it misbehaves, and what it was asked."""

    files: dict[str, bytes]
    record: bool | bytes = True
    ranges: bool = True
    cuts: list[int] = dataclasses.field(default_factory=list)  # of the next requests for the archive
    cut_always: bool = False
    statuses: list[int] = dataclasses.field(default_factory=list)  # of the next requests for the archive
    resets: bool = False  # a cut is a reset instead of an early end
    asked: list[tuple[str, str | None]] = dataclasses.field(default_factory=list)
    served: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    url: str = ""

    def record_json(self) -> bytes:
        entries = [{"key": k, "size": len(v), "checksum": f"md5:{md5(v)}"} for k, v in self.files.items()]
        return self.record if isinstance(self.record, bytes) else json.dumps({"files": entries}).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    zenodo: Zenodo

    def do_GET(self) -> None:
        zenodo, path = self.zenodo, self.path.partition("?")[0]
        name = path.rpartition("/")[2]
        zenodo.asked.append((name, self.headers["Range"]))
        if path == "/api/records/3384092" and zenodo.record:
            self.answer(200, zenodo.record_json())
        elif self.path == f"/records/3384092/files/{name}?download=1" and name in zenodo.files:
            faulty = name == ZIP
            if faulty and zenodo.statuses:
                self.answer(zenodo.statuses.pop(0), b"")
                return
            cut = zenodo.cuts.pop(0) if faulty and zenodo.cuts else CUT if faulty and zenodo.cut_always else None
            content, start = zenodo.files[name], 0
            if zenodo.ranges and self.headers["Range"]:
                start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
            self.answer(206 if start else 200, content, start, cut)
        else:
            self.answer(404, b"no such file")

    def answer(self, code: int, content: bytes, start: int = 0, cut: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(content) - start))
        if code == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        body = content[start:][:cut]
        # First: who has all that was asked for does not wait for this thread.
        self.zenodo.served[self.path.partition("?")[0].rpartition("/")[2]] += len(body)
        self.wfile.write(body)
        if cut is not None and self.zenodo.resets:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for them: no socket stays open

    def handle_error(self, *args: object) -> None:
        pass  # a client that went away


@contextlib.contextmanager
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zenodo]:
    """A running server; the built-in checksums are those of the tiny files."""
    state = Zenodo(dict(FILES))
    server = Server(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"zenodo": state}))
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "BACK_OFF", 0.001)
    for name, content in FILES.items():
        monkeypatch.setitem(download.BUILT_IN, name, (None if name == CSV else len(content), md5(content)))
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(zenodo: Zenodo, folder: Path, **options: object) -> str:
    return download_lodopab(folder, ["test"], base_url=zenodo.url, **options)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


WHOLE = {CSV, *MEMBERS, download.RECEIPT}


def assert_whole(folder: Path) -> None:
    assert names(folder) == WHOLE
    assert all((folder / name).read_bytes() == content for name, content in MEMBERS.items())
    assert (folder / CSV).read_bytes() == FILES[CSV]
