"""What models are evaluated beside: kept where several share it."""

import json

from wgan_vgg.run_dir import RunDir


def test_baselines_are_evaluated_once_for_the_models_that_share_a_folder(
    data_dir, identity, script, tmp_path, monkeypatch
):
    from wgan_vgg.evaluation import baselines

    tuned = []
    tune = baselines.tune
    monkeypatch.setattr(baselines, "tune", lambda *args, **more: tuned.append(args) or tune(*args, **more))
    flags = [f"--data_dir={data_dir}", f"--references={tmp_path / 'kept'}", "--baselines=tv", "--vgg_weights=none"]
    summaries = []
    for name in ("one", "other"):
        place = [f"--models={name}={identity}", f"--output_dir={tmp_path / name}"]
        assert script("evaluate", *place, *flags)[0] == 0
        summaries.append(json.loads(RunDir(tmp_path / name).eval_json("test").read_text())["methods"])
        assert not RunDir(tmp_path / name).references.path.exists()
    assert len(tuned) == 1
    assert summaries[0]["tv"] == summaries[1]["tv"] and "other" in summaries[1]
    assert script("evaluate", *place, *flags[:2], "--baselines=gaussian", "--vgg_weights=none")[0] == 0
    assert len(tuned) == 2, "kept for other settings"


class Distance:
    """In place of PerceptualDistance: an image's own maximum, times a factor that only the identity tells."""

    description = "some weights"

    def __init__(self, factor):
        self.factor, self.identity = factor, f"some weights, {factor}"

    def features(self, images):
        return images.max(axis=(1, 2))

    def distances(self, _truth, images):
        return [self.factor * float(value) for value in images.max(axis=(1, 2))]


def test_distances_of_other_weights_of_the_same_name_are_not_taken(data_dir, identity, script, tmp_path, monkeypatch):
    from wgan_vgg.evaluation import perceptual

    flags = [f"--data_dir={data_dir}", f"--references={tmp_path / 'kept'}", "--baselines="]
    for factor in (1.0, 100.0):
        monkeypatch.setattr(perceptual, "build", lambda *_, factor=factor: Distance(factor))
        place = [f"--models=echo={identity}", f"--output_dir={tmp_path / str(factor)}"]
        assert script("evaluate", *place, *flags)[0] == 0
        found = json.loads(RunDir(tmp_path / str(factor)).eval_json("test").read_text())["methods"]
        assert found["noisy input"]["perceptual"] == found["echo"]["perceptual"] > 0, "they are the same images"


def test_damaged_scans_are_simulated_again(data_dir, identity, script, tmp_path, caplog):
    flags = [f"--data_dir={data_dir}", "--baselines=", "--vgg_weights=none", f"--models=echo={identity}"]
    flags.append(f"--output_dir={tmp_path}")
    assert script("evaluate", *flags)[0] == 0
    scans = RunDir(tmp_path).references.repeats("test")
    whole, powers = scans.read_bytes(), RunDir(tmp_path).eval_json("test").read_text()
    for damaged in (whole[: len(whole) // 2], b"", b"nothing"):
        scans.write_bytes(damaged)
        caplog.clear()
        status, _, err = script("evaluate", *flags)
        assert (status, f"{scans}: damaged (" in caplog.text) == (0, True), err
        assert RunDir(tmp_path).eval_json("test").read_text() == powers


def test_a_folder_that_cannot_be_written_is_told_before_any_work(data_dir, identity, script, tmp_path, monkeypatch):
    from wgan_vgg.evaluation import baselines

    monkeypatch.setattr(baselines, "tune", None)
    (tmp_path / "file").touch()
    flags = [f"--models=mine={identity}", f"--output_dir={tmp_path / 'out'}", f"--references={tmp_path / 'file'}"]
    status, out, err = script("evaluate", *flags, f"--data_dir={data_dir}", "--baselines=tv", "--vgg_weights=none")
    assert (status, out) == (2, "")
    assert f"references {tmp_path / 'file'}: cannot be written (File exists); choose another" in err
