"""Several seeds of one model become one outcome and one curve; and what is warned of in a run."""

import pytest

from wgan_vgg import config
from wgan_vgg.config import nested
from wgan_vgg.files import write_json
from wgan_vgg.reporting import combined, results
from wgan_vgg.run_dir import RunDir


def run_with(folder, **last):
    """A run of 20 steps, without weights, with one row."""
    settings = config.override(config.preset("demo"), {"model": "wgan-vgg", "training.steps": 20})
    run = RunDir(folder)
    run.path.mkdir()
    write_json(run.config, {"config": nested.to_dict(settings), "data": {"images": {"train": 8}}})
    row = {"step": 20, "collapsed": False, "stopped_early": False, "initialisation_means": []}
    run.append_row(row | last)
    return run


@pytest.mark.parametrize("which", [(False, True), (True, False), (False, False)])
def test_a_model_is_collapsed_where_one_of_its_seeds_is(tmp_path, which):
    """Fails where all of them have to be."""
    runs = [run_with(tmp_path / str(seed), collapsed=collapsed) for seed, collapsed in enumerate(which)]
    means = {"wgan-vgg": {"psnr": 30.0, "ssim": 0.5}}
    summaries = [{"model": "wgan-vgg", "methods": means, "sample": {"methods": means}}] * 2
    outcome = results._outcome(runs, summaries, means["wgan-vgg"])
    assert [one["collapsed"] for one in outcome["by_seed"]] == list(which)
    assert outcome["collapsed"] == any(which)


def test_a_term_that_hardly_moves_the_generator_is_warned_of_and_no_other(tmp_path):
    """Fails where the warning is of the terms that do."""
    run = run_with(tmp_path / "run", gradient_shares={"vgg": 0.005, "mse": 0.02, "wasserstein": 0.975})
    (warning,) = results._warnings_of_run("wgan-vgg", run, 20)
    assert warning.startswith("wgan-vgg: its term vgg has 0.50% of the generator's gradient at the end")
    balanced = run_with(tmp_path / "balanced", gradient_shares={"vgg": 0.02, "wasserstein": 0.98})
    assert results._warnings_of_run("wgan-vgg", balanced, 20) == []


def test_noise_power_and_edge_rise_are_means_over_the_seeds():
    """Fails where they are the first seed's."""
    curves = [{"frequency": [0.1, 0.2], "power": power} for power in ([1.0, 4.0], [3.0, 8.0])]
    assert combined._curve(curves) == {"frequency": [0.1, 0.2], "power": [2.0, 6.0]}
    assert combined._curve([*curves, None]) is None
    rises = [[{"mean": mean, "low": mean - 1, "high": mean + 1, "edges": 48}] for mean in (2.0, 4.0)]
    assert combined._edges(rises) == [{"mean": 3.0, "low": None, "high": None, "edges": 48}]
    assert combined._edges(rises[1:]) == rises[1], "of one seed with its interval"
