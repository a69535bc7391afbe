"""Downloads from a loopback server: resumed, checked, and refused by name."""

import socket
import sys

import pytest
from zenodo_server import CSV, CUT, FILES, MEMBERS, OBSERVATIONS, WHOLE, ZIP, assert_whole, fetch, md5, names

from data_prep import download, lodopab, transfer
from data_prep.download import download_lodopab
from data_prep.errors import InputError


def test_part_is_fetched_unpacked_and_readable(zenodo, tmp_path):
    steps = []
    line = fetch(zenodo, tmp_path / "data", progress=lambda *step: steps.append(step))
    assert line == "checksums from Zenodo's record"
    assert_whole(tmp_path / "data")
    files = lodopab.find_parts(tmp_path / "data")["test"]
    refs = lodopab.list_slices(tmp_path / "data", "test", files)
    assert [ref.patient_id for ref in refs] == ["3"] * 4 + ["7"] * 4
    assert {name for name, _ in zenodo.asked} == {"3384092", CSV, ZIP}
    total = len(FILES[ZIP])
    assert (ZIP, total, total) in steps
    unpacked = sum(map(len, MEMBERS.values()))
    assert steps[-1] == (f"unpacking {ZIP}", unpacked, unpacked)


def test_finished_download_repeated_does_nothing_even_without_network(zenodo, tmp_path):
    fetch(zenodo, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    asked = len(zenodo.asked)
    assert fetch(zenodo, tmp_path) == f"nothing to download, {tmp_path} has it all; checksums from Zenodo's record"
    assert len(zenodo.asked) == asked
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_observations_are_added_without_fetching_the_rest_again(zenodo, tmp_path):
    fetch(zenodo, tmp_path)
    fetch(zenodo, tmp_path, observations=True)
    assert names(tmp_path) == WHOLE | {"observation_test_000.hdf5"}
    assert [name for name, _ in zenodo.asked] == ["3384092", CSV, ZIP, "3384092", OBSERVATIONS]


@pytest.mark.parametrize("damage", ["short", "gone", "receipt"])
def test_only_what_the_receipt_confirms_counts_as_there(zenodo, tmp_path, damage):
    fetch(zenodo, tmp_path)
    if damage == "short":
        (tmp_path / "ground_truth_test_001.hdf5").write_bytes(b"short")
    elif damage == "gone":
        (tmp_path / "ground_truth_test_000.hdf5").unlink()
    else:
        (tmp_path / download.RECEIPT).write_text('{"ground_truth_test.zip": {"members": 3}}')
    fetch(zenodo, tmp_path)
    assert_whole(tmp_path)
    assert zenodo.served[ZIP] == 2 * len(FILES[ZIP])


@pytest.mark.parametrize("resets", [False, True])
def test_break_in_the_middle_is_continued_with_a_range(zenodo, tmp_path, resets):
    zenodo.cuts, zenodo.resets = [CUT], resets
    fetch(zenodo, tmp_path)
    assert_whole(tmp_path)
    (_, first), (_, second) = [asked for asked in zenodo.asked if asked[0] == ZIP]
    assert first is None
    if resets:  # a reset may overtake the bytes sent before it
        return
    kept = int(second.removeprefix("bytes=").removesuffix("-"))
    assert CUT - transfer.CHUNK <= kept <= CUT
    assert zenodo.served[ZIP] == CUT + len(FILES[ZIP]) - kept


def test_line_that_stays_broken_ends_in_one_line_and_the_same_command_goes_on(zenodo, tmp_path):
    zenodo.cuts = [70_000] + [0] * transfer.RETRIES
    with pytest.raises(
        InputError, match=r"65536 of \d+ bytes are kept in .*test\.zip\.part, and the same command"
    ) as error:
        fetch(zenodo, tmp_path)
    assert "\n" not in str(error.value)
    assert names(tmp_path) == {CSV, f"{ZIP}.part", download.RECEIPT}
    before = zenodo.served[ZIP]
    fetch(zenodo, tmp_path)
    assert_whole(tmp_path)
    assert zenodo.asked[-1] == (ZIP, "bytes=65536-")
    assert zenodo.served[ZIP] - before == len(FILES[ZIP]) - 65536


def test_progress_forgives_earlier_failures(zenodo, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "ENOUGH", 1)
    monkeypatch.setattr(transfer, "CHUNK", 1000)
    zenodo.cuts = [5000] * 3 * transfer.RETRIES
    fetch(zenodo, tmp_path)
    assert_whole(tmp_path)


def test_server_without_ranges_starts_anew(zenodo, tmp_path):
    zenodo.ranges, zenodo.cuts = False, [CUT]
    fetch(zenodo, tmp_path)
    assert_whole(tmp_path)
    assert zenodo.served[ZIP] == CUT + len(FILES[ZIP])


def test_too_long_remains_are_discarded(zenodo, tmp_path):
    (tmp_path / f"{ZIP}.part").write_bytes(FILES[ZIP] + b"x")
    fetch(zenodo, tmp_path)
    assert_whole(tmp_path)
    assert (ZIP, None) in zenodo.asked


def test_whole_remains_are_not_fetched_again(zenodo, tmp_path):
    (tmp_path / f"{ZIP}.part").write_bytes(FILES[ZIP])
    fetch(zenodo, tmp_path)
    assert_whole(tmp_path)
    assert zenodo.served[ZIP] == 0


def test_wrong_checksum_is_named_and_never_unpacked(zenodo, tmp_path):
    published, zenodo.files[ZIP] = zenodo.record_json(), FILES[ZIP][:-1] + b"x"
    zenodo.record = published
    expected = rf"got md5 {md5(zenodo.files[ZIP])} .*expected {md5(FILES[ZIP])} from Zenodo's record"
    with pytest.raises(InputError, match=expected):
        fetch(zenodo, tmp_path)
    assert names(tmp_path) == {CSV, download.RECEIPT}
    zenodo.files[ZIP] = FILES[ZIP]
    fetch(zenodo, tmp_path)
    assert_whole(tmp_path)


@pytest.mark.parametrize("content", [b"<html>please log in</html>", FILES[ZIP] * 9])
def test_file_of_another_size_is_a_wrong_checksum_and_is_not_retried(zenodo, tmp_path, content):
    zenodo.record = zenodo.record_json()
    zenodo.files[ZIP] = content
    steps = []
    with pytest.raises(InputError, match="expected " + md5(FILES[ZIP])):
        fetch(zenodo, tmp_path, progress=lambda *step: steps.append(step))
    assert max(done for name, done, _ in steps if name == ZIP) <= len(FILES[ZIP]) + transfer.CHUNK
    assert names(tmp_path) == {CSV, download.RECEIPT}
    assert [name for name, _ in zenodo.asked].count(ZIP) == 1


@pytest.mark.parametrize("name", [CSV, ZIP])
def test_users_own_wrong_file_is_refused_but_not_touched(zenodo, tmp_path, name):
    content = FILES[name].replace(b"3", b"4")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"move this file away|remove it"):
        fetch(zenodo, tmp_path)
    assert (tmp_path / name).read_bytes() == content
    assert zenodo.served[ZIP] == 0


