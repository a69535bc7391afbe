"""The verdict: which networks beat every baseline, which lose to some, by the intervals of the paired difference."""

import pytest

from wgan_vgg.evaluation.observers import CHO, NPW
from wgan_vgg.reporting import lesion_tables
from wgan_vgg.reporting.verdict import verdict

BEATS, LOSES, OPEN, NONE = (
    {"mean": mean, "low": low, "high": high}
    for mean, low, high in ((1.0, 0.5, 1.5), (-1.0, -1.5, -0.5), (0.1, -0.5, 0.7), (1.0, None, None))
)


def evaluation(baselines=("tv", "bm3d"), missing=(), **networks):
    """`networks`: by name, one estimate for each baseline."""
    against = {
        baseline: {name.replace("_", "-"): estimates[place] for name, estimates in networks.items()}
        for place, baseline in enumerate(baselines)
    }
    return {
        "methods": ["noisy input", *baselines, *(name.replace("_", "-") for name in networks)],
        "baselines": dict.fromkeys(baselines),
        "repeats": None,
        "detectability": [],
        "missing_baselines": list(missing),
        "statistics": {
            "patients": 12,
            "seeds": 1,
            "confidence": 0.95,
            "against_baselines": against,
            "further_against_baselines": {},
        },
    }


def test_each_network_stands_under_what_the_intervals_say():
    text = verdict(evaluation(a=(BEATS, BEATS), b=(LOSES, LOSES), c=(BEATS, LOSES), d=(BEATS, OPEN), e=(LOSES, LOSES)))
    assert "paired over 12 patients, by 95% intervals of the difference: Beats every baseline: a." in text
    assert "Loses to bm3d: c. Loses to every baseline: b, e. Not distinguishable from bm3d: d." in text
    assert "No network" not in text


def test_who_wins_in_psnr_may_not_in_ssim_and_rmse():
    found = evaluation(a=(BEATS, BEATS), b=(BEATS, BEATS), c=(BEATS, LOSES))
    less, more = {"a": LOSES, "b": LOSES, "c": LOSES}, {"a": BEATS, "b": OPEN, "c": BEATS}
    further = {"ssim": {"tv": less | more, "bm3d": dict.fromkeys("abc", BEATS)}, "rmse_hu": {"tv": less, "bm3d": less}}
    found["statistics"]["further_against_baselines"] = further
    text = verdict(found)
    assert "Beats every baseline: a, b. The same in SSIM and RMSE, but for b (SSIM). Loses to bm3d: c." in text
    further["rmse_hu"]["bm3d"] = more  # an RMSE above the baseline's is no win
    assert " The same in SSIM and RMSE, but for a (RMSE), b (SSIM, RMSE)." in verdict(found)
    further |= {"ssim": {"tv": more | {"b": BEATS}}, "rmse_hu": {"tv": less}}
    assert " The same in SSIM and RMSE." in verdict(found)
    further["rmse_hu"] = {"tv": dict.fromkeys("abc")}  # of a min-max rescaled input
    assert "Beats every baseline: a, b. The same in SSIM. Loses" in verdict(found)


def test_one_beaten_baseline_is_not_every_one():
    text = verdict(evaluation(wgan_vgg=(BEATS, OPEN)))
    assert text.endswith("No network beats every baseline. Not distinguishable from bm3d: wgan-vgg.")


@pytest.mark.parametrize("bound", [{"mean": 1.0, "low": 0.0, "high": 2.0}, {"mean": -1.0, "low": -2.0, "high": 0.0}])
def test_an_interval_that_ends_at_0_decides_nothing(bound):
    assert "Not distinguishable from tv: a." in verdict(evaluation(("tv",), a=(bound,)))


def test_what_cannot_be_told_is_said():
    assert "Undecided, no interval: a." in verdict(evaluation(a=(BEATS, NONE)))
    assert "Undecided, no interval: a." in verdict(evaluation(a=(BEATS, None)))
    assert (
        verdict(evaluation((), a=()))
        == "No baseline was evaluated, so nothing is known of whether a network beats them."
    )
    unknown = evaluation(a=(BEATS, BEATS))
    unknown["statistics"]["against_baselines"] = {}
    assert "is unknown: the patients are unknown" in verdict(unknown)
    assert verdict(evaluation(("tv",), ["bm3d"], a=(BEATS,))).endswith("Not installed, so not compared: bm3d.")


def seen(low, high):
    return {"mean": 1.0, "low": 0.5, "high": 1.5, "above_reference": {"low": low, "high": high}, "false_calls": 0.1}


def test_lesions_that_a_network_hides_are_named():
    lesions = [
        {"diameter_mm": 4.0, "contrast_hu": 40.0, "count": 9},
        {"diameter_mm": 8.0, "contrast_hu": 40.0, "count": 9},
    ]
    observed = [
        {observer: {"noisy input": seen(0, 0), "tv": seen(-2, -1), "a": a, "b": b} for observer in (CHO, NPW)}
        for a, b in ((seen(-0.5, -0.1), seen(0.1, 0.5)), (seen(-0.1, 0.1), seen(-0.2, 0.0)))
    ]
    found = evaluation(a=(BEATS, BEATS), b=(BEATS, BEATS)) | {
        "repeats": {"images": 5, "lesions": lesions},
        "detectability": observed,
    }
    assert verdict(found).endswith(
        "harder to see after a (4 mm, 40 HU); easier after b (4 mm, 40 HU); the rest are not distinguishable."
    )
    for one in observed:
        for found_by in one.values():
            found_by.pop("b")
    assert verdict(found).endswith(
        "harder to see after a (4 mm, 40 HU); easier after none; the rest are not distinguishable; not known, the "
        "method having no second scan or leaving no lesion in its images: b (4 mm, 40 HU), b (8 mm, 40 HU)."
    )
    observed[1][CHO].pop("a")
    assert "rest" not in verdict(found)
    observed[0][CHO] |= {"b": seen(0.1, 0.5)}
    observed[1][CHO] |= {"a": seen(-0.1, 0.1), "b": seen(-0.2, 0.0)}
    table = lesion_tables.detectability_table(found)
    assert "1.00* [0.50, 1.50] | 1.00 [0.50, 1.50]" in next(
        line for line in table.splitlines() if line.startswith("| a ")
    )
    # A lesion that found no place is left out of the tables, and its neighbour keeps its name.
    few = found | {"detectability": [None, observed[1]]}
    assert "4 mm" not in lesion_tables.detectability_table(few)
    assert "8 mm" in lesion_tables.detectability_table(few)
    assert "Too few lesions" in lesion_tables.lesion_markdown(found | {"detectability": [None, None]})


def test_the_second_table_has_the_other_observers_d_prime_and_the_first_ones_false_calls():
    """Fails where both tables show the Hotelling observer's d'."""
    observed = {CHO: {"a": seen(0, 0) | {"mean": 2.0}}, NPW: {"a": seen(0, 0) | {"mean": 1.0, "false_calls": 0.9}}}
    lesion = {"diameter_mm": 4.0, "contrast_hu": 40.0, "count": 9}
    found = {"methods": ["a"], "repeats": {"images": 5, "lesions": [lesion]}, "detectability": [observed]}
    line = lesion_tables.false_calls_table(found).splitlines()[-1]
    assert [cell.strip() for cell in line.split("|")][1:-1] == ["a", "1.00", "10%"]
