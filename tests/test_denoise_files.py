"""Which files denoise takes for CT images, what becomes of the others; sources that change while read; previews."""

import dataclasses

import numpy as np
import pytest
from deployed import hu_images
from dicom_files import write_series
from PIL import Image

from data_prep.errors import NotAnImage
from wgan_vgg.image_files.array_io import NpySlices, NpzSlices
from wgan_vgg.image_files.label_maps import is_label_map
from wgan_vgg.image_files.slices import Options
from wgan_vgg.inference import job as job_module
from wgan_vgg.inference import preview
from wgan_vgg.inference.denoise import Settings, denoise
from wgan_vgg.inference.denoiser import Denoiser


def labels(count=3, side=40):
    stack = np.zeros((count, side, side), np.uint8)
    stack[:, 5:30, 8:25], stack[:, 12:20, 12:20] = 1, 7
    return stack


def test_of_an_archive_only_image_stacks_are_denoised_and_the_rest_is_copied_and_named(network, tmp_path, caplog):
    others = {
        "affine": np.eye(4),
        "mask": labels(),
        "weights": np.linspace(0, 1, 3),
        "small": hu_images(1, 20, 20),  # another shape than the largest stack
        "name": np.array("somebody"),
    }
    images = {"image": hu_images(3, 40, 40), "second": hu_images(3, 40, 40, seed=1)}
    np.savez(tmp_path / "a.npz", **others, **images)
    outcome = denoise(Denoiser.load(network), tmp_path / "a.npz", tmp_path / "b.npz", Settings())
    assert outcome.slices == 6
    with np.load(tmp_path / "b.npz") as result:
        for name, array in others.items():
            np.testing.assert_array_equal(result[name], array)
        for name, array in images.items():
            assert not np.allclose(result[name], array)
    assert "denoised 'image', 'second'; copied as they are, being no such images: 'affine', 'mask'" in caplog.text


def test_an_archive_without_images_and_a_mask_are_no_images(tmp_path):
    np.savez(tmp_path / "a.npz", affine=np.eye(4), mask=labels())
    with pytest.raises(NotAnImage, match="no array of images"):
        NpzSlices(tmp_path / "a.npz", Options())
    np.save(tmp_path / "bool.npy", labels() > 0)
    np.save(tmp_path / "labels.npy", labels())
    for name in ("bool.npy", "labels.npy"):
        with pytest.raises(NotAnImage, match="mask"):
            NpySlices(tmp_path / name, Options())


def test_a_slice_of_nothing_but_air_is_an_image(tmp_path, network):
    air = np.full((1, 20, 20), -1000, np.int16)
    np.save(tmp_path / "a.npy", air)
    np.savez(tmp_path / "air.npz", image=air, spacing=np.ones(3))
    np.savez(tmp_path / "scan.npz", image=hu_images(1, 20, 20), mask=0 * air)
    assert NpySlices(tmp_path / "a.npy", Options()).read(0)[0, 0] == -1000
    assert NpzSlices(tmp_path / "air.npz", Options()).read(0)[0, 0] == -1000
    assert NpzSlices(tmp_path / "scan.npz", Options()).count == 1, "beside an image it is a mask of nothing"
    assert denoise(Denoiser.load(network), tmp_path / "a.npy", tmp_path / "b.npy", Settings()).slices == 1


def test_a_ct_image_of_eight_bits_is_no_label_map():
    """Even in a window of 256 grey values noise makes neighbours differ; labels lie in areas."""
    rng = np.random.default_rng(0)
    body = np.zeros((2, 64, 64))
    body[:, 10:50, 10:50] = 120
    for noise, expected in ((8.0, False), (2.0, False), (0.0, True)):
        stored = np.clip(np.rint(body + noise * rng.standard_normal(body.shape) * (body > 0)), 0, 255).astype(np.uint8)
        assert is_label_map(stored) is expected, noise
    assert not is_label_map(rng.normal(0, 20, (1, 32, 32)).astype(np.float32))
    assert is_label_map(labels().astype(np.float32)), "whole numbers in a float file"


