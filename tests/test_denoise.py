"""experiments.denoise: models, batches, tiles, trees, resumption, mistakes."""

import dataclasses
import json
import shutil

import numpy as np
import pydicom
import pytest
from deployed import hu_images
from dicom_files import write_series
from PIL import Image

from data_prep.errors import InputError
from wgan_vgg.exporters.export import export_saved_model
from wgan_vgg.extent import Extent
from wgan_vgg.hu import HuMapping
from wgan_vgg.inference import denoiser as denoiser_module
from wgan_vgg.inference.denoise import Settings, denoise
from wgan_vgg.inference.denoiser import Denoiser, tiled
from wgan_vgg.inference.settings import Outcome


def test_a_saved_model_and_its_run_denoise_alike(network, tmp_path):
    from wgan_vgg.run_dir import RunDir

    saved_model = export_saved_model(RunDir(network), tmp_path / "saved_model")
    models = [Denoiser.load(network), Denoiser.load(saved_model)]
    first, second = (model(hu_images()) for model in models)
    np.testing.assert_allclose(first, second, atol=4096 * 1e-5)
    assert models[0].metadata == models[1].metadata


@pytest.mark.parametrize(("height", "width", "tile"), [(37, 53, 16), (65, 40, 11), (33, 9, 32), (20, 20, 64)])
def test_tiled_equals_whole_everywhere_on_odd_sizes(network, height, width, tile):
    denoiser = Denoiser.load(network)
    values = np.random.default_rng(1).uniform(size=(2, height, width, 1)).astype(np.float32)
    whole = denoiser.network(values)
    np.testing.assert_allclose(tiled(denoiser.network, values, tile, denoiser.extent.reach), whole, atol=1e-5)
    if tile < height:
        assert np.abs(tiled(denoiser.network, values, tile, denoiser.extent.reach - 1) - whole).max() > 1e-5
    hu = 4096 * values[..., 0] - 1024
    np.testing.assert_allclose(denoiser(hu, tile), denoiser(hu), atol=4096 * 1e-5)


def test_a_slice_that_is_rescaled_by_its_own_extremes_is_not_tiled():
    """Fails where each tile is rescaled by its own."""
    hu = np.linspace(-1000, 1000, 40 * 40, dtype=np.float32).reshape(1, 40, 40)
    mapping = HuMapping(2000.0, -1000.0, rescaled=True)
    denoiser = Denoiser(lambda values: values, mapping, {"fingerprint": "0" * 64}, Extent(1, maps=1))
    np.testing.assert_allclose(denoiser(hu, tile=8), denoiser(hu), atol=1e-2)


@pytest.mark.parametrize("tile", [3, 6, 8])
def test_tiles_begin_where_the_blocks_of_the_network_do(tile):
    """Fails where a tile's side is taken as it is given: here every pixel gets the first value of its 4x4 block."""

    def network(values):
        height, width = values.shape[1:3]
        return values[:, ::4, ::4].repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]

    extent = Extent(reach=3, maps=1, multiple=4)
    denoiser = Denoiser(network, HuMapping(4096.0, -1024.0), {"fingerprint": "0" * 64}, extent)
    hu = hu_images(1, 30, 29)
    np.testing.assert_array_equal(denoiser(hu, tile), denoiser(hu))


def test_slices_too_large_for_the_memory_are_tiled(network, tmp_path):
    np.save(tmp_path / "a.npy", hu_images(2, 150, 170))
    denoiser = Denoiser.load(network)
    denoise(denoiser, tmp_path / "a.npy", tmp_path / "whole.npy", Settings())
    sizes = []

    def spy(values):
        sizes.append(values.shape[1] * values.shape[2])
        return denoiser.network(values)

    spied = dataclasses.replace(denoiser, network=spy)
    denoise(spied, tmp_path / "a.npy", tmp_path / "tiled.npy", Settings(memory=4e6))
    assert max(sizes) <= 4e6 / (4 * 3 * 32)
    np.testing.assert_allclose(np.load(tmp_path / "tiled.npy"), np.load(tmp_path / "whole.npy"), atol=4096 * 1e-5)


