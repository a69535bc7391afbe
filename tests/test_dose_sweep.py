"""One data set of several doses: its splits, records, refusals; tuning, scanning again and judging at each dose."""

import dataclasses
import json

import matplotlib.image
import numpy as np
import pytest
from conftest import PREPARE, records, write_bodies
from deployed import identity_run
from training_runs import files_with_times

from data_prep import lodopab, low_dose, repeated_scans
from data_prep.errors import InputError
from data_prep.geometry import Geometry
from data_prep.prepare import prepare_lodopab
from data_prep.progress import silent
from wgan_vgg import config
from wgan_vgg.config import EvaluationConfig, nested
from wgan_vgg.evaluation import baselines
from wgan_vgg.evaluation.observers import CHO
from wgan_vgg.inference.summary import mismatch
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.noise_estimate import noise_std
from wgan_vgg.reporting import card_results
from wgan_vgg.reporting.results import collect
from wgan_vgg.reproduction.data_stage import prepare_data
from wgan_vgg.reproduction.reproduce import evaluate_run
from wgan_vgg.training_input import training_input

PHOTONS = (4.0, 1.0, 64.0)  # at 1/8 of the angles and detectors 63 times as many a ray
SWEEP = dataclasses.replace(PREPARE, noise="poisson", noise_std=None, photons=PHOTONS)


@pytest.fixture(scope="module")
def sweep(hdf5_dir, tmp_path_factory):
    """Records of conftest's slices at three doses."""
    folder = tmp_path_factory.mktemp("sweep") / "records"
    prepare_lodopab(hdf5_dir, folder, SWEEP, seed=0)
    return folder


def test_every_test_slice_has_every_dose_and_the_others_one_each(sweep):
    data = DataSet.open(sweep)
    assert data.splits == ("train", "validation", "test", "test_1", "test_64")
    assert data.test_photons == {"test": 4.0, "test_1": 1.0, "test_64": 64.0}
    assert (data.of_every_dose("test"), data.of_every_dose("test_1")) == (
        ("test", "test_1", "test_64"),
        ("test_1",),
    )
    assert data.config == SWEEP
    assert data.manifest["patients"]["test_1"] == data.manifest["patients"]["test"] == ["10", "11", "12", "13"]
    assert data.manifest["patients_in_both"] == []
    noise = {}
    for split, photons in data.test_photons.items():
        found = records(sweep, split)
        assert [record["slice_index"] for record in found] == list(range(12))
        assert {float(record["photons"]) for record in found} == {photons}
        noise[split] = np.std([record["low_dose"] - record["normal_dose"] for record in found])
    assert noise["test_1"] > 1.2 * noise["test"] > 1.4 * noise["test_64"]
    drawn = [float(record["photons"]) for record in records(sweep)]
    assert set(drawn) == set(PHOTONS)
    assert all(drawn.count(photons) <= 14 for photons in PHOTONS), "24 draws"


def test_a_dose_is_drawn_by_seed_and_slice_and_its_noise_is_that_dose_alone(sweep, hdf5_dir, tmp_path):
    """So that neither the slices beside it nor the other doses change a record."""
    some = dataclasses.replace(SWEEP, num_train=8, photons=(1.0, 4.0, 64.0))
    prepare_lodopab(hdf5_dir, tmp_path / "some", dataclasses.replace(some, photons=PHOTONS), seed=0)
    every = {record["slice_index"]: record for record in records(sweep)}
    for record in records(tmp_path / "some"):
        assert record["photons"] == every[record["slice_index"]]["photons"]
        np.testing.assert_array_equal(record["low_dose"], every[record["slice_index"]]["low_dose"])
    prepare_lodopab(hdf5_dir, tmp_path / "other", some, seed=1)
    other = {record["slice_index"]: float(record["photons"]) for record in records(tmp_path / "other")}
    assert other != {index: float(every[index]["photons"]) for index in other}


def test_each_dose_of_a_slice_has_noise_of_its_own(sweep, hdf5_dir):
    ref = lodopab.list_slices(hdf5_dir, "test", lodopab.find_parts(hdf5_dir)["test"])[0]
    record, geometry = records(sweep, "test")[0], Geometry().coarser(8)
    with lodopab.SliceReader() as reader:
        image = reader.read(ref)
    expected, other = (
        low_dose.PoissonNoise(4.0, 0, geometry, "hann", stream)(ref, image, record["normal_dose"][..., 0])
        for stream in ((4,), (1,))
    )
    np.testing.assert_array_equal(record["low_dose"][..., 0], expected)
    assert np.std(expected - other) > 0.01


