"""All figures of a run directory or a reproduction, drawn from the run directories alone."""

from collections.abc import Mapping
from pathlib import Path

from wgan_vgg import models, pretrained
from wgan_vgg.crops import crop_shape
from wgan_vgg.evaluation.samples import load_samples
from wgan_vgg.reporting import evaluation_figures, image_figures, network_figures, training_figures
from wgan_vgg.reporting.dose_figure import against_dose
from wgan_vgg.reporting.example_figure import example_figure
from wgan_vgg.reporting.json_types import Results, Runs
from wgan_vgg.reporting.results import image_rows
from wgan_vgg.reporting.style import figure_style
from wgan_vgg.run_dir import RunDir

# By file name; the order is the page's: first the report's own, then ours. What the models that ship with the package
# output for a real slice is last, since it is no result of these runs.
TITLES = {
    "figure1": "Figure 1: the generator",
    "figure2": "Figure 2: the critic",
    "figure3": "Figure 3: a noisy and a real image",
    "figure4": "Figure 4: losses over the epochs",
    "figure5": "Figure 5: the slice with the most detail",
    "detail": "A detail of it",
    "figure6": "Figure 6: PSNR and SSIM over the epochs",
    "differences": "What each method changes: its image minus the truth",
    "noise_power": "Noise-power spectra",
    "psnr_by_patient": "PSNR of each patient",
    "distributions": "PSNR and SSIM of all images",
    "dose": "PSNR and detectability against dose",
    "pretrained": "A real slice, denoised by the models that ship with the package",
}
REPORT_FIGURES = (*(f"figure{number}" for number in range(1, 7)), "detail")


def write_figures(runs: Runs, results: Results, folder: Path, split: str) -> dict[str, str]:
    """Writes every figure that the runs have, as SVG, PNG and PDF; what an earlier report left is removed.

    Args:
      runs: evaluated runs by model, all on the same data; of several seeds the first is drawn.
      results: what they say together, see results.collect.
      folder: where the files go.
      split: the evaluated split.

    Returns:
      The captions, by file name.
    """
    for name in TITLES:
        for suffix in (".png", ".pdf", ".svg"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    firsts = {model: of_seeds[0] for model, of_seeds in runs.items()}
    samples = {model: load_samples(run, split) for model, run in firsts.items()}
    is_demo = any(run.load_config().preset == "demo" for run in firsts.values() if run.config.is_file())
    trained = {model: run for model, run in firsts.items() if run.rows()}
    with figure_style():
        captions = _draw_training(trained, results, folder) if trained else {}
        captions |= {
            "figure3": image_figures.sample_pair(samples, results, folder),
            "figure5": image_figures.comparison(samples, results, folder),
            "pretrained": example_figure(folder) if is_demo and pretrained.index() else "",
            "differences": image_figures.differences(samples, results, folder),
            "detail": image_figures.detail(samples, results, folder),
            "noise_power": evaluation_figures.noise_power(results, folder),
            "dose": against_dose(results, folder),
            "psnr_by_patient": evaluation_figures.psnr_by_patient(results, folder),
            "distributions": evaluation_figures.distributions(results, image_rows(runs, split), folder),
        }
    return {name: caption for name in TITLES if (caption := captions.get(name))}


def _draw_training(runs: Mapping[str, RunDir], results: Results, folder: Path) -> dict[str, str | None]:
    configs = [run.load_config() for run in runs.values()]
    epochs = {model: run.rows() for model, run in runs.items()}
    generator = models.build_generator(configs[0].generator)
    captions: dict[str, str | None] = {
        "figure1": network_figures.draw_network(generator, folder, "figure1", "generator"),
        "figure4": training_figures.losses_over_epochs(epochs, folder, results["caption"]),
        "figure6": training_figures.metrics_over_epochs(epochs, folder, results["caption"]),
    }
    if any(config.spec.adversarial for config in configs):
        height, width = results["data"]["image_shape"]
        shape = crop_shape(configs[0].input, (height, width))
        made = models.generator_of(configs[0].generator).trained_shape(shape)
        critic = models.build_critic(configs[0].critic, made)
        captions["figure2"] = network_figures.draw_network(critic, folder, "figure2", "critic")
    return captions