def test_every_flag_of_how_to_denoise_reaches_its_setting(script, network, tmp_path, monkeypatch):
    """Fails where memory_gb, of 10^9 bytes, is taken for megabytes, or one flag for another."""
    seen = []

    def note(denoiser, source, output, settings, *reporters):
        seen.append(settings)
        return Outcome()

    monkeypatch.setattr("wgan_vgg.inference.denoise.denoise", note)
    flags = [f"--model={network}", f"--input={tmp_path}", f"--output={tmp_path / 'out'}"]
    more = ["--hu_range=-5,7", "--batch=3", "--tile=40", "--memory_gb=2.5"]
    for switch in ("strict", "overwrite", "preview", "share"):
        assert script("denoise", *flags, *more, f"--{switch}")[0] == 0
        assert seen.pop() == Settings((-5.0, 7.0), 3, 40, 2.5e9, **{switch: True})
    assert script("denoise", *flags)[0] == 0
    assert seen.pop() == Settings()


def test_batches_fit_the_memory_and_do_not_change_the_result(network, tmp_path):
    np.save(tmp_path / "a.npy", hu_images(7))
    denoiser, counts = Denoiser.load(network), []

    def spy(values):
        counts.append(len(values))
        return denoiser.network(values)

    spied = dataclasses.replace(denoiser, network=spy)
    denoise(spied, tmp_path / "a.npy", tmp_path / "b.npy", Settings(memory=3.5 * (21 + 2 * 8) * 33 * 32 * 4 * 3))
    denoise(spied, tmp_path / "a.npy", tmp_path / "c.npy", Settings(batch=5))
    assert counts == [3, 3, 2, 5, 2]  # the last of the seven is not denoised alone, but as a pair
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), np.load(tmp_path / "c.npy"))


def test_a_long_stack_is_denoised_in_parts_that_fit_memory_with_the_same_result(network, monkeypatch):
    plain, counts = Denoiser.load(network), []

    def spy(values):
        counts.append(len(values))
        return plain.network(values)

    spied, stack = dataclasses.replace(plain, network=spy, strength=0.5), hu_images(7)
    whole = spied(stack)
    monkeypatch.setattr(denoiser_module, "MEMORY", 3.5 * (21 + 2 * 8) * 33 * 32 * 4 * 3)
    np.testing.assert_array_equal(spied(stack), whole)
    np.testing.assert_array_equal(spied(stack[0]), dataclasses.replace(plain, strength=0.5)(stack[0]))
    assert counts == [7, 3, 3, 2, 1]  # the last of the seven with the one before it
    assert spied(stack[:0]).shape == (0, 21, 33)


def test_a_negative_tile_is_refused_in_python_too(network):
    with pytest.raises(InputError, match="tile=-1: must be 0"):
        Denoiser.load(network)(hu_images(), tile=-1)


def test_a_tree_keeps_its_shape_and_goes_on_where_it_was_left(script, network, tmp_path, caplog):
    root = tmp_path / "in"
    write_series(root / "p1" / "s1")
    write_series(root / "p2" / "s1", 2, suffix="")  # no ending: known by content
    np.save(root / "a.npy", hu_images())
    (root / "notes.txt").write_text("seen")
    flags = (f"--model_dir={network}", f"--input={root}", f"--output={tmp_path / 'out'}", "--preview")
    status, out, err = script("denoise", *flags)
    assert status == 0, err
    assert "7 files, 9 slices" in out
    assert "1 files of" in caplog.text
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    inputs = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - {"notes.txt"}
    previews = {"previews/p1/s1/2.dcm.png", "previews/p2/s1/1.png", "previews/a.npy.png"}
    assert files == inputs | {"denoise.json"} | previews
    with Image.open(tmp_path / "out" / "previews" / "p1" / "s1" / "2.dcm.png") as image:
        assert image.size[1] > 24  # the text is below the slices
    first = pydicom.dcmread(tmp_path / "out" / "p1" / "s1" / "0.dcm")
    assert first.pixel_array.any()
    (tmp_path / "out" / "p1" / "s1" / "0.dcm").unlink()
    (tmp_path / "out" / "p1" / "s1" / ".partial-1.dcm").write_bytes(b"what a kill leaves")
    kept = (tmp_path / "out" / "p1" / "s1" / "1.dcm").stat().st_mtime_ns
    status, out, _ = script("denoise", *flags)
    assert (status, "1 files, 1 slices" in out, "6 done before" in out) == (0, True, True)
    again = pydicom.dcmread(tmp_path / "out" / "p1" / "s1" / "0.dcm")
    assert again.SOPInstanceUID == first.SOPInstanceUID
    np.testing.assert_array_equal(again.pixel_array, first.pixel_array)
    assert (tmp_path / "out" / "p1" / "s1" / "1.dcm").stat().st_mtime_ns == kept
    assert not list((tmp_path / "out").rglob(".partial-*"))


