"""The report's Tables 1 to 3 as Markdown: published | ours | noisy input."""

from pathlib import Path

import numpy as np

from wgan_vgg.config import MODELS, ModelSpec
from wgan_vgg.evaluation.json_types import Score
from wgan_vgg.evaluation.metrics import NOISY
from wgan_vgg.reporting.comparison_tables import comparison_markdown
from wgan_vgg.reporting.dose_tables import dose_markdown
from wgan_vgg.reporting.json_types import ModelOutcome, Results, SeedOutcome
from wgan_vgg.reporting.markdown import BATCH_PSNR, DASH, GLOBAL_SSIM, duration, markdown_table, number
from wgan_vgg.run_dir import held_out_split

# Report, Tables 2 and 3: SSIM, PSNR. The first SSIM of Table 2 is illegible in the report.
PUBLISHED_SAMPLE = {
    "generator-mse": (None, 37.213245),
    "generator-vgg": (0.994949, 35.088562),
    "wgan-mse": (0.990097, 32.812336),
    "wgan-vgg": (0.996800, 37.692360),
}
PUBLISHED_TEST = {
    "generator-mse": (0.9967, 37.871),
    "generator-vgg": (0.9901, 33.325),
    "wgan-mse": (0.9856, 31.521),
    "wgan-vgg": (0.9941, 35.654),
}
# Report 6.2: "about 6 hours for WGAN-VGG and WGAN-MSE and about 1h for the two remaining models".
PUBLISHED_TIME = {"generator-mse": "1 h", "generator-vgg": "1 h", "wgan-mse": "6 h", "wgan-vgg": "6 h"}
# Report, Table 1, letter by letter.
PUBLISHED_LOSSES = {
    "generator-mse": "min_G L_MSE(G)",
    "generator-vgg": "min_G L_VGG(G)",
    "wgan-mse": "min_G max_G L_WGAN(G, D) + λ1 L_MSE(G)",
    "wgan-vgg": "min_G max_G L_WGAN(G, D) + λ1 L_VGG(G)",
}
# Report 6.3, "strictly no overfitting": here, training images at most this much better than test images.
NO_OVERFITTING_DB = 1.0


COMPARISON, SEEDS, DOSES, TABLE_1, TABLE_2, TABLE_3, TRAINING = (
    "All methods, with intervals and tests",
    "Each seed",
    "Against dose",
    "Table 1: the models",
    "Table 2: the sample image",
    "Table 3: means over the test set",
    "Training",
)


def results_markdown(results: Results) -> str:
    """results.md from the content of results.json."""
    parts = [f"# {title(results)}", results["verdict"], results["provenance"]]
    parts += [f"**Warning:** {text}" for text in results["warnings"]]
    for heading, body in sections(results).items():
        parts += [f"## {heading}", body]
    return "\n\n".join(parts) + "\n"


def title(results: Results) -> str:
    """The title of results.md and report.html."""
    return f"Results: preset {results['preset']}" if results["preset"] else f"Results: {', '.join(results['models'])}"


def sections(results: Results) -> dict[str, str]:
    """The Markdown under each heading of results.md; models that were not trained here have no training."""
    models = results["models"]
    parts = {
        COMPARISON: [comparison_markdown(results["evaluation"])],
        **({DOSES: [dose_markdown(doses)]} if (doses := results.get("doses")) else {}),
        TABLE_1: [model_table(results)],
        TABLE_2: [
            f"Ours: {results['sample_rule']}; not the report's image.",
            sample_table(results),
        ],
        TABLE_3: [
            f"{results['test_images']} images of the {results['split']} split, patients: {results['test_patients']}.",
            test_table(results),
            "Difference: by the report's own definitions, ours minus published. PSNR, SSIM, RMSE: means over "
            "images, data "
            "range 1, unclipped, SSIM of Wang et al. 2004. RMSE in HU. The report's own definitions, over batches of "
            f"{results['report_batch_size']}: {BATCH_PSNR}, of the batch's MSE; {GLOBAL_SSIM}, one window over the "
            "batch, C1 = .01 and C2 = .03. A dash: not published, illegible, or not defined.",
        ],
    }
    if any(model["last_epoch"] for model in models.values()):
        parts[TRAINING] = [
            training_table(results),
            "The report's remark that there is no overfitting holds where training images are less than "
            f"{NO_OVERFITTING_DB:g} dB better than test images. These are the epochs' fixed images, not the whole "
            "split.",
        ]
    if len(results["seeds"]) > 1:
        parts[SEEDS] = [
            seeds_table(results),
            "PSNR in dB and SSIM, means over the images. Table 2, distributions and figures of slices, losses and "
            "training show the first seed.",
        ]
    return {heading: "\n\n".join(body) for heading, body in parts.items()}


def seeds_table(results: Results) -> str:
    """PSNR and SSIM of each model by seed, and how far PSNR spreads."""
    seeds = results["seeds"]
    rows = []
    for name, model in results["models"].items():
        found = {one["seed"]: one for one in model["by_seed"]}
        values = [one["psnr"] for one in found.values() if one["psnr"] is not None]
        spread = number(float(np.std(values, ddof=1)) if len(values) > 1 else None, 2)
        rows.append([name, *(_seed_cell(found.get(seed)) for seed in seeds), spread])
    return markdown_table(["", *(f"seed {seed}" for seed in seeds), "std of PSNR"], rows)


