"""The result of the comparison with the baselines, in words: who beats all of them, and who loses to which."""

from collections.abc import Mapping, Sequence

from wgan_vgg.evaluation.json_types import Estimate, Evaluation
from wgan_vgg.reporting.lesion_tables import detectability_verdict

_BEATS_ALL = "Beats every baseline"
_UNDECIDED = "Undecided, no interval"


def verdict(evaluation: Evaluation) -> str:
    """Which networks beat every baseline in PSNR and which lose to some, by intervals of the paired difference.

    A network beats a baseline where the interval is above 0, and loses to it where that is below 0. To beat every one
    of several takes no correction: each interval must say so.
    """
    compared = evaluation["statistics"]["against_baselines"]
    missing = evaluation["missing_baselines"]
    left_out = f" Not installed, so not compared: {', '.join(missing)}." if missing else ""
    if not evaluation["baselines"]:
        return f"No baseline was evaluated, so nothing is known of whether a network beats them.{left_out}"
    if not compared:
        return f"Whether a network beats a baseline is unknown: the patients are unknown.{left_out}"
    outcomes: dict[str, list[str]] = {}
    for network in next(iter(compared.values())):
        outcome = _outcome({baseline: of_networks[network] for baseline, of_networks in compared.items()})
        outcomes.setdefault(outcome, []).append(network)
    statistics = evaluation["statistics"]
    further = {_BEATS_ALL: _further(statistics.get("further_against_baselines", {}), outcomes.get(_BEATS_ALL, []))}
    found = " ".join(
        f"{outcome}: {', '.join(outcomes[outcome])}.{further.get(outcome, '')}" for outcome in sorted(outcomes)
    )
    none = "" if _BEATS_ALL in outcomes else " No network beats every baseline."
    seen = detectability_verdict(evaluation)
    seen = f" {seen}" if seen else ""
    seeds = "" if statistics["seeds"] == 1 else f" and {statistics['seeds']} seeds"
    return (
        f"In PSNR against the tuned baselines, paired over {statistics['patients']} patients{seeds}, by "
        f"{statistics['confidence']:.0%} intervals of the difference:{none} {found}{left_out}{seen}"
    )


def _further(compared: Mapping[str, Mapping[str, Mapping[str, Estimate | None]]], winners: Sequence[str]) -> str:
    """Of those that beat every baseline in PSNR, which do so in SSIM and in RMSE, where less is better."""

    def beats(network: str, metric: str) -> bool:
        ends = [of_networks[network] for of_networks in compared[metric].values()]
        if metric == "rmse_hu":
            return all(one is not None and one["high"] is not None and one["high"] < 0 for one in ends)
        return all(one is not None and one["low"] is not None and one["low"] > 0 for one in ends)

    # Of a min-max rescaled input no baseline has an RMSE in HU.
    known = [metric for metric, found in compared.items() if any(any(one.values()) for one in found.values())]
    if not (winners and known):
        return ""
    labels = {"ssim": "SSIM", "rmse_hu": "RMSE"}
    missed = {one: [labels[metric] for metric in known if not beats(one, metric)] for one in winners}
    but = ", ".join(f"{network} ({', '.join(metrics)})" for network, metrics in missed.items() if metrics)
    return f" The same in {' and '.join(labels[metric] for metric in known)}{f', but for {but}' if but else ''}."


def _outcome(differences: Mapping[str, Estimate | None]) -> str:
    """Of one network, by baseline."""
    bounds = {
        name: (estimate["low"], estimate["high"])
        for name, estimate in differences.items()
        if estimate is not None and estimate["low"] is not None and estimate["high"] is not None
    }
    if len(bounds) < len(differences):
        return _UNDECIDED
    lost = [name for name, (_, high) in bounds.items() if high < 0]
    open_ = [name for name, (low, high) in bounds.items() if low <= 0 <= high]
    if lost:
        return "Loses to every baseline" if len(lost) == len(differences) else f"Loses to {', '.join(lost)}"
    return f"Not distinguishable from {', '.join(open_)}" if open_ else _BEATS_ALL
