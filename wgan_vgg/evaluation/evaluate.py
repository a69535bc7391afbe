"""Evaluating a method on every image of a split: per-image rows, their summary, and what the figures show."""

import csv
import functools
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.hu import WINDOWS
from data_prep.json_types import Unknown
from data_prep.manifest import transposed
from data_prep.progress import Progress, silent
from wgan_vgg.config import Config, nested
from wgan_vgg.evaluation import baselines, metrics, perceptual, repeats, statistics
from wgan_vgg.evaluation.evaluator import Batch, Evaluator, batches
from wgan_vgg.evaluation.image_measures import per_image
from wgan_vgg.evaluation.json_types import (
    Detectability,
    EvaluatedData,
    LesionResponses,
    Row,
    Sample,
    SampleMetrics,
    Statistics,
    Summary,
    Tuned,
)
from wgan_vgg.evaluation.methods import Method, image_name, image_names
from wgan_vgg.evaluation.metrics import NOISY, TRUTH
from wgan_vgg.evaluation.noise_texture import noise_power_distance
from wgan_vgg.evaluation.parallel import workers
from wgan_vgg.evaluation.references import evaluated_references
from wgan_vgg.evaluation.samples import RULE, Samples, Slice
from wgan_vgg.files import write_json, write_text, write_via
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.run_dir import ReferencesDir, RunDir
from wgan_vgg.seeds import derive

logger = logging.getLogger(__name__)


def evaluate(
    method: Method,
    results: RunDir,
    data: DataSet,
    split: str,
    config: Config,
    *,
    beside: Sequence[Method] = (),
    references: ReferencesDir | None = None,
    save_images: Path | None = None,
    progress: Progress = silent,
) -> Summary:
    """Evaluates a method on a split, beside the noisy input and the tuned baselines.

    Args:
      method: what is evaluated.
      results: its eval/ is written.
      data: the records to evaluate on.
      split: which part of them.
      config: the evaluation's choices, the VGG weights and the seed of the bootstrap.
      beside: other weights of the same run, evaluated with it.
      references: where the evaluated references are kept for other models too; by default in `results`.
      save_images: folder for the low-dose, normal-dose and denoised arrays, if wanted.
      progress: called after each batch, and of the baselines.

    Returns:
      The summary, as written to eval/<split>.json.

    Raises:
      InputError: no such split, images too small, a folder cannot be written, the method gives no proper image, or
        two images to be saved have one name.
    """
    images = data.size(split)
    metrics.check_size(data.image_shape)
    if save_images:
        image_names(data, split)  # which refuses records that would overwrite each other
    references = references or results.references
    for folder in (results, references):
        folder.create()
    distance = perceptual.build(config.evaluation, config.vgg)
    scans = repeats.scan_again(data, split, config.evaluation, references.repeats(split))
    references_found = evaluated_references(data, split, config.evaluation, distance, references, scans, progress)
    of_noisy = [row for row in references_found["rows"] if row["method"] == NOISY]
    samples = Samples([row["patient_id"] for row in of_noisy], config.evaluation.sample_slices)
    tuned = references_found["baselines"]
    baseline = statistics.best_baseline(tuned)
    with workers() as pool:
        evaluator = Evaluator(data, config.evaluation, distance, {one.name: True for one in (method, *beside)}, pool)
        _evaluate_all(method, beside, data, split, evaluator, samples, save_images, progress)
        arrays: dict[str, Any] = samples.arrays()  # np.ndarray; numpy's keyword beside them is not
        if baseline:
            arrays["baseline"] = baselines.apply(baseline, tuned[baseline]["parameters"], arrays["low_dose"], pool)
    evaluated = references_found["methods"] | evaluator.summaries()
    responses = references_found["responses"] | {
        one.name: scans.evaluate(one.name, one.denoise) for one in (method, *beside) if scans and one.any_image
    }
    patients = data.description["patients"][split]
    patient_values = {name: values["patients"] for name, values in evaluated.items()}
    true_power = references_found["truth"]["noise_power"]
    noise_power = {name: values["noise_power"] for name, values in evaluated.items()}
    means = {
        name: values["means"] | {"noise_power_distance": noise_power_distance(true_power, noise_power[name])}
        for name, values in evaluated.items()
    }
    summary: Summary = {
        "version": repeats.VERSION,
        "model": method.name,
        "split": split,
        "step": method.step,
        "steps": {one.name: one.step for one in (method, *beside)},
        "settings": nested.to_dict(config.evaluation),
        "report_batch_size": config.evaluation.report_batch_size,
        "images": images,
        "patients": patients,
        "data": _describe(data),
        "data_range": metrics.DATA_RANGE,
        "windows": {name: WINDOWS[name] for name in config.evaluation.windows},
        "perceptual": distance.description if distance else None,
        "baselines": references_found["baselines"],
        "missing_baselines": references_found["missing"],
        "beside": list(references_found["methods"]),
        "truth": references_found["truth"]["means"],
        "methods": means,
        "statistics": patient_statistics({n: [v] for n, v in patient_values.items()}, tuned, patients, config),
        "patient_values": patient_values,
        "repeats": scans.describe() if scans else None,
        "responses": responses,
        "detectability": lesion_statistics({name: [one] for name, one in responses.items()}, config),
        "edges": {
            "contrasts_hu": list(config.evaluation.edge_contrasts_hu),
            "methods": {TRUTH: references_found["truth"]["edges"]}
            | {name: one["edges"] for name, one in evaluated.items()},
        },
        "noise_power": {
            "unit": "HU^2 mm^2, cycles/mm" if data.pixel_mm is not None else "HU^2 pixel^2, cycles/pixel",
            "methods": {TRUTH: true_power, **noise_power},
        },
        "sample": _sample_metrics(samples.most_detailed, baseline, method.name, references_found["rows"]),
    }
    columns = ["patient_id", "slice_index", "source", "method", *per_image(config.evaluation)]
    write_text(results.eval_csv(split), _csv(columns, references_found["rows"] + evaluator.rows))
    write_via(results.eval_samples(split), lambda file: np.savez_compressed(file, **arrays))
    write_json(results.eval_json(split), summary)
    return summary


