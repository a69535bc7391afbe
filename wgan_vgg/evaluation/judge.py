"""One method's metrics: per image, and per patient where single images are too small a sample."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from wgan_vgg.config import EvaluationConfig
from wgan_vgg.evaluation import flat_regions, metrics, noise_texture, sharpness

IN_HU = ("rmse_hu", "bias_hu", "std_hu")
PER_PATIENT = ("texture_distance", "edge_rise_pixels")


def per_image(config: EvaluationConfig) -> list[str]:
    """The names of the metrics that every image has, in the order of the CSV's columns."""
    windowed = [f"{name}_{window}" for window in config.windows for name in ("psnr", "ssim")]
    return ["psnr", "ssim", *IN_HU, "perceptual", *windowed]


@dataclasses.dataclass(frozen=True)
class Scale:
    """HU = slope * value + intercept, and a pixel's side in mm (None: unknown; frequencies are then per pixel)."""

    slope: float
    intercept: float
    pixel_mm: float | None

    def to_hu(self, image: np.ndarray) -> np.ndarray:
        """An image of the training range in HU, float64."""
        return self.slope * image.astype(np.float64) + self.intercept


class Truth:
    """A normal-dose image (height, width) of the training range, and where in it to measure."""

    def __init__(self, image: np.ndarray, scale: Scale, config: EvaluationConfig) -> None:
        self.image = image
        self.hu = scale.to_hu(image)
        self.regions = flat_regions.find_flat_regions(
            self.hu,
            count=config.flat_regions,
            side=max(config.flat_smallest_side, min(image.shape) // config.flat_divisor),
            min_hu=config.flat_min_hu,
            max_gradient_hu=config.flat_max_gradient_hu,
        )
        self.edges = sharpness.find_edges(image, count=config.edges, reach=config.edge_reach)


class Judge:
    """Collects a method's metrics, image by image.

    Spectra and edge profiles are averaged over a patient's images before anything is told from them: one image has
    too few flat squares for a spectrum, and a noisy edge has no rise.
    """

    def __init__(self, scale: Scale, config: EvaluationConfig, *, in_hu: bool) -> None:
        """`in_hu`: whether the images are in the truth's range; a min-max rescaled one has no HU."""
        self._scale, self._config, self._in_hu = scale, config, in_hu
        self._batch: list[tuple[np.ndarray, np.ndarray]] = []
        self._report: list[tuple[float, float]] = []
        self._images: dict[str, list[dict[str, float | None]]] = {}
        self._pooled: dict[str, _Pooled] = {}

    def add(self, truth: Truth, image: np.ndarray, patient: str, perceptual: float | None) -> dict[str, float | None]:
        """Takes one image (height, width) and its distance in VGG features; returns its metrics."""
        values = dict.fromkeys(per_image(self._config))
        values |= {"psnr": metrics.psnr(truth.image, image), "ssim": metrics.ssim(truth.image, image)}
        values["perceptual"] = perceptual
        if self._in_hu:
            values |= self._hu_metrics(truth, image)
        pooled = self._pooled.setdefault(patient, _Pooled())
        if truth.regions:
            pooled.add_squares(*(flat_regions.cut(self._scale.to_hu(a), truth.regions) for a in (truth.image, image)))
        if len(truth.edges):
            pooled.profiles.append(sharpness.mean_profile(image, truth.edges))
        self._images.setdefault(patient, []).append(values)
        self._batch.append((truth.image, image))
        if len(self._batch) == self._config.report_batch_size:
            self._close_batch()
        return values

    def _hu_metrics(self, truth: Truth, image: np.ndarray) -> dict[str, float]:
        values = {"rmse_hu": metrics.rmse_hu(truth.image, image, self._scale.slope)}
        image_hu = self._scale.to_hu(image)
        if truth.regions:
            true_squares, squares = (flat_regions.cut(part, truth.regions) for part in (truth.hu, image_hu))
            values["bias_hu"] = flat_regions.bias(true_squares, squares)
            values["std_hu"] = flat_regions.standard_deviation(squares)
        for window in self._config.windows:
            pair = [metrics.in_window(part, window) for part in (truth.hu, image_hu)]
            values |= {f"psnr_{window}": metrics.psnr(*pair), f"ssim_{window}": metrics.ssim(*pair)}
        return values

    def _close_batch(self) -> None:
        truths, images = (np.stack(part) for part in zip(*self._batch, strict=True))
        self._report.append((metrics.report_batch_psnr(truths, images), metrics.report_global_ssim(truths, images)))
        self._batch = []

    def judgement(self) -> dict[str, Any]:
        """What JSON keeps of a method.

        Returns:
          `means`: over images, of the per-patient metrics over patients, and over the report's batches (the last one
          may be smaller); `patients`: by metric and patient; `noise_power`: the radial spectrum over all patients in
          HU^2 mm^2 (None where HU are not defined or nothing is flat).
        """
        if self._batch:
            self._close_batch()
        rows = [row for images in self._images.values() for row in images]
        means = {name: _mean([row[name] for row in rows]) for name in per_image(self._config)}
        patients = {
            name: {patient: _mean([row[name] for row in images]) for patient, images in self._images.items()}
            for name in per_image(self._config)
        }
        patients["texture_distance"] = {name: pooled.texture_distance() for name, pooled in self._pooled.items()}
        patients["edge_rise_pixels"] = {name: pooled.rise() for name, pooled in self._pooled.items()}
        means |= {name: _mean(list(patients[name].values())) for name in PER_PATIENT}
        means |= dict(zip(("report_psnr", "report_ssim"), np.mean(self._report, axis=0).tolist(), strict=True))
        return {"means": means, "patients": patients, "noise_power": self._noise_power()}

    def _noise_power(self) -> dict[str, list[float]] | None:
        spectra = [(pooled.spectrum, pooled.squares) for pooled in self._pooled.values() if pooled.squares]
        if not (spectra and self._in_hu):
            return None
        pixel = self._scale.pixel_mm or 1.0
        spectrum = sum(spectrum for spectrum, _ in spectra) / sum(squares for _, squares in spectra) * pixel**2
        frequencies, power = noise_texture.radial_average(spectrum, pixel)
        return {"frequency": frequencies.tolist(), "power": power.tolist()}


class _Pooled:
    """Sums over one patient's images; spectra are in HU^2 pixel^2."""

    def __init__(self) -> None:
        self.squares = 0
        self.true_spectrum: np.ndarray | float = 0.0
        self.spectrum: np.ndarray | float = 0.0
        self.profiles: list[np.ndarray] = []

    def add_squares(self, truth: np.ndarray, image: np.ndarray) -> None:
        self.true_spectrum = self.true_spectrum + len(truth) * noise_texture.power_spectrum(truth, 1.0)
        self.spectrum = self.spectrum + len(image) * noise_texture.power_spectrum(image, 1.0)
        self.squares += len(image)

    def texture_distance(self) -> float | None:
        return noise_texture.texture_distance(self.true_spectrum, self.spectrum) if self.squares else None

    def rise(self) -> float | None:
        return sharpness.rise(np.mean(self.profiles, axis=0)) if self.profiles else None


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of the values that are defined."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