def test_one_dose_is_written_as_before(data_dir, hdf5_dir, tmp_path):
    manifest = DataSet.open(data_dir).manifest
    assert not {"test_photons", "photon_factor"} & set(manifest)
    features = json.loads((data_dir / "features.json").read_text())["featuresDict"]["features"]
    assert "photons" not in features
    assert {float(record["photons"]) for record in records(data_dir)} == {0.0}, "unknown"
    prepare_lodopab(hdf5_dir, tmp_path / "one", dataclasses.replace(SWEEP, photons=4.0), seed=0)
    assert json.loads((tmp_path / "one" / "manifest.json").read_text())["data"]["photons"] == 4.0
    assert DataSet.open(tmp_path / "one").splits == ("train", "validation", "test")


def test_tensorflow_datasets_reads_the_photons_and_every_split(sweep):
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(str(sweep))
    assert set(builder.info.splits) == {"train", "validation", "test", "test_1", "test_64"}
    ours = {record["slice_index"]: record for record in records(sweep, "test_64")}
    for example in builder.as_dataset(split="test_64"):
        assert example["photons"] == 64.0
        np.testing.assert_array_equal(example["low_dose"], ours[int(example["slice_index"])]["low_dose"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data.photons": "100,400"}, "data.photons=100,400: several doses need data.noise=poisson, not gaussian"),
        ({"data.noise": "poisson", "data.photons": "100,100"}, "must be different whole numbers"),
        ({"data.noise": "poisson", "data.photons": "100,"}, "must be different whole numbers"),
        ({"data.noise": "poisson", "data.photons": "100.5,200"}, "must be different whole numbers"),
        ({"data.noise": "poisson", "data.photons": "100,0"}, r"data\.photons=.*: each must be at least 1"),
        ({"data.noise": "poisson", "data.photons": "few"}, "expected float or tuple"),
    ],
)
def test_doses_that_make_no_sense_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        config.override(config.preset("report"), values)


def test_a_reproduction_knows_its_own_records_again_also_those_of_earlier_versions(hdf5_dir, tmp_path):
    settings = dataclasses.replace(config.preset("demo"), data=SWEEP)
    assert config.from_dict(json.loads(json.dumps(nested.to_dict(settings)))) == settings
    arguments = {"phantoms_dir": tmp_path, "input_dir": hdf5_dir, "allow_leak": False}
    out = prepare_data(settings, tmp_path / "records", "lodopab", **arguments)
    path = out / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in ("patch_size", "max_air_fraction", "dose", "electronic_noise"):
        del manifest["data"][name]
    del manifest["files"], manifest["sha256"]
    path.write_text(json.dumps(manifest))
    assert prepare_data(settings, out, "lodopab", **arguments) == out
    other = config.override(settings, {"data.photons": "1,4"})
    with pytest.raises(InputError, match=r"other settings \(data.photons: \[4.0, 1.0, 64.0\] -> \[1.0, 4.0\]\)"):
        prepare_data(other, out, "lodopab", **arguments)


def test_one_dose_only_can_be_written_as_observations(script, tmp_path):
    flags = ["--source=phantoms", "--noise=poisson", "--photons=100,400", "--write_observations"]
    status, _, err = script("prepare", *flags, f"--input_dir={tmp_path / 'in'}", f"--output_dir={tmp_path / 'out'}")
    assert (status, "simulates one dose; give one of --photons=100,400" in err) == (2, True)


def test_baselines_are_tuned_and_slices_scanned_again_at_the_dose_of_the_split(sweep):
    data, few = DataSet.open(sweep), EvaluationConfig(baselines=("gaussian",), tuning_images=4)
    assert repeated_scans.scanner(data.manifest, "train") is None, "its slices have different doses"
    widths = {}
    for split, photons in data.test_photons.items():
        scan = repeated_scans.scanner(data.manifest, split)
        widths[photons] = baselines.tune(data, ["gaussian"], few, scan=scan)["gaussian"]
        image = records(sweep, split)[0]["normal_dose"][..., 0]
        noise = np.std([scan(image, np.random.default_rng(seed)) for seed in range(4)], axis=0).mean()
        widths[photons]["noise"] = noise
    assert widths[1.0]["parameters"]["sigma_pixels"] > widths[64.0]["parameters"]["sigma_pixels"]
    assert widths[1.0]["psnr"] < widths[4.0]["psnr"] < widths[64.0]["psnr"]
    assert widths[1.0]["noise"] > 1.5 * widths[4.0]["noise"] > 2 * widths[64.0]["noise"]


def test_a_model_of_several_doses_expects_the_noise_of_each(sweep):
    trained = {"noise_std_hu": 50.0, "noise_range_hu": [20.0, 120.0]}
    assert mismatch(trained, None, 15.0) == mismatch(trained, None, 200.0) == ""
    assert mismatch(trained, None, 300.0) == "noise 300 HU, but the model was trained on 120 HU"
    assert mismatch(trained, None, 9.0) == "noise 9 HU, but the model was trained on 20 HU"
    data = DataSet.open(sweep)
    known = training_input(data)
    assert known["photons"] == PHOTONS
    images = data.first("train", 8)[0].numpy()[..., 0]
    noise = [found for image in images if (found := noise_std(data.hu.to_hu(image))) is not None]
    assert min(noise) < max(noise)
    assert known["noise_range_hu"] == [min(noise), max(noise)]


