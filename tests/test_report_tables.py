"""What stands in the cells of results.md that compare seeds, and training with held-out images."""

import pytest

from wgan_vgg.reporting import tables


def cells(table):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


@pytest.mark.parametrize(
    ("train", "test", "verdict"),
    [(32.0, 30.0, "does not hold (+2.00 dB)"), (30.0, 32.0, "holds"), (30.5, 30.0, "holds")],
)
def test_overfitting_is_a_training_psnr_above_the_held_out_one(train, test, verdict):
    """Fails where the difference is test minus training."""
    last = {"train": {"psnr": train}, "test": {"psnr": test}, "seconds": 60.0, "step": 90}
    model = {"last_epoch": last, "initialisation_means": [0.1], "collapsed": False, "by_seed": [], "init_from": None}
    header, _, row = cells(tables.training_table({"models": {"wgan-mse": model}}))
    found = dict(zip(header, row, strict=True))
    assert (found["train PSNR"], found["test PSNR"]) == (f"{train:.2f}", f"{test:.2f}")
    assert found["no overfitting"] == verdict


def test_training_is_not_held_out_from_itself():
    """Fails where a run that was evaluated on its training images alone is said not to overfit."""
    last = {"train": {"psnr": 30.0}, "seconds": 60.0, "step": 90}
    model = {"last_epoch": last, "initialisation_means": [0.1], "collapsed": False, "by_seed": [], "init_from": None}
    header, _, row = cells(tables.training_table({"models": {"wgan-mse": model}}))
    assert header[5:8] == ["train PSNR", "held-out PSNR", "no overfitting"]
    assert row[5:8] == ["30.00", "–", "–"]


def test_the_spread_over_seeds_is_that_of_a_sample():
    """Fails where it is divided by the count of seeds, not by one less: of 30 and 32 dB it would be 1.00."""
    seeds = [{"seed": seed, "psnr": psnr, "ssim": 0.5, "collapsed": False} for seed, psnr in ((3, 30.0), (4, 32.0))]
    models = {"wgan": {"by_seed": seeds}, "wgan-vgg": {"by_seed": seeds[:1]}}
    found = cells(tables.seeds_table({"seeds": [3, 4], "models": models}))
    assert found[0] == ["", "seed 3", "seed 4", "std of PSNR"]
    assert found[2] == ["wgan", "30.00 / 0.5000", "32.00 / 0.5000", "1.41"]
    assert found[3] == ["wgan-vgg", "30.00 / 0.5000", "–", "–"], "of one seed there is none"
