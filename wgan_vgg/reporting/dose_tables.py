"""PSNR and detectability of lesions against dose, of data whose test slices were scanned at several doses."""

from collections.abc import Sequence

from wgan_vgg.evaluation.json_types import Evaluation
from wgan_vgg.evaluation.observers import CHO
from wgan_vgg.reporting.json_types import Dose
from wgan_vgg.reporting.lesion_tables import d_prime_cell, evaluated_lesions
from wgan_vgg.reporting.markdown import DASH, markdown_table, with_interval


def of_dose(photons: float, evaluation: Evaluation) -> Dose:
    """What the tables and the figure show of the evaluation at one dose.

    Returns:
      `photons`; `baselines`: the tuned ones; `best_baseline`: of these the best in tuning at this dose; `confidence`;
      `psnr`: by method, mean over patients, `low` and `high`; `lesions`: by name of each lesion that could be
      evaluated and by method, what observers.detectability says of the channelized Hotelling observer.
    """
    statistics = evaluation["statistics"]
    return {
        "photons": photons,
        "baselines": list(evaluation["baselines"]),
        "best_baseline": statistics["best_baseline"],
        "confidence": statistics["confidence"],
        "psnr": {name: values["psnr"] for name, values in statistics["means"].items()},
        "lesions": {lesion: found[CHO] for lesion, found in evaluated_lesions(evaluation)},
    }


def shown_methods(doses: Sequence[Dose]) -> list[str]:
    """The noisy input, every baseline that is the best in tuning at some dose, and the networks."""
    baselines = {name for dose in doses for name in dose["baselines"]}
    best = {dose["best_baseline"] for dose in doses}
    return [name for name in doses[0]["psnr"] if name in best or name not in baselines]


def lesions_of(doses: Sequence[Dose]) -> list[str]:
    """The lesions that were evaluated at some dose."""
    return list(dict.fromkeys(name for dose in doses for name in dose["lesions"]))


def dose_markdown(doses: Sequence[Dose]) -> str:
    """Both tables, with what they mean; doses rise from left to right."""
    header = [f"{dose['photons']:,.0f} photons" for dose in doses]
    methods, lesions = shown_methods(doses), lesions_of(doses)
    psnr = [[name, *(with_interval(dose["psnr"].get(name), 2) for dose in doses)] for name in methods]
    parts = [markdown_table(["PSNR dB", *header], psnr)]
    if lesions:
        rows = [
            [lesion, name, *(d_prime_cell(name, dose["lesions"].get(lesion, {}).get(name)) for dose in doses)]
            for lesion in lesions
            for name in methods
        ]
        rows = [row for row in rows if set(row[2:]) != {DASH}]
        parts.append(markdown_table(["d'", "", *header], rows))
    return "\n\n".join([*parts, _about(doses, header)])


def _about(doses: Sequence[Dose], header: Sequence[str]) -> str:
    lines = [
        "The same test slices at each dose, the mean count of an unattenuated ray; "
        f"{doses[0]['confidence']:.0%} intervals over patients. Each network is the same at all doses."
    ]
    if doses[0]["best_baseline"]:
        best = "; ".join(f"{text} {dose['best_baseline']}" for text, dose in zip(header, doses, strict=True))
        lines.append(f"Baselines are tuned for each dose, on slices scanned at it; the best in tuning: {best}.")
    if lesions_of(doses):
        lines.append(
            "d': channelized Hotelling observer, discs put into the slices before they were scanned; a star where the "
            "difference to the noisy input's at that dose excludes 0."
        )
    return " ".join(lines)
