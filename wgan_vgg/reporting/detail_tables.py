"""Tables of what PSNR and SSIM of whole images do not show: the body alone, HU windows, noise and edges."""

import itertools

from wgan_vgg.evaluation.json_types import Evaluation
from wgan_vgg.evaluation.metrics import TRUTH
from wgan_vgg.evaluation.noise_texture import SMALLEST_SIDE
from wgan_vgg.evaluation.structural_similarity import SMALLEST_MULTISCALE
from wgan_vgg.reporting.markdown import BATCH_PSNR, DASH, GLOBAL_SSIM, markdown_table, number, with_interval

_FURTHER = (  # heading, metric, digits
    ("body PSNR dB", "psnr_body", 2),
    ("body SSIM", "ssim_body", 4),
    ("body RMSE HU", "rmse_hu_body", 1),
    ("dival's PSNR dB", "dival_psnr", 2),
    ("MS-SSIM", "ms_ssim", 4),
    ("VIF", "vif", 4),
)


def detail_markdown(evaluation: Evaluation) -> str:
    """All tables here, each with what its figures mean."""
    weighed = "" if evaluation["statistics"]["patients"] is None else _OVER_IMAGES
    parts = [further_table(evaluation), f"{weighed}{_ABOUT_FURTHER}"]
    if evaluation["windows"]:
        parts += [windows_table(evaluation), _about_windows(evaluation)]
    parts += [fidelity_table(evaluation), _about_fidelity(evaluation)]
    return "\n\n".join([*parts, edges_table(evaluation), _about_edges(evaluation)])


def further_table(evaluation: Evaluation) -> str:
    """PSNR, SSIM and RMSE of the body, dival's PSNR, MS-SSIM and VIF."""
    rows = [
        [name, *(number(means[metric], digits) for _, metric, digits in _FURTHER)]
        for name, means in evaluation["methods"].items()
    ]
    return markdown_table(["", *(heading for heading, *_ in _FURTHER)], rows)


def fidelity_table(evaluation: Evaluation) -> str:
    """Measures that distinguish a faithful image from a smooth one, and the report's two metrics."""
    header = ["", "bias HU", "std HU", "texture", "NPS distance", "VGG distance", BATCH_PSNR, GLOBAL_SSIM]
    truth = evaluation["truth"]
    rows = [[TRUTH, "0", number(truth["std_hu"], 1), "0", "0", "0", DASH, "1"]]
    for name, means in evaluation["methods"].items():
        bias = DASH if means["bias_hu"] is None else f"{means['bias_hu']:+.1f}"
        rows.append(
            [name, bias, number(means["std_hu"], 1), number(means["texture_distance"], 3)]
            + [significant(means["noise_power_distance"]), significant(means["perceptual"])]
            + [number(means["report_psnr"], 3), number(means["report_ssim"], 4)]
        )
    return markdown_table(header, rows)


def windows_table(evaluation: Evaluation) -> str:
    """PSNR and SSIM within each HU window."""
    windows = evaluation["windows"]
    header = ["", *(f"{name.replace('_', ' ')} {metric}" for name in windows for metric in ("PSNR", "SSIM"))]
    return markdown_table(
        header,
        [
            [method]
            + [
                number(means[f"{metric}_{name}"], digits)
                for name in windows
                for metric, digits in (("psnr", 2), ("ssim", 4))
            ]
            for method, means in evaluation["methods"].items()
        ],
    )


def edges_table(evaluation: Evaluation) -> str:
    """Edge rise in pixels for each class of contrast, with intervals."""
    starts = [f"{start:g}" for start in evaluation["edges"]["contrasts_hu"]]
    classes = [
        *(f"{low} to {high} HU" for low, high in itertools.pairwise(starts)),
        f"above {starts[-1]} HU",
    ]
    return markdown_table(
        ["", *classes],
        [[name, *(with_interval(one, 2) for one in found)] for name, found in evaluation["edges"]["methods"].items()],
    )


def significant(value: float | None) -> str:
    """Three significant digits: distances have no natural scale."""
    return DASH if value is None else f"{value:.3g}"


_OVER_IMAGES = (
    "Here and below, but for texture and edges, means over images: above, every patient counts alike, however many "
    "images he has. "
)
_ABOUT_FURTHER = (
    "Body: without the air and the couch around it, which are easy and up to half the image. dival's "
    "PSNR: the data range is the truth's own max - min, as in the LoDoPaB-CT challenge. MS-SSIM: SSIM at five scales "
    f"(Wang et al. 2003), of images from {SMALLEST_MULTISCALE}x{SMALLEST_MULTISCALE} pixels on. VIF: visual "
    "information fidelity, pixel domain (Sheikh and Bovik 2006): the share of the truth's information that is left."
)


def _about_edges(evaluation: Evaluation) -> str:
    several = "" if evaluation["statistics"]["seeds"] == 1 else ", of several seeds none"
    counts = ", ".join(str(found["edges"]) for found in evaluation["edges"]["methods"][TRUTH])
    return (
        "Edge rise by the edge's contrast in the truth: pixels from 10 to 90 % of the mean profile across its steepest "
        f"isolated edges ({counts} of them), averaged along the edges, over images and patients; intervals: jackknife "
        f"over patients{several}. Noise makes the truth's own weak edges look steeper, by 10 % where it is a fifth of "
        "the step."
    )


def _about_fidelity(evaluation: Evaluation) -> str:
    distance = evaluation["perceptual"] or "not computed, no weights"
    batch = evaluation["report_batch_size"]
    return (
        "Bias and standard deviation in squares of tissue without a step, less a quadratic surface. Texture: share of "
        "the noise power there at other frequencies than the normal dose's, 0 to 1, over patients; a dash where the "
        f"squares are below {SMALLEST_SIDE} pixels, or an image has no noise. NPS distance: of the noise-power spectra "
        "over all patients, strength and texture together, the sum of their differences as a share of the normal "
        "dose's power, 1 without any noise. Both are of single images: the normal dose has noise of its own. VGG "
        f"distance: mean squared difference of features, {distance}. The report's own definitions, over batches of "
        f"{batch}: {BATCH_PSNR}, of the batch's MSE; {GLOBAL_SSIM}, one window over the batch, C1 = .01 and C2 = .03."
    )


def _about_windows(evaluation: Evaluation) -> str:
    stated = ", ".join(f"{name} {level}/{width} HU" for name, (level, width) in evaluation["windows"].items())
    return f"Windows (level/width): {stated}; images are clipped to the window, whose width is the data range."
