"""Files of CT slices, or trees of them, to denoised files of the same formats."""

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from data_prep.progress import Progress, silent
from data_prep.staging import translate_disk_errors
from wgan_vgg.errors import InputError
from wgan_vgg.inference.claims import Claims, claims_in
from wgan_vgg.inference.denoiser import Denoiser
from wgan_vgg.inference.job import Job
from wgan_vgg.inference.output_files import (
    check_output,
    check_unclaimed,
    claim_folder,
    is_up_to_date,
    join_folder,
    map_outputs,
    middle_files,
    preview_path,
)
from wgan_vgg.inference.settings import Outcome, Settings
from wgan_vgg.inference.summary import Series
from wgan_vgg.inference.work import Work

logger = logging.getLogger(__name__)

__all__ = ["Outcome", "Settings", "denoise"]


def denoise(
    denoiser: Denoiser,
    input_path: Path,
    output: Path,
    settings: Settings,
    progress: Progress = silent,
    on_series: Callable[[Series], None] | None = None,
) -> Outcome:
    """Denoises a file to a file, or all image files of a folder, at any depth, to files of the same names.

    Each output appears whole or not at all; in a folder, the same call goes on with what is missing or out of date,
    and several that share it divide its files.

    Args:
      denoiser, settings: what to denoise with, and how.
      input_path, output: two files or two folders.
      progress: called for each slice.
      on_series: called with the summary of each series when its slices have passed.

    Raises:
      InputError: no such input, an output that is taken or by another model, a full disk, or not a single file could be
        read.
    """
    for warning in denoiser.mapping.warnings:
        logger.warning("%s", warning)
    outputs, is_folder = map_outputs(input_path, output), input_path.is_dir()
    check_output(input_path, output, overwrite=settings.overwrite)
    if settings.share and not is_folder:
        raise InputError(f"share: calls share a folder, but input {input_path} is a file; leave it out")
    hu_range = settings.hu_range and [*settings.hu_range]
    origin: dict[str, object] = {"fingerprint": denoiser.fingerprint, "hu_range": hu_range}
    base = output if is_folder else output.parent
    shown = middle_files(list(outputs)) if settings.preview else set()
    jobs = [
        Job(path, written, preview_path(written, base), written.relative_to(base).as_posix(), path in shown)
        for path, written in outputs.items()
    ]
    with contextlib.ExitStack() as stack:
        stack.enter_context(translate_disk_errors(f"output {output}", output))
        if is_folder:
            output.mkdir(parents=True, exist_ok=True)
            claims = stack.enter_context(claims_in(output, share=settings.share))
            if claims.first:
                claim_folder(input_path, output, outputs.values(), origin, overwrite=settings.overwrite)
            else:
                join_folder(input_path, output, outputs.values(), origin)
        else:
            claims = Claims()
            check_unclaimed(output, origin)
            if shown and not settings.overwrite and jobs[0].picture.exists():
                raise InputError(f"preview {jobs[0].picture}: exists already; add --overwrite or take another output")
        done = [job for job in jobs if is_folder and is_up_to_date(job.path, job.output, output)]
        to_do = set(jobs) - set(done)
        missing = [job for job in jobs if job in to_do]
        if is_folder and claims.first:
            for job in missing:  # what is out of date must not stay if its source cannot be read any more
                job.output.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # its name may be too long to be one
                    job.picture.unlink()
        folder = output if is_folder else None
        work = Work(denoiser, settings, claims, folder=folder, progress=progress, on_series=on_series)
        claims.let_others_in()
        if settings.preview and claims.first:
            work.preview(done)
        outcome = work.run(missing, done)
        outcome.skipped += len(done)
    if not outcome.files and not outcome.skipped:
        raise InputError(f"input {input_path}: not one file there could be denoised; see the warnings before this")
    return outcome
