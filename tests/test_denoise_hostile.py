"""experiments.denoise on files that are hostile, damaged, or grey in another way than they seem."""

import io
import os
import pickle
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
from conftest import REPO
from deployed import hu_images
from dicom_files import write_series, write_slice
from foreign_files import EXECUTED, Bomb
from PIL import Image

from data_prep.errors import InputError
from wgan_vgg.image_files.array_io import NpySlices
from wgan_vgg.inference.denoise import Settings, denoise
from wgan_vgg.inference.denoiser import Denoiser
from wgan_vgg.inference.output_files import is_up_to_date


def hostile_npy(path):
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (1,)})
        pickle.dump(Bomb(), file)


def hostile_npz(path):
    hostile_npy(path.with_suffix(".member"))
    archive_of(path, {"a.npy": path.with_suffix(".member").read_bytes()})


def archive_of(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npy_bytes(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def with_note(path):
    archive_of(path, {"a.npy": npy_bytes(hu_images()), "readme.txt": b"text"})


def encrypted(path):
    content = bytearray(archive_of(path, {"a.npy": npy_bytes(hu_images())}).read_bytes())
    content[6] |= 1
    content[content.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


def packed_in_an_unknown_way(path):
    content = bytearray(archive_of(path, {"a.npy": npy_bytes(hu_images())}).read_bytes())
    content[8] = content[content.find(b"PK\x01\x02") + 10] = 97
    path.write_bytes(content)


def beyond_float32(path):
    np.save(path, np.full((9, 9), 1e300))


def white_is_zero(path):
    tifffile.imwrite(path, np.zeros((9, 9), np.uint16), photometric="miniswhite")


def palette(path):
    tifffile.imwrite(path, np.zeros((9, 9), np.uint8), photometric="palette", colormap=np.zeros((3, 256), np.uint16))


def pages_of_two_sizes(path):
    with tifffile.TiffWriter(path) as file:
        for side in (9, 5):
            file.write(np.zeros((side, side), np.uint8), photometric="minisblack")


def without_uid(path):
    dataset = pydicom.dcmread(write_slice(path, np.ones((8, 8), np.uint16)))
    del dataset.SOPInstanceUID
    dataset.save_as(path)


def with_a_command(path):
    """DICOM that pydicom reads and refuses to write."""
    content = write_slice(path, np.ones((8, 8), np.uint16)).read_bytes()
    path.write_bytes(content + bytes.fromhex("0000 0001 5553 0200 0000"))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.npy", hostile_npy),
        ("a.npz", hostile_npz),
        ("a.npy", lambda path: path.write_bytes(b"\x93NUMPY")),
        ("a.npy", beyond_float32),
        ("a.npz", with_note),
        ("a.npz", encrypted),
        ("a.npz", packed_in_an_unknown_way),
        ("a.tif", white_is_zero),
        ("a.tif", palette),
        ("a.tif", pages_of_two_sizes),
        ("a.dcm", without_uid),
        ("a.dcm", with_a_command),
    ],
)
def test_hostile_files_are_refused_and_nothing_is_executed(script, network, tmp_path, name, write):
    write(tmp_path / name)
    output = tmp_path / "out" / name
    flags = (f"--model_dir={network}", f"--input={tmp_path / name}", f"--output={output}", "--hu_range=-1024,3072")
    status, out, err = script("denoise", *flags)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert str(tmp_path / name) in err
    assert not EXECUTED.exists()
    assert not output.parent.exists() or not list(output.parent.iterdir())


def write_nifti(path, images):
    import nibabel

    nibabel.Nifti1Image(images, np.eye(4)).to_filename(path)


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.npz", np.savez_compressed), ("a.nii.gz", write_nifti), ("a.tif", tifffile.imwrite)],
)
def test_what_unpacks_to_gigabytes_is_refused_unread(network, tmp_path, monkeypatch, name, write):
    from wgan_vgg.image_files import slices

    monkeypatch.setattr(slices, "_LARGEST", 1000)
    write(tmp_path / name, np.zeros((1, 64, 64), np.float32))
    with pytest.raises(InputError, match="unpacks to 16,"):
        denoise(Denoiser.load(network), tmp_path / name, tmp_path / "out", Settings(hu_range=(0, 1)))


