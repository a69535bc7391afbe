"""experiments.denoise on every kind of file: the same kind out; bad and hostile files."""

import dataclasses

import h5py
import numpy as np
import pytest
import tifffile
from conftest import smooth_images, write_part
from deployed import hu_images
from dicom_files import write_series, write_slice
from PIL import Image

from wgan_vgg.image_files.format_registry import format_of
from wgan_vgg.image_files.read import read_hu
from wgan_vgg.image_files.slices import StoredScale
from wgan_vgg.inference.denoise import Settings, denoise
from wgan_vgg.inference.denoiser import Denoiser


def npy(path, images):
    np.save(path, images)


def npz(path, images):
    np.savez(path, scan=images[..., None], first=images[0], ids=np.arange(3))


def nifti(path, images):
    import nibabel

    stored = np.rint((images - -500) / 0.5).astype(np.int16).T
    image = nibabel.Nifti1Image(stored, np.diag([-0.7, -0.7, 3, 1]))
    image.header.set_slope_inter(0.5, -500)
    image.to_filename(path)


def tiff(path, images):
    tifffile.imwrite(path, np.rint((images + 1024) / 4096 * 65535).astype(np.uint16), photometric="minisblack")


def png(path, images):
    Image.fromarray(np.rint((images[0] + 1024) / 4096 * 65535).astype(np.uint16)).save(path)


def png8(path, images):
    Image.fromarray(np.rint((images[0] + 1024) / 4096 * 255).astype(np.uint8)).save(path)


def read(path):
    if path.suffix == ".npy":
        return {"": np.load(path)}
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return dict(arrays)
    if path.suffix == ".hdf5":
        with h5py.File(path) as file:
            return {"": file["data"][:]}
    if ".nii" in path.name:
        import nibabel

        image = nibabel.load(path)
        scale = np.array([image.dataobj.slope, image.dataobj.inter])
        return {"": image.dataobj.get_unscaled(), "affine": image.affine, "scale": scale}
    if path.suffix == ".png":
        with Image.open(path) as image:
            return {"": np.array(image)}
    return {"": tifffile.imread(path)}


