"""What the figures draw: the arrays and curves themselves, taken from the axes, and the layers of the networks."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from wgan_vgg import config, models
from wgan_vgg.reporting import evaluation_figures, image_figures, network_figures, training_figures


@pytest.fixture
def drawn(monkeypatch):
    """Draws a figure, draw(function, *arguments), and gives it back instead of saving it."""

    def draw(module, function, *arguments):
        found = []
        monkeypatch.setattr(module, "save_figure", lambda figure, *_: found.append(figure) or "caption")
        getattr(module, function)(*arguments)
        return found[0]

    yield draw
    plt.close("all")


def curves(axes):
    return [(line.get_linestyle(), list(line.get_ydata())) for line in axes.get_lines()]


def test_differences_are_images_minus_the_truth(drawn, tmp_path):
    """Fails where they are the truth minus the image: what is too bright would be blue."""
    truth = np.full((1, 8, 8), 0.5, np.float32)
    samples = {"low_dose": truth - 0.25, "normal_dose": truth, "denoised": truth + 0.125}
    samples |= {"patient_id": ["L0"], "slice_index": [3]}
    data = {"hu_slope": 80.0, "hu_intercept": -7.0, "settings": {"rescale_low_dose": False}}
    results = {"data": data, "sample_baseline": None, "caption": "Phantoms."}
    figure = drawn(image_figures, "differences", {"wgan": samples}, results, tmp_path)
    found = {ax.get_title().split("\n")[0]: ax.images[0].get_array() for ax in figure.axes if ax.images}
    assert list(found) == ["noisy input", "wgan"]
    np.testing.assert_allclose(found["noisy input"], np.full((8, 8), -20.0))
    np.testing.assert_allclose(found["wgan"], np.full((8, 8), 10.0))


def test_each_patients_values_stand_above_his_name(drawn, tmp_path):
    """Fails where a method's values are drawn in the order in which they come."""
    of_patients = {
        "noisy input": {"x": 22.0, "y": 20.0, "z": 21.0},
        "wgan": {"z": 32.0, "x": 33.0, "y": 31.0},
    }
    evaluation = {"patients": 3, "baselines": {}, "methods": dict.fromkeys(of_patients)}
    evaluation["patient_values"] = {name: {"psnr": psnr} for name, psnr in of_patients.items()}
    results = {"evaluation": evaluation, "sample_baseline": None, "models": {"wgan": {}}, "caption": "Phantoms."}
    (axes,) = drawn(evaluation_figures, "psnr_by_patient", results, tmp_path).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["y", "z", "x"]
    assert [values for _, values in curves(axes)] == [[20.0, 21.0, 22.0], [31.0, 32.0, 33.0]]


def test_in_figure_6_training_is_solid_and_what_was_held_out_dashed(drawn, tmp_path):
    """Fails where both curves are training's, or the two are exchanged."""
    rows = [
        {"epoch": epoch, "train": {"psnr": 30.0 + epoch, "ssim": 0.75}, "test": {"psnr": 20.0 + epoch, "ssim": 0.5}}
        for epoch in (0, 1)
    ]
    figure = drawn(training_figures, "metrics_over_epochs", {"wgan-mse": rows}, tmp_path, "Phantoms.")
    assert [curves(axes) for axes in figure.axes] == [
        [("-", [30.0, 31.0]), ("--", [20.0, 21.0])],
        [("-", [0.75, 0.75]), ("--", [0.5, 0.5])],
    ]


def test_network_figures_count_the_layers_of_the_built_models():
    generator = network_figures.describe_layers(models.build_generator(config.GeneratorConfig()))
    assert [label for _, label in generator[1:]] == ["n32s1\nReLU"] * 7 + ["n1s1\nReLU"]
    critic = network_figures.describe_layers(models.build_critic(config.CriticConfig(), (64, 64)))
    assert [label.split("\n")[0] for _, label in critic[1:]] == [
        *("n64s1", "n64s2", "n128s1", "n128s2", "n256s1", "n256s2"),
        *("FC 1024", "FC 1"),
    ]
