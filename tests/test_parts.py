"""A conversion divided among hosts: same bytes, no call needed twice, and what one call loses another does not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PREPARE, REPO, smooth_images, write_part

from data_prep.errors import InputError
from data_prep.manifest import load_manifest
from data_prep.parts import Part, parts_dir
from data_prep.prepare import prepare_lodopab


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("of", "order"), [(2, (1, 0)), (3, (2, 0, 1)), (8, range(8))], ids=["2", "3", "empty-parts"])
def test_parts_in_any_order_make_the_same_bytes(hdf5_dir, data_dir, tmp_path, of, order):
    """Of 6 shards; with 8 hosts two have nothing to write."""
    out = tmp_path / "data"
    for place, number in enumerate(order):
        assert not out.exists()
        manifest = prepare_lodopab(hdf5_dir, out, PREPARE, seed=0, part=Part(number, of))
        written = sum(len(split["shards"]) for split in manifest["splits"].values())
        if place < of - 1:
            assert written == len(range(number, 6, of))
    assert written == 6
    assert content(tmp_path) == {f"data/{name}": data for name, data in content(data_dir).items()}
    assert manifest == load_manifest(out)


def test_a_part_that_is_there_is_not_written_again(hdf5_dir, tmp_path):
    def written() -> dict[Path, int]:
        prepare_lodopab(hdf5_dir, tmp_path / "data", PREPARE, seed=0, part=Part(1, 2))
        return {path: path.stat().st_mtime_ns for path in parts_dir(tmp_path / "data").rglob("*.tfrecord-*")}

    first = written()
    assert len(first) == 3
    assert written() == first


def test_parts_of_other_arguments_or_another_division_are_refused(hdf5_dir, tmp_path):
    out = tmp_path / "data"
    prepare_lodopab(hdf5_dir, out, PREPARE, seed=0, part=Part(0, 2))
    with pytest.raises(InputError, match=r"hosts=3: .*\.parts holds 00000-of-00002, of another division; remove it"):
        prepare_lodopab(hdf5_dir, out, PREPARE, seed=0, part=Part(1, 3))
    with pytest.raises(InputError, match=r"00000-of-00002: made of other files or with other .* \(seed differ\)"):
        prepare_lodopab(hdf5_dir, out, PREPARE, seed=1, part=Part(1, 2))
    assert not out.exists()
    assert [path.name for path in parts_dir(out).glob("*-of-*")] == ["00000-of-00002"], "refused before the work"
    for number, of, message in ((2, 2, "host=2: must be 0 to 1, as hosts=2"), (0, 0, "hosts=0: must be 1 or more")):
        with pytest.raises(InputError, match=message):
            Part(number, of)


def test_a_part_that_is_not_whole_is_named_and_no_data_set_appears(hdf5_dir, tmp_path):
    out = tmp_path / "data"
    prepare_lodopab(hdf5_dir, out, PREPARE, seed=0, part=Part(0, 2))
    shard = next(parts_dir(out).rglob("*.tfrecord-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"{shard.name}: .* bytes, the manifest says"):
        prepare_lodopab(hdf5_dir, out, PREPARE, seed=0, part=Part(1, 2))
    assert not out.exists()


def test_an_empty_output_folder_is_not_taken_for_the_data_set(script, hdf5_dir, tmp_path):
    (tmp_path / "data").mkdir()
    flags = ["--image_size=16", "--num_train=6", "--num_test=3", "--hosts=2", f"--input_dir={hdf5_dir}"]
    printed = [script("prepare", *flags, f"--output_dir={tmp_path / 'data'}", f"--host={n}")[1] for n in range(2)]
    assert "others are missing yet" in printed[0] and "wrote" in printed[1]
    assert load_manifest(tmp_path / "data")["splits"]["train"]["records"] == 6


def test_parts_that_a_kill_at_the_end_left_are_removed(script, hdf5_dir, tmp_path):
    """A kill after the data set appeared and before its parts went."""
    for number in range(2):
        prepare_lodopab(hdf5_dir, tmp_path / "data", PREPARE, seed=0, part=Part(number, 2))
    parts_dir(tmp_path / "data").mkdir()
    flags = [f"--input_dir={hdf5_dir}", f"--output_dir={tmp_path / 'data'}", "--hosts=2", "--host=1"]
    status, _, err = script("prepare", *flags)
    assert (status, "exists already" in err) == (2, True)
    assert not parts_dir(tmp_path / "data").exists()


def test_three_calls_at_once_one_of_them_killed(tmp_path):
    for part, count in (("train", 120), ("test", 12)):
        write_part(tmp_path / "hdf5", part, smooth_images(count, 48, count), ids=[count + i % 6 for i in range(count)])
    flags = ["--preset=lodopab", "--projection_coarseness=4", "--num_train=0", "--num_test=0"]
    flags += ["--validation_parts=train", "--set=data.shards=6", f"--input_dir={tmp_path / 'hdf5'}"]
    command = [sys.executable, "-m", "experiments.prepare", *flags]

    def call(out: Path, *more: str) -> "subprocess.Popen[str]":
        arguments = [*command, f"--output_dir={out}", *more]
        return subprocess.Popen(arguments, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    out = tmp_path / "parts" / "data"
    calls = [call(out, "--hosts=3", f"--host={number}") for number in range(3)]
    deadline = time.monotonic() + 120
    while not list(parts_dir(out).glob(".00001-of-00003.partial-*/*")):
        assert time.monotonic() < deadline
        assert calls[1].poll() is None, calls[1].communicate()
        time.sleep(0.005)
    os.kill(calls[1].pid, signal.SIGKILL)
    ends = [one.communicate(timeout=120) for one in calls]
    assert [one.returncode for one in calls] == [0, -signal.SIGKILL, 0], ends
    assert not out.exists()
    assert "others are missing yet" in ends[0][0] + ends[2][0]
    again = call(out, "--hosts=3", "--host=1")
    printed, errors = again.communicate(timeout=120)
    assert (again.returncode, f"wrote {out}" in printed) == (0, True), errors
    whole = call(tmp_path / "whole" / "data")
    assert whole.communicate(timeout=120) and whole.returncode == 0
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_files_that_all_calls_would_make_are_refused(script, tmp_path):
    for flags in (["--source=phantoms", "--preset=demo"], ["--source=lodopab", "--download=test"]):
        places = [f"--input_dir={tmp_path / 'in'}", f"--output_dir={tmp_path / 'out'}"]
        status, out, err = script("prepare", *flags, *places, "--hosts=2", "--host=0")
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "--hosts=2: all calls would write into --input_dir" in err
    assert not list(tmp_path.iterdir())


def beam(out: Path, hdf5_dir: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """A script's own process: Beam's warnings are its own, and its workers need the script's flags."""
    flags = ["--image_size=16", "--num_train=0", "--num_test=0", "--seed=3", f"--input_dir={hdf5_dir}", *more]
    command = [sys.executable, "-m", "experiments.prepare", *flags, f"--output_dir={out}"]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=240)