def test_an_archive_may_call_an_array_file(identity, tmp_path):
    archive_of(tmp_path / "a.npz", {"file.npy": npy_bytes(hu_images()), "ids.npy": npy_bytes(np.arange(3))})
    denoise(Denoiser.load(identity), tmp_path / "a.npz", tmp_path / "b.npz", Settings())
    with np.load(tmp_path / "b.npz") as arrays:
        np.testing.assert_allclose(arrays["file"], hu_images(), atol=1e-3)
        assert arrays["ids"].tolist() == [0, 1, 2]


def test_the_highest_value_of_64_bits_stays_the_highest(identity, tmp_path):
    np.save(tmp_path / "a.npy", np.iinfo(np.int64).max - np.arange(81).reshape(9, 9))
    denoise(Denoiser.load(identity), tmp_path / "a.npy", tmp_path / "b.npy", Settings(hu_range=(-1024, 3072)))
    assert np.load(tmp_path / "b.npy").min() > 0.999999 * np.iinfo(np.int64).max


def test_a_bad_file_that_only_writing_shows_is_left_out(script, network, tmp_path, caplog):
    write_series(tmp_path / "in", 2)
    with_a_command(tmp_path / "in" / "bad.dcm")
    flags = (f"--model_dir={network}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    for message in ("2 files, 2 slices", "0 files, 0 slices"):
        status, out, err = script("denoise", *flags)
        assert status == 5, err
        assert message in out
        assert "1 left out" in out
        assert f"left out: {tmp_path / 'in' / 'bad.dcm'}\n" in out
        assert "in/bad.dcm" in caplog.text
        caplog.clear()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.dcm", "1.dcm", "denoise.json"]
    assert script("denoise", *flags, "--strict")[0] == 2


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that even root cannot read")
def test_unreadable_files_are_left_out_and_links_followed(script, network, tmp_path, caplog):
    write_series(tmp_path / "elsewhere", 2)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "series").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    for name in ("bad.dcm", "bad"):
        (tmp_path / "in" / name).symlink_to("/proc/self/mem")
    flags = (f"--model_dir={network}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    status, out, err = script("denoise", *flags)
    assert (status, "2 files" in out, "2 left out" in out) == (5, True, True), err
    assert f"{tmp_path / 'in' / 'bad'}: cannot be read (Input/output error)" in caplog.text
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files == {"denoise.json", "series/0.dcm", "series/1.dcm"}


def test_a_picture_whose_header_claims_too_much_is_refused_unread(network, tmp_path):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = (60000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png"):
        denoise(Denoiser.load(network), tmp_path / "a.png", tmp_path / "b.png", Settings(hu_range=(0, 1)))


def test_a_file_that_vanishes_and_a_name_that_is_too_long_are_left_out(network, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    long = "l" * 246 + ".npy"  # of 250 letters; the partial file's name would have 259, 4 too many
    for name in ("a.npy", "b.npy", long, "z.npy"):
        np.save(tmp_path / "in" / name, hu_images())
    original = NpySlices.read

    def read(self, index):
        if self.path.name == "b.npy":
            self.path.unlink(missing_ok=True)
        return original(self, index)

    monkeypatch.setattr(NpySlices, "read", read)
    outcome = denoise(Denoiser.load(network), tmp_path / "in", tmp_path / "out", Settings())
    assert outcome.files == 2
    assert list(outcome.left_out) == [tmp_path / "in" / long, tmp_path / "in" / "b.npy"]
    assert "cannot be denoised (File name too long)" in outcome.left_out[tmp_path / "in" / long]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.npy", "denoise.json", "z.npy"]


def test_a_source_that_has_gone_is_not_up_to_date(tmp_path):
    (tmp_path / "denoise.json").write_text("{}")
    (tmp_path / "a.npy").write_bytes(b"")
    assert not is_up_to_date(tmp_path / "gone.npy", tmp_path / "a.npy", tmp_path)


def test_names_that_are_no_text_are_denoised_and_printed(network, tmp_path):
    names = [b"good\xff.npy", b"bad\xfe.npy"]
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / os.fsdecode(names[0]), hu_images())
    (tmp_path / "in" / os.fsdecode(names[1])).write_bytes(b"spoiled")
    flags = [f"--model={network}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}", "--share"]
    command = [sys.executable, "-m", "experiments.denoise", *flags, f"--json={tmp_path / 'done.json'}"]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, check=False)
    assert done.returncode == 5, done.stderr
    assert rb"left out: " + os.fsencode(tmp_path / "in") + rb"/bad\udcfe.npy" in done.stdout
    assert (tmp_path / "out" / os.fsdecode(names[0])).is_file()
