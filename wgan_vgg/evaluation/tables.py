"""The report's Tables 1 to 3 as Markdown: published | ours | noisy input."""

from collections.abc import Mapping
from typing import Any

from wgan_vgg.evaluation.honest_tables import honest_markdown
from wgan_vgg.evaluation.markdown import DASH, duration, markdown_table, number
from wgan_vgg.evaluation.metrics import NOISY

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
LOSSES = {
    "generator-mse": "min_G L_MSE(G)",
    "generator-vgg": "min_G L_VGG(G)",
    "wgan": "min_G max_D L_WGAN(G, D)",
    "wgan-mse": "min_G max_D L_WGAN(G, D) + λ1 L_MSE(G)",
    "wgan-vgg": "min_G max_D L_WGAN(G, D) + λ1 L_VGG(G)",
}
# Report 6.3, "strictly no overfitting": here, training images at most this much better than test images.
NO_OVERFITTING_DB = 1.0

Results = Mapping[str, Any]


def results_markdown(results: Results) -> str:
    """results.md from the content of results.json."""
    models = results["models"]
    parts = [
        f"# Results: preset {results['preset']}",
        results["caption"],
        *(f"**Warning:** {warning}" for warning in results["warnings"]),
        "## All methods, with intervals and tests",
        honest_markdown(results["evaluation"]),
        "## Table 1: the models",
        markdown_table(["Network", "Loss"], [[name, LOSSES[name]] for name in models]),
        f"## Table 2: the sample image ({results['sample_rule']})",
        sample_table(results),
        f"## Table 3: means over the test set ({results['test_images']} images, patients: {results['test_patients']})",
        test_table(results),
        "PSNR and SSIM per image: data range 1, unclipped, SSIM of Wang et al. 2004. RMSE in HU. The report's own "
        f"definitions: over batches of {results['report_batch_size']}, PSNR of the batch's MSE, one global SSIM with "
        "C1 = .01 and C2 = .03. A dash: "
        "not published, illegible, or not defined.",
        "## Training",
        training_table(results),
        f"The report's remark that there is no overfitting holds where training images are less than "
        f"{NO_OVERFITTING_DB:g} dB better than test images. These are the epochs' fixed images, not the whole split.",
    ]
    return "\n\n".join(parts) + "\n"


def test_table(results: Results) -> str:
    """Table 3 with both definitions, the noisy input and the baselines as rows."""
    noisy = results["noisy"]
    header = ["", "published SSIM", "published PSNR", "report's SSIM", "report's PSNR", "SSIM", "PSNR", "RMSE HU"]
    rows = []
    for name, means in results["evaluation"]["methods"].items():
        published = PUBLISHED_TEST.get(name, (None, None))
        gain = DASH if name == NOISY else f"{means['psnr'] - noisy['psnr']:+.2f} dB"
        status = _status(results["models"].get(name, {}))
        rows.append([name, number(published[0], 4), number(published[1], 3), *_means(means), gain, status])
    return markdown_table([*header, "above noisy", ""], rows)


def sample_table(results: Results) -> str:
    """Table 2, on our sample image."""
    rows = []
    for name, ours in results["samples"].items():
        ssim, psnr = PUBLISHED_SAMPLE.get(name, (None, None))
        rows.append(
            [name, number(ssim, 6), number(psnr, 3)]
            + [number(ours["report_ssim"], 4), number(ours["ssim"], 4), number(ours["psnr"], 3)]
        )
    return markdown_table(["", "published SSIM", "published PSNR", "report's SSIM", "SSIM", "PSNR"], rows)


def training_table(results: Results) -> str:
    """Training time beside the published one; train against test metrics at the end."""
    header = ["", "published time", "our time", "steps", "starts", "train PSNR", "test PSNR", "no overfitting", ""]
    rows = []
    for name, model in results["models"].items():
        last, tries = model["last_epoch"], len(model["initialisation_means"])
        difference = last["train"]["psnr"] - last["test"]["psnr"]
        verdict = "holds" if difference < NO_OVERFITTING_DB else f"does not hold ({difference:+.2f} dB)"
        rows.append(
            [name, PUBLISHED_TIME.get(name, DASH), duration(last["seconds"]), str(last["step"]), str(tries)]
            + [number(last["train"]["psnr"], 2), number(last["test"]["psnr"], 2), verdict, _status(model)]
        )
    return markdown_table(header, rows)


def _means(means: Mapping[str, float | None]) -> list[str]:
    return [
        number(means["report_ssim"], 4),
        number(means["report_psnr"], 3),
        number(means["ssim"], 4),
        number(means["psnr"], 3),
        number(means["rmse_hu"], 1),
    ]


def _status(model: Mapping[str, Any]) -> str:
    return "**collapsed**" if model.get("collapsed") else ""