def test_another_model_does_not_mix_into_a_folder(script, network, identity, tmp_path):
    write_series(tmp_path / "in", 2)
    flags = (f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    assert script("denoise", f"--model_dir={network}", *flags)[0] == 0
    before = (tmp_path / "out" / "0.dcm").read_bytes()
    status, _, err = script("denoise", f"--model_dir={identity}", *flags)
    assert (status, "what another model or input gave" in err) == (2, True)
    assert (tmp_path / "out" / "0.dcm").read_bytes() == before
    assert script("denoise", f"--model_dir={identity}", *flags, "--overwrite")[0] == 0
    assert (tmp_path / "out" / "0.dcm").read_bytes() != before


def test_hu_beyond_the_training_range_are_counted(identity, tmp_path, caplog):
    images = np.random.default_rng(0).uniform(0, 10, (1, 10, 10)).astype(np.float32)
    images[0, 0, :4] = [-2000, 5000, 9000, 0]
    np.save(tmp_path / "a.npy", images)
    outcome = denoise(Denoiser.load(identity), tmp_path / "a.npy", tmp_path / "b.npy", Settings())
    assert (outcome.clipped, outcome.pixels) == (3, 100)
    told = outcome.describe()
    assert {name: told[name] for name in ("files", "slices", "skipped", "pixels", "clipped")} == {
        "files": 1, "slices": 1, "skipped": 0, "pixels": 100, "clipped": 3,
    }  # fmt: skip
    assert "3 of 100 pixels beyond [-1024, 3072] HU" in caplog.text
    np.testing.assert_allclose(np.load(tmp_path / "b.npy")[0, 0, :4], [-1024, 3072, 3072, 0], atol=1e-3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--input=/nowhere"], "no such file or folder"),
        (["--model_dir=/nowhere"], "neither a SavedModel nor a run"),
        (["--output={root}/in/out"], "lies in the input or around it"),
        (["--output={root}"], "lies in the input or around it"),
        (["--output={root}/taken"], "holds other files"),
        (["--hu_range=5"], "expected LOW,HIGH"),
        (["--hu_range=5,5"], "the first must be below the second"),
        (["--memory_gb=0"], "must be above 0"),
        (["--tile=-1"], "must be 0"),
        (["--input={root}/in/0.dcm", "--output={root}/in/0.dcm"], "lies in the input"),
        (["--input={root}/in/0.dcm", "--output={root}/in/1.dcm"], "exists already; add --overwrite"),
        (["--input={root}/in/0.dcm", "--output={root}/x.png"], "x.png: would be of another kind, that of"),
        (["--input={root}/in/0.dcm", "--output={root}/new/"], "new/: ends as a folder does"),
        (["--input={root}/notes.txt"], "not DICOM, NIfTI"),
        (["--input={root}/a.png", "--output={root}/b.png"], "--hu_range=LOW,HIGH"),
        (["--weights=average"], "was trained without"),
    ],
)
def test_mistakes_are_one_line(script, network, tmp_path, flags, message):
    write_series(tmp_path / "in", 2)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("mine")
    (tmp_path / "notes.txt").write_text("text")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    given = {"--model_dir": str(network), "--input": str(tmp_path / "in"), "--output": str(tmp_path / "out")}
    given |= dict(flag.format(root=tmp_path).split("=", 1) for flag in flags)
    status, out, err = script("denoise", *(f"{key}={value}" for key, value in given.items()))
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert message in err
    assert (tmp_path / "taken" / "mine").read_text() == "mine"


def test_a_saved_model_without_metadata_is_refused(network, tmp_path):
    from wgan_vgg.run_dir import RunDir

    folder = export_saved_model(RunDir(network), tmp_path / "saved_model")
    metadata = folder / "assets.extra" / "metadata.json"
    stored = json.loads(metadata.read_text())
    del stored["hu"]
    metadata.write_text(json.dumps(stored))
    with pytest.raises(InputError, match="export it anew"):
        Denoiser.load(folder)
    shutil.rmtree(folder / "assets.extra")
    with pytest.raises(InputError, match=r"no assets\.extra/metadata\.json"):
        Denoiser.load(folder)