def _evaluate_all(
    method: Method,
    beside: Sequence[Method],
    data: DataSet,
    split: str,
    evaluator: Evaluator,
    samples: Samples,
    save_images: Path | None,
    progress: Progress,
) -> None:
    """Lets the methods denoise a split, batch by batch; `evaluator` and `samples` take their outputs."""
    done = 0
    for batch in batches(data, split):
        denoised = method.denoise(batch)
        evaluator.add(batch, {method.name: denoised} | {other.name: other.denoise(batch) for other in beside})
        samples.add(batch, denoised)
        if save_images:
            _save(save_images, batch, denoised)
        done += len(batch.rows)
        progress(f"evaluate {method.name}", done, data.size(split))


def lesion_statistics(
    responses: Mapping[str, Sequence[list[LesionResponses | None]]], config: Config
) -> list[Detectability | None]:
    """What observers see of each lesion, see repeats.statistics."""
    return repeats.statistics(responses, NOISY, config.evaluation.confidence)


def patient_statistics(
    patient_values: Mapping[str, statistics.Networks],
    tuned: Mapping[str, Tuned],
    patients: int | Unknown,
    config: Config,
) -> Statistics:
    """Intervals and tests of all methods of one data set, see statistics.summarize."""
    return statistics.summarize(
        patient_values,
        NOISY,
        tuned,
        patients=patients if isinstance(patients, int) else None,
        seed=derive(config.seed, "bootstrap"),
        confidence=config.evaluation.confidence,
        resamples=config.evaluation.resamples,
    )


def warn_of_other_data(run: RunDir, data: DataSet) -> None:
    """Warns where records were made otherwise, or lie otherwise, than those a run was trained on."""
    trained_on = vars(run.load_config().data) | {"transposed": transposed(run.stored()["data"])}
    given = vars(data.config) | {"transposed": data.description["transposed"]}
    for difference in nested.differences(trained_on, given):
        if not difference.startswith(("num_", "shards")):
            logger.warning("these records are not as those the run was trained on: %s", difference)


def _describe(data: DataSet) -> EvaluatedData:
    """What tables, captions and the HU of figures need of the data, which may be elsewhere when they are made."""
    return {
        **data.description,
        "image_shape": data.manifest["image_shape"],
        "pixel_spacing_mm": data.manifest["pixel_spacing_mm"],
        "settings": data.manifest["data"],
        "fingerprint": data.fingerprint,
    }


def _sample_metrics(best: Slice, baseline: str | None, method: str, rows: Sequence[Row]) -> Sample:
    """Table 2: metrics of the one slice that Figure 5 shows, the one with the highest gradient energy."""
    truth, patient, index = best.normal_dose, best.place["patient_id"], best.place["slice_index"]
    # Of the baselines, what their rows say.
    methods: dict[str, SampleMetrics] = {
        row["method"]: {"psnr": row["psnr"], "ssim": row["ssim"], "report_ssim": None}
        for row in rows
        if (row["patient_id"], row["slice_index"], row["source"]) == (patient, index, best.place["source"])
    }
    for name, image in ((NOISY, best.low_dose), (method, best.denoised)):
        methods[name] = {
            "psnr": metrics.psnr(truth, image),
            "ssim": metrics.ssim(truth, image),
            "report_ssim": metrics.report_global_ssim(truth, image),
        }
    return {"rule": RULE, "patient_id": patient, "slice_index": index, "methods": methods, "baseline": baseline}


def _save(folder: Path, batch: Batch, denoised: np.ndarray) -> None:
    kinds = {"low_dose": batch.low_dose, "normal_dose": batch.normal_dose, "denoised": denoised}
    for kind, images in kinds.items():
        for row, image in zip(batch.rows, images, strict=True):
            write_via(folder / kind / image_name(row), functools.partial(np.save, arr=image))


def _csv(columns: list[str], rows: list[Row]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
