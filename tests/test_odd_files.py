"""Files that are odd or damaged in a way that once ended a whole folder, or was taken for something else."""

import dataclasses
import zlib

import h5py
import numpy as np
import pydicom
import pytest
import tifffile
from deployed import HU, hu_images, write_run
from dicom_files import write_series, write_single, write_slice

from data_prep import dicom_file
from data_prep.errors import InputError
from data_prep.hdf5_slices import open_images
from wgan_vgg import pretrained
from wgan_vgg.exporters.export import export
from wgan_vgg.extent import Extent
from wgan_vgg.hu import HuMapping
from wgan_vgg.image_files.enhanced_io import open_dicom
from wgan_vgg.image_files.read import read_hu
from wgan_vgg.image_files.slices import Options
from wgan_vgg.inference.denoise import Settings, denoise
from wgan_vgg.inference.denoiser import Denoiser


def test_padding_is_as_low_as_the_model_knows_in_python_as_in_files(tmp_path):
    stored = np.full((8, 8), 1024, np.uint16)
    stored[:2] = 0
    write_slice(tmp_path / "a.dcm", stored, PixelPaddingValue=0)
    seen = []

    def network(values):
        seen.append(values.copy())
        return values

    mapping = HuMapping(4072.0, -1001.0)
    denoiser = Denoiser(network, mapping, {"fingerprint": "0" * 64}, Extent(1, maps=1))
    denoiser(tmp_path / "a.dcm")
    denoise(denoiser, tmp_path / "a.dcm", tmp_path / "b.dcm", Settings())
    for values in seen:
        assert values.min() == 0.0  # of -1024 HU it would be -.006
        assert values.max() == pytest.approx(1001 / 4072)


def test_a_tiff_keeps_texts_that_are_not_ascii(identity, tmp_path):
    texts = {"description": "size in µm".encode(), "software": "Zürich".encode()}
    pixels = np.random.default_rng(0).integers(0, 65535, (24, 24)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, metadata=None, **texts)
    denoise(Denoiser.load(identity), tmp_path / "a.tif", tmp_path / "b.tif", Settings(hu_range=(-1024, 3071)))
    for name in ("a.tif", "b.tif"):
        with tifffile.TiffFile(tmp_path / name) as file:
            tags = file.pages.first.tags
            assert (tags["ImageDescription"].value, tags["Software"].value) == ("size in µm", "Zürich"), name


def test_a_damaged_hdf5_file_is_one_line_whatever_is_damaged(tmp_path):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["data"] = np.zeros((2, 9, 9), np.float32)
    content, kinds = (tmp_path / "a.hdf5").read_bytes(), set()
    for place in range(800):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        (tmp_path / "b.hdf5").write_bytes(damaged)
        try:
            with open_images(tmp_path / "b.hdf5").file:
                continue
        except InputError as error:
            assert str(tmp_path / "b.hdf5") in str(error)
            assert "\n" not in str(error)
            kinds.add(type(error.__cause__))
    assert {OSError, RuntimeError} <= kinds


@pytest.mark.parametrize(
    ("name", "value"), [("PixelSpacing", "0.7"), ("PixelSpacing", [0.7]), ("ImagePositionPatient", [1, 2])]
)
def test_a_slice_without_proper_geometry_is_named_and_the_others_are_done(identity, tmp_path, name, value):
    write_series(tmp_path / "in", 2)
    write_slice(tmp_path / "in" / "0a.dcm", np.full((24, 24), 900, np.uint16), 7.0, **{name: value})
    outcome = denoise(Denoiser.load(identity), tmp_path / "in", tmp_path / "out", Settings())
    assert outcome.files == 2
    assert list(outcome.left_out) == [tmp_path / "in" / "0a.dcm"]
    assert name in outcome.left_out[tmp_path / "in" / "0a.dcm"]


def test_an_imported_run_is_not_calibrated_on_the_current_directory(tmp_path, monkeypatch):
    np.save(tmp_path / "holiday.npy", hu_images(4))
    monkeypatch.chdir(tmp_path)
    run = write_run(tmp_path / "run", data={**HU, "path": ""})
    with pytest.raises(InputError, match="was imported, without records; give --calibration"):
        export(run, tmp_path / "out", "tflite", precision="int8")
    assert not (tmp_path / "out").exists()


