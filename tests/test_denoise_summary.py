"""The noise of a slice told from itself, the line about each series, warnings of what a model was not trained for."""

import json
import shutil

import numpy as np
import pytest
from dicom_files import write_series
from scipy import ndimage

from wgan_vgg import noise_estimate
from wgan_vgg.image_files.slices import Slices
from wgan_vgg.inference import summary
from wgan_vgg.inference.summary import TISSUES, Measure, Series, Summaries, measure, mismatch
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.training_input import training_input


def body(std, seed=0, side=128, correlated=False):
    """A disc of 40 HU in air with a bone rod in it, and noise of a standard deviation in HU."""
    y, x = np.mgrid[:side, :side] - side / 2
    image = np.where(x**2 + y**2 < (0.4 * side) ** 2, 40.0, -1000.0)
    image[(x - 10) ** 2 + y**2 < 36] = 700.0
    field = np.random.default_rng(seed).standard_normal((side, side))
    field = ndimage.gaussian_filter(field, 0.7) if correlated else field
    return (image + std * field / field.std()).astype(np.float32)


@pytest.mark.parametrize("std", [10.0, 40.0, 90.0])
def test_noise_is_found_at_every_level_and_edges_do_not_count(std):
    assert noise_estimate.noise_std(body(std)) == pytest.approx(std, rel=0.1)
    assert noise_estimate.noise_std(body(std, correlated=True)) == pytest.approx(std, rel=0.25)


def test_a_standard_deviation_is_the_samples():
    """Fails where it is divided by all 25 pixels of a neighbourhood instead of 24: 19.6 of 20 HU."""
    image = np.full((200, 200), 40.0)
    image[::5, ::5] = 140.0  # one of any 25 neighbours is 100 HU brighter: 100^2 (1 - 1 / 25) / 24 = 20^2
    assert noise_estimate.noise_std(image) == pytest.approx(20.0, rel=0.005)


def test_without_soft_tissue_there_is_no_noise_to_tell():
    assert noise_estimate.noise_std(np.full((64, 64), -1000.0)) is None
    assert noise_estimate.noise_std(np.full((64, 64), 40.0)) == 0.0


def test_what_a_mask_has_filled_is_not_the_commonest_noise():
    masked = body(20.0)
    masked[:40] = 0.0
    assert noise_estimate.noise_std(masked) == pytest.approx(20.0, rel=0.1)


def test_shifts_by_tissue_are_those_that_were_made():
    before = body(0.0)
    after = before + np.where(before < -900, 5.0, np.where(before > 200, -30.0, 2.0))
    series = Series("a", 0.7, [measure(before, after)])
    assert series.shift["air"] == pytest.approx(5.0, abs=0.5)
    assert series.shift["soft tissue"] == pytest.approx(2.0, abs=0.5)
    assert series.shift["bone"] < -15
    assert series.shift["lung"] is None or abs(series.shift["lung"]) < 10
    assert series.line().startswith("a: 1 slices, mean HU shift air +5.0, ")


def test_the_shift_of_a_series_counts_pixels_not_slices():
    """Fails where the slices' means are averaged: 100 pixels at +1 and 300 at +5 would come to +3."""
    none = dict.fromkeys(TISSUES, 0)
    slices = [
        Measure((None, None), none | {"bone": pixels}, none | {"bone": total}, True)
        for pixels, total in ((100, 100.0), (300, 1500.0), (0, 0.0))
    ]
    shift = Series("a", None, slices).shift
    assert (shift["bone"], shift["lung"]) == (4.0, None)


def test_far_from_training_is_said_in_words_and_the_unknown_is_not():
    trained = {"pixel_spacing_mm": 4.06, "noise_std_hu": 50.0}
    text = mismatch(trained, 0.72, 210.0)
    assert text == (
        "pixel spacing 0.72 mm, but the model was trained on 4.06 mm and "
        "noise 210 HU, but the model was trained on 50 HU"
    )
    assert mismatch(trained, 4.0, 60.0) == ""
    assert mismatch(trained, None, None) == ""
    assert mismatch({"pixel_spacing_mm": None}, 0.72, 10.0) == ""


@pytest.mark.parametrize(
    ("spacing", "noise", "said"),
    [(1.49, 99.0, ""), (0.67, 26.0, ""), (1.51, 50.0, "pixel"), (1.0, 101.0, "noise"), (0.66, 50.0, "pixel")],
)
def test_far_is_half_as_much_again_of_a_pixels_side_and_twice_the_noise(spacing, noise, said):
    assert mismatch({"pixel_spacing_mm": 1.0, "noise_std_hu": 50.0}, spacing, noise).partition(" ")[0] == said