def test_users_own_right_archive_is_used(zenodo, tmp_path):
    (tmp_path / ZIP).write_bytes(FILES[ZIP])
    fetch(zenodo, tmp_path)
    assert_whole(tmp_path)
    assert zenodo.served[ZIP] == 0


@pytest.mark.parametrize("record", [False, b"<html>", b'{"files": []}', b'{"files": [{"key": 3}]}', b"[]"])
def test_without_zenodos_record_the_built_in_list_serves(zenodo, tmp_path, record):
    zenodo.record = record
    assert fetch(zenodo, tmp_path).startswith("checksums from the built-in (third-party) list, as Zenodo's record can")
    assert_whole(tmp_path)
    assert fetch(zenodo, tmp_path).endswith("checksums from the built-in (third-party) list")


def test_record_wins_over_the_built_in_list_and_the_line_says_so(zenodo, tmp_path, monkeypatch):
    monkeypatch.setitem(download.BUILT_IN, ZIP, (1, "0" * 32))
    line = fetch(zenodo, tmp_path)
    assert line == f"checksums from Zenodo's record; the built-in (third-party) list differs for {ZIP}"
    assert_whole(tmp_path)


def test_missing_file_on_the_server(zenodo, tmp_path):
    zenodo.record = zenodo.record_json()
    del zenodo.files[ZIP]
    with pytest.raises(InputError, match=rf"files/{ZIP}.*HTTP 404"):
        fetch(zenodo, tmp_path)


def test_busy_server_is_asked_again(zenodo, tmp_path):
    zenodo.statuses = [503, 429]
    fetch(zenodo, tmp_path)
    assert_whole(tmp_path)


def test_refused_range_starts_anew(zenodo, tmp_path):
    (tmp_path / f"{ZIP}.part").write_bytes(FILES[ZIP][:1000])
    zenodo.statuses = [416]
    fetch(zenodo, tmp_path)
    assert [asked for name, asked in zenodo.asked if name == ZIP] == ["bytes=1000-", None]
    assert_whole(tmp_path)


def test_server_out_of_reach(zenodo, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(InputError, match=r"broken off \(ConnectionError\)"):
        download_lodopab(tmp_path, ["test"], base_url=f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("parts", [["test", "tests"], []])
def test_unknown_part(tmp_path, parts):
    with pytest.raises(InputError, match="expected some of train, validation, test"):
        download_lodopab(tmp_path / "data", parts)
    assert not (tmp_path / "data").exists()


def test_without_requests_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(InputError, match=r'^downloading needs requests: pip install -e "\.\[download\]"$'):
        download_lodopab(tmp_path / "data", ["test"])
    assert not (tmp_path / "data").exists()


def test_folder_that_cannot_be_made(zenodo, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"output_dir .*file/data: Not a directory"):
        fetch(zenodo, tmp_path / "file" / "data")
