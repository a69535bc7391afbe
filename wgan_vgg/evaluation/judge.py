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
            max_step_hu=config.flat_max_step_hu,
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
        self._true_spectra, self._spectra = noise_texture.Spectra(), noise_texture.Spectra()
        self._profiles: dict[str, list[np.ndarray]] = {}

    def add(self, truth: Truth, image: np.ndarray, patient: str, perceptual: float | None) -> dict[str, float | None]:
        """Takes one image (height, width) and its distance in VGG features; returns its metrics."""
        values = dict.fromkeys(per_image(self._config))
        values |= {"psnr": metrics.psnr(truth.image, image), "ssim": metrics.ssim(truth.image, image)}
        values["perceptual"] = perceptual
        if self._in_hu:
            values |= self._hu_metrics(truth, image)
        if truth.regions:
            for spectra, part in ((self._true_spectra, truth.image), (self._spectra, image)):
                squares = flat_regions.cut(self._scale.to_hu(part), truth.regions)
                spectra.add(patient, flat_regions.detrended(squares))
        if len(truth.edges):
            self._profiles.setdefault(patient, []).append(sharpness.mean_profile(image, truth.edges))
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

    def judgement(self, repeated: noise_texture.Spectra | None = None) -> dict[str, Any]:
        """What JSON keeps of a method.

        Args:
          repeated: spectra of the differences of repeated scans, without any anatomy, where there are such.

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
        spectra = repeated or self._spectra
        distances = noise_texture.texture_distances(self._true_spectra.by_patient(), spectra.by_patient())
        rises = {patient: sharpness.rise(np.mean(profiles, axis=0)) for patient, profiles in self._profiles.items()}
        for name, known in (("texture_distance", distances), ("edge_rise_pixels", rises)):
            patients[name] = {patient: known.get(patient) for patient in self._images}
        means |= {name: _mean(list(patients[name].values())) for name in PER_PATIENT}
        means |= dict(zip(("report_psnr", "report_ssim"), np.mean(self._report, axis=0).tolist(), strict=True))
        noise_power = spectra.radial(self._scale.pixel_mm or 1.0) if self._in_hu else None
        return {"means": means, "patients": patients, "noise_power": noise_power}


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of the values that are defined."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
