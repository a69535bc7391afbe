"""One method's results over images and patients, from what was measured in each image."""

from collections.abc import Sequence

import numpy as np

from wgan_vgg.config import EvaluationConfig
from wgan_vgg.evaluation import flat_regions, metrics, noise_texture, sharpness
from wgan_vgg.evaluation.image_measures import Measured, Scale, Truth, per_image
from wgan_vgg.evaluation.json_types import Means, MethodSummary, Score


class Accumulator:
    """Collects a method's results, image by image.

    Spectra and edge profiles are averaged over a patient's images before anything is computed from them: one image has
    too few flat squares for a spectrum, and a noisy edge has no rise.
    """

    def __init__(self, scale: Scale, config: EvaluationConfig, *, in_hu: bool) -> None:
        """`in_hu`: whether the images are in the truth's range; a min-max rescaled one has no HU."""
        self.in_hu = in_hu
        self._scale, self._config = scale, config
        self._batch: list[tuple[np.ndarray, np.ndarray]] = []
        self._report: list[tuple[float, float]] = []
        self._images: dict[str, list[Means]] = {}
        self._true_spectra, self._spectra = noise_texture.Spectra(), noise_texture.Spectra()
        self._profiles = [sharpness.Profiles() for _ in config.edge_contrasts_hu]

    def add(self, truth: Truth, image: np.ndarray, patient: str, measured: Measured) -> None:
        """Takes an image (height, width) and what was measured in it."""
        if measured.noise is not None:
            self._true_spectra.add(patient, flat_regions.detrended(flat_regions.cut(truth.hu, truth.regions)))
            self._spectra.add(patient, measured.noise)
        for collected, profiles in zip(self._profiles, measured.profiles, strict=True):
            collected.add(patient, profiles)
        self._images.setdefault(patient, []).append(measured.values)
        self._batch.append((truth.image, image))
        if len(self._batch) == self._config.report_batch_size:
            self._close_batch()

    def _close_batch(self) -> None:
        truths, images = (np.stack(part) for part in zip(*self._batch, strict=True))
        self._report.append((metrics.report_batch_psnr(truths, images), metrics.report_global_ssim(truths, images)))
        self._batch = []

    def summary(self) -> MethodSummary:
        """What JSON keeps of a method.

        Returns:
          `means`: over images, of the per-patient metrics over patients, and over the report's batches (the last one
          may be smaller); `patients`: by metric and patient; `edges`: the rise for each class of contrast, see
          sharpness.Profiles.rise; `noise_power`: the radial spectrum over all patients in HU^2 mm^2 (None where HU are
          not defined or nothing is flat).
        """
        if self._batch:
            self._close_batch()
        rows = [row for images in self._images.values() for row in images]
        means = {name: _mean([row[name] for row in rows]) for name in per_image(self._config)}
        patients = {
            name: {patient: _mean([row[name] for row in images]) for patient, images in self._images.items()}
            for name in per_image(self._config)
        }
        distances = noise_texture.texture_distances(self._true_spectra.by_patient(), self._spectra.by_patient())
        patients["texture_distance"] = {patient: distances.get(patient) for patient in self._images}
        means["texture_distance"] = _mean(list(patients["texture_distance"].values()))
        means |= dict(zip(("report_psnr", "report_ssim"), np.mean(self._report, axis=0).tolist(), strict=True))
        return {
            "means": means,
            "patients": patients,
            "edges": [profiles.rise(self._config.confidence) for profiles in self._profiles],
            "noise_power": self._spectra.radial(self._scale.pixel_mm or 1.0) if self.in_hu else None,
        }


def _mean(values: Sequence[Score]) -> Score:
    """The mean of the values that are defined."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