def _errors(done: "subprocess.CompletedProcess[str]") -> int:
    """Lines of ours on stderr; Beam itself may say that it was installed without Google's own parts."""
    return sum(line.lstrip().startswith("error: ") for line in done.stderr.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("options", ["", "--direct_running_mode=multi_processing --direct_num_workers=2"])
def test_beam_makes_the_same_bytes(hdf5_dir, tmp_path, options):
    pytest.importorskip("apache_beam", reason="apache-beam is not installed")
    whole = beam(tmp_path / "whole" / "data", hdf5_dir)
    assert whole.returncode == 0, whole.stderr
    piped = beam(tmp_path / "beam" / "data", hdf5_dir, "--hosts=3", f"--beam={options}")
    assert piped.returncode == 0, piped.stderr
    assert piped.stdout.replace("/beam/", "/whole/") == whole.stdout
    assert content(tmp_path / "beam") == content(tmp_path / "whole")


def test_a_beam_call_that_cannot_be_is_refused_before_anything_is_made(hdf5_dir, tmp_path, monkeypatch, script):
    places = [f"--input_dir={hdf5_dir}", f"--output_dir={tmp_path / 'out'}"]
    for flags in (["--beam="], ["--beam=", "--hosts=3", "--host=1"]):
        status, _, err = script("prepare", *places, *flags)
        assert (status, "--beam: makes all parts itself; give --hosts=N, their number, and no --host" in err) == (
            2,
            True,
        )
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    status, _, err = script("prepare", *places, "--hosts=2", "--beam=")
    assert (status, 'beam needs apache_beam: pip install -e ".[beam]"' in err) == (2, True)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_goes_wrong_in_a_beam_pipeline_is_one_line(hdf5_dir, tmp_path):
    pytest.importorskip("apache_beam", reason="apache-beam is not installed")
    done = beam(tmp_path / "out", hdf5_dir, "--hosts=2", "--beam=--runner=NoSuchRunner")
    assert (done.returncode, _errors(done)) == (2, 1), done.stderr
    assert "NoSuchRunner" in done.stderr
    for options, message in (("--direct_num_workers=abc", "invalid int value: 'abc'"), ("'", "No closing quotation")):
        done = beam(tmp_path / "out", hdf5_dir, "--hosts=2", f"--beam={options}")
        assert (done.returncode, _errors(done)) == (2, 1), done.stderr
        assert message in done.stderr
        assert "usage" not in done.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    done = beam(tmp_path / "out", empty, "--hosts=2", "--beam=")
    assert (done.returncode, _errors(done)) == (2, 1), done.stderr
    assert "no file named ground_truth_train_000.hdf5" in done.stderr.splitlines()[-1], "after what Beam itself logs"
