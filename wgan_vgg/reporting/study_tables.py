"""study.md from study.json: what each choice of protocol does to the published metrics and to the usual ones."""

from data_prep.json_types import UNKNOWN
from wgan_vgg.reporting.json_types import Study, StudyRow
from wgan_vgg.reporting.markdown import BATCH_PSNR, GLOBAL_SSIM, markdown_table, number, with_interval

_DIGITS = {"report_psnr": 2, "report_ssim": 4, "psnr": 2, "ssim": 4, "rmse_hu": 1}


def study_markdown(study: Study) -> str:
    """The whole page."""
    data = study["caption"] + (f"; {study['vgg_weights']}" if study["vgg_weights"] else "")
    parts = [
        f"# {study['study'].capitalize()} study: {study['model']}, preset {study['preset']}",
        f"{data}. {_about_seeds(study)}",
        "## One change at a time",
        protocol_table(study),
        _about_protocol(study),
        "## One change of the metric: the same images, measured in two ways",
        metric_table(study),
        _about_metric(study),
        "## What the rows change",
        changes_table(study),
    ]
    failed = [f"- {row['title']}: {row['message']}" for row in study["rows"] if row["message"]]
    return "\n\n".join([*parts, *(["\n".join(failed)] if failed else [])]) + "\n"


def protocol_table(study: Study) -> str:
    """One row for each protocol; noisy input -> model."""
    header = ["", BATCH_PSNR, GLOBAL_SSIM, "PSNR", "SSIM", "RMSE HU", "above noisy, dB"]
    header += ["on the first row's data", "minus the first row's, dB"]
    rows = [
        [row["title"], *(_arrow(row, name) for name in ("report_psnr", "report_ssim", "psnr", "ssim", "rmse_hu"))]
        + [with_interval(row["above_noisy"], 2, "+"), number(row["on_first"]["psnr"], 2)]
        + ["" if row["above_first"] is None else with_interval(row["above_first"], 2, "+")]
        + [f"{row['images']['test']} / {row['patients']['test']}", _seen(row), _status(row)]
        for row in study["rows"]
    ]
    return markdown_table([*header, "images / patients", "seen in training", ""], rows)


def metric_table(study: Study) -> str:
    """The first row's images under both definitions of PSNR and of SSIM."""
    first = study["rows"][0]
    rows = []
    metrics = {"PSNR": "psnr", BATCH_PSNR: "report_psnr", "SSIM": "ssim", GLOBAL_SSIM: "report_ssim"}
    for label, key in metrics.items():
        rows.append([label, *(number(means[key], _DIGITS[key]) for means in (first["noisy"], first["model"]))])
    return markdown_table(["", "noisy input", study["model"]], rows)


def changes_table(study: Study) -> str:
    """Keys of the config, and where each change is from."""
    return markdown_table(
        ["", "config", "from"],
        [
            [
                row["title"],
                ", ".join(f"{key}={_plain(value)}" for key, value in row["overrides"].items()),
                row["source"],
            ]
            for row in study["rows"]
        ],
    )


def _about_seeds(study: Study) -> str:
    seeds = study["seeds"]
    if len(seeds) == 1:
        return (
            f"One training for each row, of seed {seeds[0]}; intervals are over patients alone, and say nothing of "
            "another training: small differences may be chance."
        )
    return (
        f"{len(seeds)} trainings for each row, of seeds {', '.join(map(str, seeds))}; means over them, intervals over "
        "seeds and patients (hierarchical bootstrap)."
    )


def _about_protocol(study: Study) -> str:
    left_out = "".join(f" Left out, the model has no critic: {title}." for title in study["left_out"])
    return (
        "Each cell: noisy input → model, on the row's own test images; a change of the protocol may change the input "
        f"itself. As published by the report: {BATCH_PSNR}, of a batch's MSE, and {GLOBAL_SSIM}, one window over the "
        "batch. PSNR, SSIM, RMSE: of each image, data range 1, SSIM of Wang et al. 2004; above noisy: in that PSNR. On "
        "the first row's data: PSNR of the row's network on the test images of the first row, where one that learnt to "
        "undo a rescaling undoes what is not there; minus the first row's: paired by patient and seed. Seen in "
        "training: test patients who also occur there. A dash: a min-max rescaled "
        f"input has no HU.{left_out}"
    )


def _about_metric(study: Study) -> str:
    return (
        "The first row of the table above. PSNR and SSIM: of each image. The report's own, over batches of "
        f"{study['report_batch_size']} images: {BATCH_PSNR}, of the batch's MSE; {GLOBAL_SSIM}, one window over the "
        "whole batch, C1 = .01 and C2 = .03, not squared."
    )


def _arrow(row: StudyRow, name: str) -> str:
    return " → ".join(number(means[name], _DIGITS[name]) for means in (row["noisy"], row["model"]))


def _seen(row: StudyRow) -> str:
    seen = row["patients_in_both"]
    return UNKNOWN if seen == UNKNOWN else f"{len(seen)} of {row['patients']['test']}"


def _status(row: StudyRow) -> str:
    if row["status"] == "diverged":
        return f"**diverged**, evaluated at step {row['step']}"
    return "**collapsed**" if row["status"] == "collapsed" else ""


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