def _seed_cell(found: SeedOutcome | None) -> str:
    if found is None:
        return DASH
    dead = " **collapsed**" if found["collapsed"] else ""
    return f"{number(found['psnr'], 2)} / {number(found['ssim'], 4)}{dead}"


def model_table(results: Results) -> str:
    """Table 1: each model's loss."""
    rows = []
    for name in results["models"]:
        published, ours = PUBLISHED_LOSSES.get(name, DASH), loss_formula(MODELS[name]) if name in MODELS else DASH
        difference = DASH if DASH in (published, ours) else "none" if published == ours else "D for the misprint G"
        rows.append([name, published, ours, difference])
    return markdown_table(["Network", "published loss", "our loss", "difference"], rows)


def loss_formula(spec: ModelSpec) -> str:
    """A model's loss in the report's notation."""
    content = spec.content and f"L_{spec.content.upper()}(G)"
    if spec.distance is None:
        return f"min_G {content}"
    distance = f"L_{'WGAN' if spec.distance == 'wasserstein' else spec.distance.upper()}(G, D)"
    return f"min_G max_D {distance}" + (f" + λ1 {content}" if content else "")


def test_table(results: Results) -> str:
    """Table 3 with both definitions, the noisy input and the baselines as rows."""
    noisy = results["noisy"]
    header = ["", *_COMPARED, "SSIM", "PSNR", "RMSE HU"]
    rows = []
    for name, means in results["evaluation"]["methods"].items():
        gain = DASH if name == NOISY else _gain(means["psnr"], noisy["psnr"])
        status = _status(results["models"][name]) if name in results["models"] else ""
        compared = _compared(PUBLISHED_TEST.get(name), (means["report_ssim"], means["report_psnr"]), 4)
        ours = [number(means["ssim"], 4), number(means["psnr"], 3), number(means["rmse_hu"], 1)]
        rows.append([name, *compared, *ours, gain, status])
    return markdown_table([*header, "above noisy", ""], rows)


def sample_table(results: Results) -> str:
    """Table 2, on our sample image; of one image, the report's PSNR is everybody's."""
    rows = []
    for name, ours in results["samples"].items():
        compared = _compared(PUBLISHED_SAMPLE.get(name), (ours["report_ssim"], ours["psnr"]), 6)
        rows.append([name, *compared, number(ours["ssim"], 4)])
    return markdown_table(["", *_COMPARED, "SSIM"], rows)


def training_table(results: Results) -> str:
    """Training time beside the published one; training against held-out metrics at the end."""
    lasts = [model["last_epoch"] for model in results["models"].values() if model["last_epoch"]]
    split = held_out_split(lasts[0]) if lasts else "test"
    held_out = "held-out" if split == "train" else split  # a name that no row has: its cells are dashes
    header = ["", "published time", "our time", "steps", "starts", "train PSNR", f"{held_out} PSNR", "no overfitting"]
    rows = []
    for name, model in results["models"].items():
        last, tries = model["last_epoch"], len(model["initialisation_means"])
        if not last:
            continue
        psnr = [last[part]["psnr"] if part in last else None for part in ("train", held_out)]
        rows.append(
            [name, PUBLISHED_TIME.get(name, DASH), duration(last["seconds"]), str(last["step"]), str(tries)]
            + [*(number(value, 2) for value in psnr), _no_overfitting(*psnr), _status(model)]
        )
    return markdown_table([*header, ""], rows)


def _no_overfitting(train: Score, held_out: Score) -> str:
    """Whether the report's claim holds, by the PSNR of training and of held-out images at the end."""
    if train is None or held_out is None:
        return DASH
    difference = train - held_out
    return "holds" if difference < NO_OVERFITTING_DB else f"does not hold ({difference:+.2f} dB)"


_COMPARED = [f"{whose} {what}" for whose in ("published", "our") for what in (GLOBAL_SSIM, BATCH_PSNR)]
_COMPARED += [f"{what} difference" for what in (GLOBAL_SSIM, BATCH_PSNR)]


def _compared(
    published: tuple[float | None, float | None] | None, ours: tuple[float | None, float | None], ssim_digits: int
) -> list[str]:
    """SSIM and PSNR: published, ours by the report's definitions, ours minus published."""
    pairs = list(zip(published or (None, None), ours, (ssim_digits, 3), strict=True))
    differences = [
        DASH if theirs is None or value is None else f"{value - theirs:+.{digits}f}" for theirs, value, digits in pairs
    ]
    return [number(pair[i], pair[2]) for i in (0, 1) for pair in pairs] + differences


def _gain(psnr: Score, noisy: Score) -> str:
    return DASH if psnr is None or noisy is None else f"{psnr - noisy:+.2f} dB"


def _status(model: ModelOutcome) -> str:
    began = model["init_from"]
    remarks = ["**collapsed**"] if model["collapsed"] else []
    for one in model["by_seed"]:
        if one["behind_input_since"] is not None and not one["collapsed"]:
            of_seed = f" (seed {one['seed']})" if len(model["by_seed"]) > 1 else ""
            remarks.append(f"**worse than its input** since step {one['behind_input_since']} of {one['step']}{of_seed}")
    if began:
        step = "" if began["step"] is None else f" at step {began['step']}"
        remarks.append(f"began with {Path(began['source']).name}{step}")
    return "; ".join(remarks)
