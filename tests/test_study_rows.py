"""A row of a study: the signs of its differences and the status of its seeds."""

import pytest

from wgan_vgg import config
from wgan_vgg.reproduction.protocols import Variant
from wgan_vgg.reproduction.study_rows import METRICS, EvaluatedSeed, study_row

SETTINGS = config.override(config.preset("demo"), {"model": "generator-mse", "evaluation.resamples": 10})


def trained(psnr, status="done", message=None):
    """One training, whose noisy input has 30 dB."""
    values = {"noisy input": 30.0, "generator-mse": psnr}
    summary = {
        "data": {"images": {"test": 2}, "patients": {"test": 2}, "patients_in_both": []},
        "step": 7,
        "patients": 2,
        "methods": {name: dict.fromkeys(METRICS, value) for name, value in values.items()},
        "patient_values": {name: {"psnr": {"a": value, "b": value}} for name, value in values.items()},
    }
    return EvaluatedSeed(SETTINGS, summary, summary, status, message)


def test_differences_are_the_model_above_the_noisy_input_and_above_the_first_row():
    """Fails where one of them is the other way round."""
    row = study_row("row", Variant("a row", "a source"), [trained(31.0)], [trained(28.0)], SETTINGS)
    assert row["above_noisy"]["mean"] == pytest.approx(1.0)
    assert row["above_first"]["mean"] == pytest.approx(3.0)
    first = [trained(28.0)]
    assert study_row("first", Variant("a row", "a source"), first, first, SETTINGS)["above_first"] is None


@pytest.mark.parametrize(
    ("endings", "worst"),
    [
        (("done", "diverged"), "diverged"),
        (("diverged", "collapsed"), "diverged"),
        (("collapsed", "done"), "collapsed"),
        (("done", "done"), "done"),
    ],
)
def test_the_status_is_the_worst_of_the_seeds(endings, worst):
    """Fails where it is the best, or the first."""
    seeds = [trained(31.0, ending, f"{ending}!" if ending == "diverged" else None) for ending in endings]
    row = study_row("row", Variant("a row", "a source"), seeds, seeds, SETTINGS)
    assert (row["status"], row["message"]) == (worst, "diverged!" if worst == "diverged" else None)
