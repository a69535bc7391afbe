"""Tables of what model observers find: d' of each lesion, and what is called a lesion where there is none."""

from wgan_vgg.evaluation.json_types import Detectability, DPrime, Evaluation, Lesion, RepeatedScans
from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.evaluation.observers import CHO, NPW
from wgan_vgg.reporting.markdown import DASH, markdown_table, number


def lesion_markdown(evaluation: Evaluation) -> str:
    """Both tables, with what they mean; why there are none, where there are none."""
    repeats = evaluation["repeats"]
    if not repeats:
        return (
            "No lesions were put in: that takes a low dose that was simulated for each image by itself, at one dose, "
            "patients and pixels that are known, and evaluation.repeated_images above 0."
        )
    if not any(evaluation["detectability"]):
        return "Too few lesions found a place, or too few patients, for an observer to learn from."
    return "\n\n".join([detectability_table(evaluation), false_calls_table(evaluation), _about(evaluation, repeats)])


def detectability_table(evaluation: Evaluation) -> str:
    """d' of the channelized Hotelling observer with intervals; a star where it differs from the noisy input's."""
    lesions = evaluated_lesions(evaluation)
    rows = [[name, *(d_prime_cell(name, one[CHO].get(name)) for _, one in lesions)] for name in evaluation["methods"]]
    return markdown_table(["", *(text for text, _ in lesions)], rows)


def false_calls_table(evaluation: Evaluation) -> str:
    """d' of the non-prewhitening observer, and the share of empty squares that the Hotelling observer calls lesions."""
    lesions = evaluated_lesions(evaluation)
    header = ["", *(f"d' {text}" for text, _ in lesions), *(f"false calls {text}" for text, _ in lesions)]
    rows = []
    for name in evaluation["methods"]:
        d_prime = [number(one[NPW][name]["mean"], 2) if name in one[NPW] else DASH for _, one in lesions]
        calls = [f"{one[CHO][name]['false_calls']:.0%}" if name in one[CHO] else DASH for _, one in lesions]
        rows.append([name, *d_prime, *calls])
    return markdown_table(header, rows)


def detectability_verdict(evaluation: Evaluation) -> str:
    """In words: which networks lose lesions that could be seen in the noisy input, and which show them better."""
    lesions = evaluated_lesions(evaluation)
    networks = [name for name in evaluation["methods"] if name not in (NOISY, *evaluation["baselines"])]
    if not (lesions and networks):
        return ""
    worse, better, same, unknown = (list[str]() for _ in range(4))
    for name in networks:
        for text, one in lesions:
            found = one[CHO].get(name)
            if found is None:
                kind = unknown
            elif found["above_reference"]["high"] < 0:
                kind = worse
            else:
                kind = better if found["above_reference"]["low"] > 0 else same
            kind.append(f"{name} ({text})")
    said = [f"harder to see after {', '.join(worse) or 'none'}", f"easier after {', '.join(better) or 'none'}"]
    said += ["the rest are not distinguishable"] if same else []
    said += (
        [f"not known, the method having no second scan or leaving no lesion in its images: {', '.join(unknown)}"]
        if unknown
        else []
    )
    return f"Lesions inserted, channelized Hotelling observer against the noisy input: {'; '.join(said)}."


def lesion_name(lesion: Lesion) -> str:
    """What tables and figures call a kind of lesion."""
    return f"{lesion['diameter_mm']:g} mm, {lesion['contrast_hu']:g} HU"


def evaluated_lesions(evaluation: Evaluation) -> list[tuple[str, Detectability]]:
    """The name of each lesion that was evaluated, and what observers see of it."""
    kinds = evaluation["repeats"]["lesions"] if evaluation["repeats"] else []
    return [
        (lesion_name(kind), found)
        for kind, found in zip(kinds, evaluation["detectability"], strict=False)  # no method was scanned again: none
        if found
    ]


def d_prime_cell(name: str, found: DPrime | None) -> str:
    """A method's d' with its interval; a star where the difference to the noisy input's excludes 0."""
    if found is None:
        return DASH
    difference = found["above_reference"]
    star = "*" if name != NOISY and (difference["low"] > 0 or difference["high"] < 0) else ""
    return f"{found['mean']:.2f}{star} [{found['low']:.2f}, {found['high']:.2f}]"


def _about(evaluation: Evaluation, repeats: RepeatedScans) -> str:
    confidence = evaluation["statistics"]["confidence"]
    cells = (len(evaluation["methods"]) - 1) * len(evaluated_lesions(evaluation))
    counts = [lesion["count"] for lesion in repeats["lesions"]]
    return (
        f"Discs put into {repeats['images']} slices before the low dose was simulated, {min(counts)} to {max(counts)} "
        "of a kind, and the same places without them. First table: d' of a channelized Hotelling observer with "
        f"jackknife intervals over patients ({confidence:.0%}); a star where the difference to the noisy input's "
        f"excludes 0, each cell tested by itself: of {cells} that differ in nothing, {1 - confidence:.0%} get one. "
        "d' is that of an observer that learnt from these squares; of fewer than 8 patients it comes out too low. No "
        "denoiser adds information: an observer that knows the noise as well as this one can only lose by it; what "
        "gains is an eye that does not undo the noise's correlation. Second table: the non-prewhitening observer, "
        "which is closer to such an eye; false calls: squares without a lesion that the first observer calls one."
    )