KINDS = {
    "a.npy": (npy, []),
    "int.npy": (lambda path, images: np.save(path, images[0].astype(np.int16)), []),
    "unit.npy": (lambda path, images: np.save(path, (images + 1024) / 4096), ["--hu_range=-1024,3072"]),
    "a.npz": (npz, []),
    "a.nii": (nifti, []),
    "a.nii.gz": (nifti, []),
    "a.tif": (tiff, ["--hu_range=-1024,3072"]),
    "a.png": (png, ["--hu_range=-1024,3072"]),
    "b.png": (png8, ["--hu_range=-1024,3072"]),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_comes_out_as_it_went_in(script, identity, network, tmp_path, name):
    write, flags = KINDS[name]
    write(tmp_path / name, hu_images())
    for folder, model in (("same", identity), ("changed", network)):
        output = tmp_path / folder / name
        status, out, err = script(
            "denoise", f"--model_dir={model}", f"--input={tmp_path / name}", f"--output={output}", *flags
        )
        assert status == 0, err
        assert "Not for diagnostic use" in out
        assert [path.name for path in output.parent.iterdir()] == [name]
    before, same, changed = read(tmp_path / name), read(tmp_path / "same" / name), read(tmp_path / "changed" / name)
    assert before.keys() == same.keys()
    for key in before:
        exact = before[key].dtype.kind in "iu" or key in ("affine", "scale")
        tolerance = 0 if exact else 1e-6 * np.ptp(before[key])
        np.testing.assert_allclose(same[key], before[key], rtol=0, atol=tolerance)
        assert same[key].dtype == before[key].dtype
    main = "scan" if name == "a.npz" else ""
    assert np.abs(changed[main].astype(float) - before[main]).max() > 1e-3


def test_an_array_in_the_order_of_fortran_is_no_other_array(identity, tmp_path):
    hu = hu_images()
    np.save(tmp_path / "a.npy", np.asfortranarray(hu))
    np.testing.assert_array_equal(read_hu(tmp_path / "a.npy"), hu)
    denoise(Denoiser.load(identity), tmp_path / "a.npy", tmp_path / "b.npy", Settings())
    np.testing.assert_allclose(np.load(tmp_path / "b.npy"), hu, atol=1e-2)


def test_lodopabs_hdf5_keeps_its_range_and_its_padding(identity, network, tmp_path):
    images = np.concatenate([smooth_images(3, 24, 0), np.zeros((2, 24, 24), np.float32)])
    path = write_part(tmp_path, "test", images)
    denoise(Denoiser.load(identity), path, tmp_path / "same.hdf5", Settings())
    np.testing.assert_allclose(read(tmp_path / "same.hdf5")[""], images, atol=1e-6)
    denoise(Denoiser.load(network), path, tmp_path / "changed.hdf5", Settings(batch=2))
    changed = read(tmp_path / "changed.hdf5")[""]
    assert changed.dtype == np.float32
    assert not changed[3:].any()
    assert np.abs(changed[:3] - images[:3]).max() > 1e-3


def spoil(root):
    """A tree with one bad file of each kind, and how its warning begins."""
    write_series(root, 2)
    (root / "cut.dcm").write_bytes((root / "0.dcm").read_bytes()[:500])
    (root / "text.dcm").write_text("not DICOM")
    (root / "text.nii").write_text("not NIfTI")
    (root / "text.png").write_bytes(b"\x89PNG nothing")
    (root / "text.hdf5").write_bytes(b"")
    (root / "nan.npy").write_bytes(b"")
    np.save(root / "nan.npy", np.full((3, 9, 9), np.nan))
    late = hu_images()
    late[2, 0, 0] = np.inf
    np.save(root / "late.npy", late)
    np.save(root / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(root / "colour.png")
    return [
        "cut.dcm",
        "text.dcm",
        "text.nii",
        "text.png",
        "text.hdf5",
        "nan.npy",
        "late.npy",
        "objects.npy",
        "colour.png",
    ]


def test_bad_files_are_named_counted_and_left_out(script, network, tmp_path, caplog):
    bad = spoil(tmp_path / "in")
    flags = (f"--model_dir={network}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    status, out, err = script("denoise", *flags, "--hu_range=-1024,3072", "--batch=8")
    assert status == 5, err
    assert "2 files" in out
    assert f"{len(bad)} left out" in out
    for name in bad:
        assert f"in/{name}" in caplog.text, name
        assert f"left out: {tmp_path / 'in' / name}\n" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.dcm", "1.dcm", "denoise.json"]


def test_strict_ends_at_the_first_bad_file(script, network, tmp_path):
    spoil(tmp_path / "in")
    flags = (f"--model_dir={network}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}", "--strict")
    status, out, err = script("denoise", *flags)
    assert (status, out, "in/" in err) == (2, "", True)
    assert not list((tmp_path / "out").rglob(".partial-*"))


def test_a_dicom_file_that_begins_like_a_tiff_is_dicom(tmp_path):
    path = write_slice(tmp_path / "a.tif", np.ones((8, 8), np.uint16))
    path.write_bytes(b"II*\0" + path.read_bytes()[4:])
    assert format_of(path).__name__ == "open_dicom"


def test_pictures_keep_their_texts_and_compression_and_nifti_says_what_it_is(identity, tmp_path):
    import nibabel
    import tifffile
    from PIL import Image, PngImagePlugin

    pixels = np.random.default_rng(0).integers(0, 4096, (20, 24)).astype(np.uint16)
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Source", "scanner 3")
    Image.fromarray(pixels).save(tmp_path / "a.png", pnginfo=texts, dpi=(300, 300))
    kept = {"description": "series 7", "software": "archive", "resolution": (300, 250), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression="zlib", **kept)
    nibabel.Nifti1Image(pixels.astype(np.int16)[..., None], np.eye(4)).to_filename(tmp_path / "a.nii")
    denoiser = Denoiser.load(identity)
    for ending in ("png", "tif", "nii"):
        settings = Settings(hu_range=None if ending == "nii" else (-1024, 3071))
        denoise(denoiser, tmp_path / f"a.{ending}", tmp_path / f"b.{ending}", settings)
    with Image.open(tmp_path / "b.png") as image:
        assert image.text == {"Source": "scanner 3"}
        assert image.info["dpi"][0] == pytest.approx(300, abs=0.1)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        page = file.pages[0]
        assert (page.description, page.software) == ("series 7", "archive")
        assert (page.resolution, page.resolutionunit.name) == ((300, 250), "CENTIMETER")
        assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    descrip = bytes(nibabel.load(tmp_path / "b.nii").header["descrip"]).rstrip(b"\0").decode()
    assert descrip == f"denoised, not for diagnostic use; {denoiser.fingerprint[:45]}"  # 34 + 45 of 79
    denoise(dataclasses.replace(denoiser, strength=0.6), tmp_path / "a.nii", tmp_path / "c.nii", Settings())
    descrip = bytes(nibabel.load(tmp_path / "c.nii").header["descrip"]).rstrip(b"\0").decode()
    assert descrip.startswith("denoised, not for diagnostic use; at strength 0.6; " + denoiser.fingerprint[:16])


def test_nifti_keeps_its_header_but_not_the_range_it_was_shown_in(identity, tmp_path):
    import nibabel

    image = nibabel.Nifti1Image(hu_images(24, 20, 3).astype(np.int16), np.diag([-0.7, -0.7, 3, 1]))
    image.header.set_xyzt_units("mm")
    image.header["cal_min"], image.header["cal_max"] = -160, 240
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    image.to_filename(tmp_path / "a.nii")
    denoise(Denoiser.load(identity), tmp_path / "a.nii", tmp_path / "b.nii", Settings())
    header = nibabel.load(tmp_path / "b.nii").header
    assert header.get_xyzt_units()[0] == "mm"
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert (float(header["cal_min"]), float(header["cal_max"])) == (0.0, 0.0)


def test_every_row_of_a_large_slice_is_converted():
    hu = np.random.default_rng(0).integers(-1000, 3000, (2100, 1030)).astype(np.float32)
    scale = StoredScale.of(np.dtype(np.int16), None)
    stored = scale.to_stored(hu)
    np.testing.assert_array_equal(stored, hu)
    np.testing.assert_array_equal(scale.read(stored, "a"), hu)