@pytest.fixture(scope="module")
def bodies(tmp_path_factory):
    """At three doses."""
    return write_bodies(tmp_path_factory.mktemp("bodies"), SWEEP)


LESION = "36 mm, 900 HU"  # 4.4 pixels
QUICK = {
    "evaluation.baselines": ("gaussian",),
    "evaluation.tuning_images": 2,
    "evaluation.perceptual": False,
    "evaluation.lesion_diameters_mm": 36.0,
    "evaluation.lesion_contrasts_hu": 900.0,
    "evaluation.lesion_max_step_hu": 2000.0,
}


def test_a_run_is_judged_and_reported_at_every_dose(script, bodies, tmp_path):
    data, run = DataSet.open(bodies), identity_run(tmp_path / "generator-mse", **DataSet.open(bodies).description)
    settings = config.override(run.load_config(), QUICK)
    evaluate_run(settings, data, run, run, run.references, silent)
    assert script("report", f"--workdir={run.path}")[0] == 0
    results = collect({"generator-mse": [run]}, "test")
    assert "4, 1, 64 photons per ray; tested at 4" in results["caption"]
    assert [dose["photons"] for dose in results["doses"]] == [1.0, 4.0, 64.0]
    for split, dose in zip(("test_1", "test", "test_64"), results["doses"], strict=True):
        summary = json.loads(run.eval_json(split).read_text())
        assert dose["psnr"]["noisy input"]["mean"] == pytest.approx(summary["methods"]["noisy input"]["psnr"])
        assert dose["psnr"]["noisy input"]["low"] < dose["psnr"]["noisy input"]["mean"]
        assert dose["lesions"][LESION] == summary["detectability"][0][CHO]
    tuned = [json.loads(run.references.tuned(photons).read_text())["value"]["gaussian"] for photons in (1.0, 4.0, 64.0)]
    assert tuned[0]["psnr"] < tuned[1]["psnr"] < tuned[2]["psnr"], "each at its own dose"
    for values in ([dose["psnr"] for dose in results["doses"]], [dose["lesions"][LESION] for dose in results["doses"]]):
        means = [one["noisy input"]["mean"] for one in values]
        assert means == sorted(means), "more dose, better image"
    lines = (run.path / "results.md").read_text().partition("## Against dose")[2].splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:4]] == ["PSNR dB", "1 photons", "4 photons"]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in lines if line.startswith(f"| {LESION}")]
    assert rows == [[LESION, name] for name in ("noisy input", "gaussian", "generator-mse")]
    assert matplotlib.image.imread(run.path / "figures" / "dose.png")[..., :3].std() > 0.02
    assert "PSNR and detectability against dose" in (run.path / "report.html").read_text()
    before = files_with_times(run.evaluations)
    evaluate_run(settings, data, run, run, run.references, silent)
    assert files_with_times(run.evaluations) == before, "what is done is not done again"
    flags = [f"--set={key}={value}".replace(" ", "") for key, value in QUICK.items()]
    status, out, err = script("evaluate", f"--workdir={run.path}", f"--data_dir={bodies}", *flags)
    assert (status, "\n| PSNR dB " in out, str(run.eval_csv("test_64")) in out) == (0, True, True), err
    summaries = {photons: json.loads(run.eval_json(split).read_text()) for split, photons in data.test_photons.items()}
    doses = {photons: summaries[photons] for photons in (1.0, 4.0, 64.0)}
    assert card_results._dose_splits(summaries[4.0]) == {"test_1": 1.0, "test": 4.0, "test_64": 64.0}
    on_the_card = card_results._tables(summaries[4.0], doses)
    assert (
        on_the_card.index("| PSNR dB ")
        < on_the_card.index("\n\nAt 4 photons:\n\n")
        < on_the_card.index("SSIM [95% CI]")
    )
    for change in ({"perceptual": "other weights"}, {"data": {**summaries[64.0]["data"], "fingerprint": "another"}}):
        run.eval_json("test_64").write_text(json.dumps(summaries[64.0] | change))
        with pytest.raises(InputError, match="evaluated on other data or with other settings"):
            collect({"generator-mse": [run]}, "test")
    run.eval_json("test_64").unlink()
    found = collect({"generator-mse": [run]}, "test")
    assert [dose["photons"] for dose in found["doses"]] == [1.0, 4.0]
    assert "split test_64 was not evaluated of every model" in found["warnings"][0]