def test_an_image_that_is_too_small_is_named_and_the_others_are_done(identity, tmp_path):
    (tmp_path / "in").mkdir()
    for name, side in (("a", 24), ("b", 16), ("c", 24)):
        np.save(tmp_path / "in" / f"{name}.npy", hu_images(1, side, side))
    denoiser = Denoiser.load(identity)
    large = dataclasses.replace(denoiser, extent=dataclasses.replace(denoiser.extent, smallest_side=20))
    outcome = denoise(large, tmp_path / "in", tmp_path / "out", Settings())
    small = tmp_path / "in" / "b.npy"
    assert outcome.left_out == {small: f"{small}: slices of 16x16; the network takes 20x20 or more"}
    assert outcome.files == 2


def test_a_deflated_file_is_measured_before_denoise_unpacks_it(tmp_path, monkeypatch):
    path = write_slice(tmp_path / "a.dcm", np.zeros((64, 64), np.uint16))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    assert open_dicom(path, Options()).read(0).shape == (64, 64)
    monkeypatch.setattr(dicom_file, "_LARGEST_INFLATED", 1000)
    monkeypatch.setattr(zlib, "decompress", lambda *_: pytest.fail("unpacked"))
    monkeypatch.setattr(pydicom, "dcmread", lambda *_, **__: pytest.fail("unpacked"))
    with pytest.raises(InputError, match="unpacks to more than 1,000 bytes"):
        open_dicom(path, Options())


def test_two_series_are_not_one_stack(tmp_path):
    for name in ("a", "b"):
        write_series(tmp_path / name, 3)
    assert read_hu(tmp_path / "a").shape == (3, 24, 24)
    with pytest.raises(InputError, match="2 DICOM series; give one series at a time"):
        read_hu(tmp_path)


@pytest.mark.parametrize(("offset", "content"), [(123, b"\x06"), (44, b"\xf0\xff")])  # unit; second side: -16
def test_a_nifti_header_of_nonsense(tmp_path, offset, content):
    nibabel = pytest.importorskip("nibabel")
    path = tmp_path / "a.nii"
    nibabel.Nifti1Image(hu_images(16, 16, 3).astype(np.int16), np.eye(4)).to_filename(path)
    damaged = bytearray(path.read_bytes())
    damaged[offset : offset + len(content)] = content
    path.write_bytes(damaged)
    if offset == 123:
        assert read_hu(path).shape == (3, 16, 16)  # in mm or not
    else:
        with pytest.raises(InputError, match=str(path)):
            read_hu(path)


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        (np.diag([-1, -1, 1, 1]), None),  # left, posterior, superior
        (np.diag([1, 1, -1, 1]), None),
        (np.eye(4)[[0, 2, 1, 3]], "RSA"),  # the third axis runs to the front: coronal slices
        (np.eye(4)[[1, 0, 2, 3]], "ARS"),  # axial ones that lie transposed
        (None, None),  # not finite
    ],
)
def test_nifti_slices_that_are_not_axial_are_told_and_read_as_they_lie(tmp_path, caplog, axes, said):
    nibabel = pytest.importorskip("nibabel")
    stored = hu_images(16, 18, 3).astype(np.int16)
    nibabel.Nifti1Image(stored, np.eye(4) if axes is None else axes).to_filename(tmp_path / "a.nii")
    if axes is None:
        content = bytearray((tmp_path / "a.nii").read_bytes())
        content[280:328] = np.full(12, np.nan, "<f4").tobytes()
        (tmp_path / "a.nii").write_bytes(content)
    np.testing.assert_array_equal(read_hu(tmp_path / "a.nii"), stored.transpose(2, 1, 0))
    assert len(caplog.messages) == (said is not None)
    assert f"a.nii: axes {said} by its affine" in caplog.text or said is None


@pytest.mark.parametrize("metadata", [{"imagej": True}, {}])
def test_a_tiff_with_several_pages_under_one_header_is_refused(tmp_path, metadata):
    """It lost all of them but the first."""
    stack = np.random.default_rng(0).integers(0, 65535, (3, 24, 24)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "whole.tif", stack, photometric="minisblack", **metadata)
    assert read_hu(tmp_path / "whole.tif", (-1024, 3071)).shape == (3, 24, 24)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", truncate=True, **metadata)
    with pytest.raises(InputError, match="several pages under the header of one; save each page with its own"):
        read_hu(tmp_path / "a.tif", (-1024, 3071))