def test_in_a_folder_masks_are_passed_over_by_name_and_lost_slices_make_status_5(script, network, tmp_path):
    write_series(tmp_path / "in", 3)
    np.save(tmp_path / "in" / "mask.npy", labels())
    flags = (f"--model_dir={network}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    status, out, err = script("denoise", *flags, f"--json={tmp_path / 'done.json'}")
    assert (status, "3 files" in out, "1 passed over" in out) == (0, True, True), err
    assert not (tmp_path / "out" / "mask.npy").exists()
    spoiled = np.full((4, 9, 9), 40.0, np.float32) + hu_images(4, 9, 9)
    spoiled[2, 3, 3] = np.nan
    np.save(tmp_path / "in" / "volume.npy", spoiled)
    status, out, _ = script("denoise", *flags)
    assert (status, f"left out: {tmp_path / 'in' / 'volume.npy'}\n" in out) == (5, True)
    assert not (tmp_path / "out" / "volume.npy").exists(), "not half a volume"


def test_stale_outputs_go_when_their_source_cannot_be_read_any_more(script, network, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        np.save(tmp_path / "in" / f"{name}.npy", hu_images())
    flags = (f"--model_dir={network}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    assert script("denoise", *flags)[0] == 0
    (tmp_path / "in" / "b.npy").write_bytes(b"spoiled")
    status, out, _ = script("denoise", *flags)
    assert (status, "1 done before, 1 left out" in out) == (5, True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.npy", "denoise.json"]


def test_another_model_with_overwrite_leaves_nothing_of_the_first(script, network, identity, tmp_path, caplog):
    """Broken off after the first file: the rest of the former model's must not stand beside it."""
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "c"):
        np.save(tmp_path / "in" / f"{name}.npy", hu_images())
    flags = (f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    assert script("denoise", f"--model_dir={network}", *flags, "--preview")[0] == 0
    status, _, err = script("denoise", f"--model_dir={identity}", *flags)
    assert (status, "another model" in err) == (2, True)
    (tmp_path / "in" / "c.npy").write_bytes(b"spoiled")
    assert script("denoise", f"--model_dir={identity}", *flags, "--overwrite")[0] == 5
    assert "3 files of the call before were removed" in caplog.text
    assert sorted(path.name for path in (tmp_path / "out").glob("*.npy")) == ["a.npy", "b.npy"]
    np.testing.assert_allclose(np.load(tmp_path / "out" / "b.npy"), hu_images(), atol=1e-2)
    status, _, err = script("denoise", f"--model_dir={network}", f"--input={tmp_path / 'in' / 'a.npy'}",
                            f"--output={tmp_path / 'out' / 'z.npy'}")  # fmt: skip
    assert (status, "holds what another model or HU range gave" in err) == (2, True)


def test_a_source_that_changes_while_it_is_read_is_done_again(network, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / "a.npy"
    np.save(source, hu_images(seed=1))
    opened = []
    original = job_module.Job.open

    def open_and_change(self, options):
        found = original(self, options)
        opened.append(self.tries)
        if len(opened) == 1:
            np.save(tmp_path / "new.npy", hu_images(seed=2))
            (tmp_path / "new.npy").replace(source)
        return found

    monkeypatch.setattr(job_module.Job, "open", open_and_change)
    outcome = denoise(Denoiser.load(network), tmp_path / "in", tmp_path / "out", Settings())
    assert (opened, outcome.files, outcome.left_out) == ([1, 2], 1, {})
    expected = Denoiser.load(network)(hu_images(seed=2))
    np.testing.assert_allclose(np.load(tmp_path / "out" / "a.npy"), expected, atol=1e-2)


def test_previews_of_a_finished_folder_are_made_and_say_what_they_are(script, network, tmp_path):
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", hu_images(3, 40, 60))
    flags = (f"--model_dir={network}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    assert script("denoise", *flags)[0] == 0
    written = (tmp_path / "out" / "a.npy").stat().st_mtime_ns
    picture = tmp_path / "out" / "previews" / "a.npy.png"
    assert not picture.exists()
    status, out, _ = script("denoise", *flags, "--preview")
    assert (status, "0 files" in out, "1 done before" in out) == (0, True, True)
    assert (tmp_path / "out" / "a.npy").stat().st_mtime_ns == written
    with Image.open(picture) as image:
        assert image.height > 40
        text = np.asarray(image)[40:]
    assert text.max() > 128, "white letters below the slices"
    lines = preview.preview_text("a.npy, slice 2 of 3")
    assert lines == [
        "a.npy, slice 2 of 3",
        "before | after, soft tissue window: level 40, width 400 HU",
        "not for diagnostic use",
    ]


def test_a_preview_of_a_finished_file_shows_it_after_denoising(identity, tmp_path):
    """Black before, white after: fails where the source is shown twice, or both the other way round."""
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", np.random.default_rng(0).uniform(-200, -190, (3, 40, 60)).astype(np.float32))
    bright = dataclasses.replace(Denoiser.load(identity), network=lambda values: values + np.float32(500 / 4096))
    for preview_too in (False, True):
        denoise(bright, tmp_path / "in", tmp_path / "out", Settings(preview=preview_too))
    with Image.open(tmp_path / "out" / "previews" / "a.npy.png") as image:
        pixels = np.asarray(image)[:40]
    assert (pixels[:, :60].max(), pixels[:, 60:120].min()) == (0, 255)


def test_previews_beside_denoised_files_are_no_images_of_theirs(script, network, tmp_path):
    (tmp_path / "in" / "previews").mkdir(parents=True)
    for name in ("a.npy", "previews/b.npy"):  # no folder of denoise: without denoise.json
        np.save(tmp_path / "in" / name, hu_images(3, 40, 60))
    flags = (f"--model_dir={network}", f"--output={tmp_path / 'out'}", "--preview")
    assert script("denoise", *flags, f"--input={tmp_path / 'in'}")[0] == 0
    assert len(list((tmp_path / "out" / "previews").rglob("*.png"))) == 2
    (tmp_path / "out" / "previews" / "b.npy").unlink()
    status, out, _ = script("denoise", f"--model_dir={network}", f"--input={tmp_path / 'out'}",
                            f"--output={tmp_path / 'twice'}")  # fmt: skip
    assert (status, "1 files, 3 slices" in out, "left out" in out) == (0, True, False)


@pytest.mark.slow
def test_a_large_picture_keeps_to_its_memory(network, tmp_path):
    """8192x8192 took 4.6 GB at --memory_gb=1."""
    import subprocess
    import sys

    from conftest import REPO

    noise = np.random.default_rng(0).integers(0, 4096, (4096, 4096), np.uint16)
    Image.fromarray(noise).save(tmp_path / "small.png")
    Image.fromarray(np.tile(noise, (2, 2))).save(tmp_path / "large.png")
    peaks = {}
    for name in ("small", "large"):
        flags = [f"--model_dir={network}", f"--input={tmp_path / name}.png", f"--output={tmp_path / name}_out.png"]
        # VmHWM, not ru_maxrss: that one begins with the memory of the process that started this one (pytest's own).
        code = (
            "import sys\nfrom experiments.denoise import main\n"
            "try:\n    main(sys.argv[1:])\nexcept SystemExit as ended:\n"
            "    peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
            "    print(ended.code, peak.split()[1])"
        )
        command = [sys.executable, "-c", code, *flags, "--hu_range=-1024,3071", "--memory_gb=1"]
        done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=900)
        status, peak = done.stdout.splitlines()[-1].split()
        assert status == "0", done.stderr
        peaks[name] = int(peak) * 1024 / 1e9
    assert peaks["large"] < 2.4, peaks


def test_a_reason_is_told_once_for_a_series_and_each_file_is_named_at_the_end(script, network, tmp_path, caplog):
    write_series(tmp_path / "in" / "good", 1)
    write_series(tmp_path / "in" / "bad", 4, RescaleSlope=None)
    write_series(tmp_path / "in" / "cut", 3)
    for number, path in enumerate(sorted((tmp_path / "in" / "cut").iterdir())):
        path.write_bytes(path.read_bytes()[: -100 - number])  # the reason says how many bytes there are
    flags = (f"--model_dir={network}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    status, out, _ = script("denoise", *flags)
    assert (status, "1 files" in out, "7 left out" in out) == (5, True, True)
    assert caplog.text.count("RescaleSlope or RescaleIntercept is missing") == 1 + 1, "the first, and the sum"
    assert f"and 3 more files of {tmp_path / 'in' / 'bad'} likewise" in caplog.text
    assert f"and 2 more files of {tmp_path / 'in' / 'cut'} likewise" in caplog.text
    assert all(f"left out: {tmp_path / 'in' / 'bad' / f'{number}.dcm'}" in out for number in range(4))


def test_hu_taken_for_fractions_of_a_range_are_refused(script, network, tmp_path):
    """Read so they would be millions of HU, and nobody would be told."""
    np.save(tmp_path / "a.npy", hu_images())
    flags = (f"--model={network}", f"--input={tmp_path / 'a.npy'}", f"--output={tmp_path / 'b.npy'}")
    status, _, err = script("denoise", *flags, "--hu_range=-1024,3072")
    assert (status, "check --hu_range, or leave it out for HU" in err) == (2, True)
    assert script("denoise", *flags)[0] == 0
