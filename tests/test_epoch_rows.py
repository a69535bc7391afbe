"""What a training says of itself: means and seconds of its rows, evaluations on fixed images; and what it resumes."""

import itertools
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_networks import small_config
from training_runs import tiny

from wgan_vgg import config
from wgan_vgg.config import nested
from wgan_vgg.errors import InputError
from wgan_vgg.files import write_json
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training import rows, trainer
from wgan_vgg.training.monitor import Monitor
from wgan_vgg.training.resume_check import check_same_config
from wgan_vgg.training.state import create_state


def test_rows_have_the_means_of_their_steps_and_the_seconds_of_all(script, data_dir, tmp_path, monkeypatch):
    seen, note = [], trainer.Trainer._note

    def record(self, step, terms):
        seen.append(terms["mse"])
        note(self, step, terms)

    monkeypatch.setattr(trainer.Trainer, "_note", record)
    monkeypatch.setattr(trainer, "time", types.SimpleNamespace(monotonic=itertools.count().__next__))
    assert script("train", *tiny("generator-mse", data_dir, tmp_path))[0] == 0
    rows = RunDir(tmp_path).rows()
    assert [row["seconds"] for row in rows] == [0, 1, 2]
    assert [row["losses"]["mse"] for row in rows[1:]] == pytest.approx([np.mean(seen[:6]), np.mean(seen[6:])])


def test_every_image_counts_and_the_average_is_judged_beside_the_generator():
    """Six images in batches of four; black until the generator alone says .3."""
    settings = small_config("generator-mse", **{"training.ema_decay": 0.5})
    state = create_state(settings, (16, 16), 100)
    normal = tf.constant(np.repeat([0.1] * 4 + [0.2] * 2, 256).reshape(6, 16, 16, 1).astype(np.float32))
    for model in (state.generator, state.average):
        model.set_weights([0 * weight for weight in model.get_weights()])
    monitor = Monitor(state, settings, {"train": (normal + 0.1, normal)}, (16, 16))
    found = monitor.evaluate()["train"]
    assert found["mse"] == pytest.approx((4 * 0.01 + 2 * 0.04) / 6)
    assert monitor.input_psnr["train"] == pytest.approx(20.0, abs=1e-3)
    last = state.generator.layers[-1]
    last.set_weights([last.get_weights()[0], np.float32([0.3])])
    found = monitor.evaluate()["train"]
    assert found["average_psnr"] == pytest.approx((4 * 20 + 2 * -20 * np.log10(0.2)) / 6, abs=1e-3)
    assert found["psnr"] != pytest.approx(found["average_psnr"], abs=0.1)
    assert found["brightness"] == pytest.approx(0.3 / (0.8 / 6), rel=1e-4)
    # Of even images SSIM is (2ab + c) / (a^2 + b^2 + c), c = .01^2. Fails where it is the input's.
    bright, dim = (0.12 + 1e-4) / (0.13 + 1e-4), (0.06 + 1e-4) / (0.10 + 1e-4)
    assert found["ssim"] == pytest.approx((4 * dim + 2 * bright) / 6, abs=1e-4)


def test_the_strip_shows_images_that_are_not_trained_on(tmp_path):
    """Fails where it is of the first monitored split, which is training's: .2, not .6."""
    settings = small_config("generator-mse")
    images = {split: (tf.fill([2, 8, 8, 1], v),) * 2 for split, v in (("train", 0.2), ("validation", 0.6))}
    Monitor(create_state(settings, (8, 8), 100), settings, images, (8, 8)).write_summaries(tmp_path, 1, {})
    (file,) = tmp_path.iterdir()
    events = map(tf.compat.v1.Event.FromString, tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    values = [value for event in events for value in event.summary.value if value.tag.startswith("noisy")]
    (strip,) = (tf.io.decode_png(tf.make_ndarray(value.tensor)[2]).numpy() for value in values)
    np.testing.assert_allclose(strip[:, :8], 0.6 * 255, atol=1)
    np.testing.assert_allclose(strip[:, 16:], 0.6 * 255, atol=1)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_run_resumes_on_its_own_records_and_a_cosine_is_not_lengthened(tmp_path, schedule):
    short, longer = (
        config.override(config.preset("report"), {"optimizer.schedule": schedule, "training.epochs": epochs})
        for epochs in (2, 3)
    )
    run = RunDir(tmp_path)
    write_json(run.config, {"config": nested.to_dict(short), "data": {"fingerprint": "a"}})
    check_same_config(run, short, "a")
    began = config.override(short, {"training.init_from": "../other/best"})
    write_json(run.config, {"config": nested.to_dict(began), "data": {"fingerprint": "a"}})
    spelled = str(Path.cwd().parent / "other" / "best")
    check_same_config(run, config.override(short, {"training.init_from": spelled}), "a")
    with pytest.raises(InputError, match=r"training\.init_from"):
        check_same_config(run, config.override(short, {"training.init_from": f"{spelled}2"}), "a")
    write_json(run.config, {"config": nested.to_dict(short), "data": {"fingerprint": "a"}})
    with pytest.raises(InputError, match="other records than the run began with"):
        check_same_config(run, short, "b")
    with pytest.raises(InputError, match=r"training\.eval_images: 64 -> 8"):
        # The best row would be chosen among rows of different images.
        check_same_config(run, config.override(short, {"training.eval_images": 8}), "a")
    if schedule == "constant":
        check_same_config(run, longer, "a")
    else:
        with pytest.raises(InputError, match=r"training\.epochs: 2 -> 3"):
            check_same_config(run, longer, "a")


def test_a_generator_behind_its_own_input_is_named_since_when():
    values = {"train": {"psnr": 30.0}, "validation": {"psnr": 18.0}}
    inputs = {"train": 20.0, "validation": 19.0}
    assert rows.behind_since([], 0, values, inputs) == 0, "held-out images count, not training's"
    assert rows.behind_since([{"behind_input_since": 0}], 50, values, inputs) == 0
    assert rows.behind_since([{"behind_input_since": None}], 50, values, inputs) == 50
    assert rows.behind_since([{"behind_input_since": 0}], 50, {"validation": {"psnr": 19.0}}, inputs) is None
    assert rows.behind_since([{}], 50, values, inputs) == 50, "a row of an earlier version"