def test_what_else_is_in_an_hdf5_file_is_named(identity, tmp_path, caplog):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["data"] = np.random.default_rng(0).uniform(size=(2, 9, 9)).astype(np.float32)
        file["data"].attrs["unit"], file["mask"], file.attrs["site"] = "1", np.zeros(3), "B"
    denoise(Denoiser.load(identity), tmp_path / "a.hdf5", tmp_path / "b.hdf5", Settings())
    assert "a.hdf5: only 'data' is denoised and written; left out: data.unit, mask" in caplog.text
    with h5py.File(tmp_path / "b.hdf5") as file:
        assert (list(file), dict(file.attrs)) == (["data"], {"site": "B"})


def test_values_that_are_no_hu_are_told_a_way_out_that_the_format_has(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    values = np.array([[[0.5003, 1000.7503]]], np.float32)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["data"] = values
    nibabel.Nifti1Image(1000 * values, np.eye(4)).to_filename(tmp_path / "a.nii")
    np.save(tmp_path / "a.npy", 1000 * values)
    for name, way_out in (
        ("a.hdf5", "mend its scale or remove it"),
        ("a.nii", "mend its scale or remove it"),
        ("a.npy", "check --hu_range, or leave it out for HU"),
    ):
        with pytest.raises(InputError, match=rf"{name}: slice \d would have .* HU; {way_out}$"):
            read_hu(tmp_path / name)


@pytest.mark.parametrize("change", [('"layers"', '"layres"'), ('"hu"', '"uh"')])
def test_a_file_of_another_version_is_one_line(tmp_path, change):
    safetensors = pytest.importorskip("safetensors")
    from safetensors.numpy import save_file

    with safetensors.safe_open(pretrained.find("generator-mse-lodopab", ".safetensors"), "numpy") as file:
        texts = {name: text.replace(*change) for name, text in file.metadata().items()}
        save_file({name: file.get_tensor(name) for name in file.keys()}, tmp_path / "a.safetensors", texts)  # noqa: SIM118
    with pytest.raises(InputError, match=r"not a file of this version .* export it anew"):
        Denoiser.from_file(tmp_path / "a.safetensors")


def test_images_smaller_than_the_window_of_ssim_are_not_evaluated(script, hdf5_dir, tmp_path):
    flags = ["--preset=demo", "--source=lodopab", f"--input_dir={hdf5_dir}", f"--output_dir={tmp_path / 'records'}"]
    status, _, err = script("prepare", *flags, "--image_size=8", "--set=data.patient_ids_per_part=true")
    assert status == 0, err
    flags = [f"--data_dir={tmp_path / 'records'}", f"--output_dir={tmp_path / 'out'}", "--vgg_weights=none"]
    status, _, err = script("evaluate", "--models=generator-mse-lodopab", *flags)
    assert (status, err) == (2, "error: images of 8x8: SSIM takes 11 or more\n")


def test_a_range_of_hu_rises_and_memory_is_a_number(tmp_path):
    np.save(tmp_path / "a.npy", hu_images())
    with pytest.raises(InputError, match="the first must be below the second"):
        read_hu(tmp_path / "a.npy", (3000, -1000))
    with pytest.raises(InputError, match="memory=inf: must be above 0"):
        Settings(memory=float("inf"))


def test_an_unreadable_slice_without_partner_costs_no_partner(script, tmp_path, caplog):
    root, out = write_single(tmp_path / "in", ["L0", "L1", "L2"]), tmp_path / "out"
    bad = min((root / "L0").rglob("*.dcm"))
    bad.write_bytes(bad.read_bytes()[:-100])
    flags = ["--source=dicom", "--preset=yang2018", f"--input_dir={root}", f"--output_dir={out}", "--test_patients=L2"]
    flags += ["--noise=poisson", "--dose=0.5", "--photons=1e4", "--patch_size=0"]
    status, _, err = script("prepare", *flags)
    assert status == 0, err
    assert "1 malformed DICOM files skipped, and 0 slices that lost their partner" in caplog.messages