def test_the_noise_of_a_series_is_the_median_of_its_slices():
    """Fails where it is their mean, 20 and 8 HU, which one slice through the shoulders moves."""
    slices = [Measure(noise, {}, {}, True) for noise in ((10.0, 4.0), (None, None), (12.0, 5.0), (38.0, 15.0))]
    assert Series("a", None, slices).noise == [12.0, 5.0]


def test_each_series_is_told_once_and_warned_of_once(tmp_path):
    told, warned = [], []
    summaries = Summaries({"noise_std_hu": 10.0}, told.append, warned.append)
    image = body(60.0)
    for folder, count in (("a", 3), ("b", 2)):
        for number in range(count):
            source = Slices(tmp_path / folder / f"{number}.dcm")
            source.series_uid = "1.2"
            measures = [measure(image, body(6.0))]
            summaries.compare(source, measures)
            summaries.add(source, measures)
    summaries.end()
    assert [(series.name.split("/")[-1], len(series.measures)) for series in told] == [("a 1.2", 3), ("b 1.2", 2)]
    assert len(warned) == 2
    assert "noise 60" in warned[0] or "noise 5" in warned[0]
    before, after = told[0].noise
    assert (before, after) == (pytest.approx(60, rel=0.1), pytest.approx(6, rel=0.2))


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        (body(5.0), False),
        (body(5.0) + 1024, True),
        ((body(5.0) + 1024) / 4096, True),
        (np.full((64, 64), -700.0), False),
    ],
)
def test_values_that_are_hardly_hu_are_asked_about(tmp_path, values, asked):
    warned = []
    summaries = Summaries({}, lambda _: None, warned.append)
    summaries.add(Slices(tmp_path / "0.npy"), [measure(values, values)])
    summaries.add(Slices(tmp_path / "1.npy"), [measure(body(5.0) + 1024, body(5.0))])  # air in one slice is enough
    summaries.end()
    assert len(warned) == asked
    if asked:
        assert warned[0].startswith(f"{tmp_path}: neither air nor lung in it: are its values HU?")


def test_air_is_looked_for_in_all_of_a_slice_and_asked_for_once(tmp_path):
    warned = []
    summaries = Summaries({}, lambda _: None, warned.append)
    large = np.full((2048, 1100), 40.0)
    large[:400] = -1000.0  # the tissues are those of the middle
    summaries.add(Slices(tmp_path / "a" / "0.npy"), [measure(large, large)])
    summaries.end()
    assert warned == []
    for folder in ("b", "c", "b"):  # comes back, as a file does that another host had
        summaries.add(Slices(tmp_path / folder / "0.npy"), [measure(body(5.0) + 1024, body(5.0))])
    summaries.end()
    assert [text.partition(":")[0] for text in warned] == [str(tmp_path / "b"), str(tmp_path / "c")]


def test_by_script_with_json(script, network, tmp_path, caplog):
    """A model trained at 4 mm pixels and 5 HU, given a series of .75 mm: one line of warning, one of summary."""
    from wgan_vgg.exporters.export import export_saved_model
    from wgan_vgg.run_dir import RunDir

    saved_model = export_saved_model(RunDir(network), tmp_path / "saved_model")
    (metadata,) = saved_model.rglob("metadata.json")
    content = json.loads(metadata.read_text())
    content["training_input"] = {"pixel_spacing_mm": 4.06, "noise_std_hu": None}
    metadata.write_text(json.dumps(content))
    write_series(tmp_path / "in", 3)
    flags = (f"--model_dir={saved_model}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    status, out, err = script("denoise", *flags, f"--json={tmp_path / 'done.json'}")
    assert status == 0, err
    assert caplog.text.count("but the model was trained on 4.06 mm") == 1
    assert out.count("mean HU shift") == 1
    done = json.loads((tmp_path / "done.json").read_text())
    (series,) = done["series"]
    assert (series["slices"], done["files"], done["left_out"]) == (3, 3, [])
    assert set(series["mean_shift_hu"]) == set(summary.TISSUES)
    assert series["pixel_spacing_mm"] == pytest.approx(0.75)
    shutil.rmtree(saved_model)


def test_the_noise_that_a_model_knows_is_the_low_doses(data_dir):
    data = DataSet.open(data_dir)
    images = data.first("train", 8)[0].numpy()[..., 0]
    known = [found for one in images if (found := noise_estimate.noise_std(data.hu.to_hu(one))) is not None]
    assert training_input(data)["noise_std_hu"] == pytest.approx(np.median(known))
    assert np.median(known) > 100
