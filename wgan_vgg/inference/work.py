"""One call of `denoise`, from the first file to the last: read, batch, denoise, write."""

import itertools
import logging
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep.progress import Progress
from wgan_vgg.errors import InputError, NotAnImage
from wgan_vgg.hu import padded
from wgan_vgg.image_files.slices import Options, Slices
from wgan_vgg.inference.claims import Claims
from wgan_vgg.inference.denoiser import Denoiser
from wgan_vgg.inference.instances import Instances
from wgan_vgg.inference.job import Job
from wgan_vgg.inference.output_files import is_up_to_date
from wgan_vgg.inference.settings import Outcome, Settings
from wgan_vgg.inference.summary import Measure, Series, Summaries, measure

logger = logging.getLogger(__name__)

_PAUSE = 0.5  # seconds before claimed files are looked at again
_TRIES = 3  # at a file that changes while it is read
# Bytes that a pixel of the slices under way takes beside the network: as stored, read and denoised, and in passing.
_BYTES_OF_PIXEL = 20
_LEAST_SHARE = 0.1  # of the memory that is left to the network where the slices take nearly all of it


class _Item(NamedTuple):
    job: Job
    source: Slices
    number: int  # of the slice in its file
    hu: np.ndarray


class Work:
    """A call of `denoise`; its arguments are described there. Without an output folder, a bad file is an error."""

    def __init__(
        self,
        denoiser: Denoiser,
        settings: Settings,
        claims: Claims,
        *,
        folder: Path | None,
        progress: Progress,
        on_series: Callable[[Series], None] | None,
    ) -> None:
        self._denoiser, self._settings, self._claims, self._folder = denoiser, settings, claims, folder
        self._progress = progress
        self._range = denoiser.mapping.range
        metadata = denoiser.metadata
        padding_hu = denoiser.mapping.padding_hu
        self._options = Options(settings.hu_range, padding_hu, denoiser.fingerprint, denoiser.derivation)
        self._summaries = Summaries(metadata.get("training_input") or {}, on_series or (lambda _: None), logger.warning)
        self._open: set[Job] = set()
        self._by_reason: Counter[tuple[Path, str]] = Counter()  # files by folder and by the reason why they were left
        self._instances = Instances()
        self._waiting: deque[Job] = deque()
        self._elsewhere: list[Job] = []  # files that other calls have claimed
        self.outcome = Outcome()

    def run(self, jobs: Sequence[Job], done: Sequence[Job]) -> Outcome:
        """Denoises files, some others being done; what is half written when it ends, however it ends, is removed."""
        started = time.monotonic()
        self._instances.finished(job.path for job in done)
        self._waiting.extend(jobs)
        try:
            while self._waiting:  # the last file may wait again
                for batch, paired in self._batches(len(jobs)):
                    self._denoise(batch, paired)
                if self._elsewhere:  # till they are there: the call that has claimed them may be killed
                    time.sleep(_PAUSE)
                    self._waiting.extend(self._elsewhere)
                    self._elsewhere.clear()
        finally:
            for job in list(self._open):
                self._abandon(job)
        self._summaries.end()
        for (folder, reason), count in self._by_reason.items():
            if count > 1:
                logger.warning("and %d more files of %s likewise (%s)", count - 1, folder, reason.partition(": ")[2])
        outcome = self.outcome
        outcome.series = self._summaries.series
        outcome.seconds = time.monotonic() - started
        if outcome.clipped:
            logger.warning(
                "%d of %d pixels beyond [%g, %g] HU, which the model was trained on, were clipped to it",
                *(outcome.clipped, outcome.pixels, *self._range),
            )
        return outcome

    def preview(self, jobs: Sequence[Job]) -> None:
        """Makes the pictures that finished files are without, from what is on the disk."""
        for job in jobs:
            try:
                job.show_finished(self._options)
            except InputError as error:
                self._leave_out(job, error)

    def _slices(self, total: int) -> Iterator[_Item]:
        """Every slice of every file, in order; a file that cannot be read is named and left out."""
        while self._waiting:
            job = self._waiting.popleft()
            if not self._claim(job):
                continue
            try:
                with job.translate_errors():
                    source = job.open(self._options)
                    first = source.read(0)
                    self._denoiser.check_shape(str(job.path), first.shape)
                    self._check_instance(job, source)
                    self._begin(job, source)
                    for index in range(source.count):
                        yield _Item(job, source, index, source.read(index) if index else first)
                        if source.count > 1:
                            self._progress(f"denoise {job.path.name}", index + 1, source.count)
            except InputError as error:
                self._leave_out(job, error)
            if total > 1:
                self._progress("denoise", total - len(self._waiting), total)

    def _claim(self, job: Job) -> bool:
        """Whether this call is to denoise a file; one that another call has comes again later."""
        if not self._claims.take(job.name):
            self._elsewhere.append(job)
            return False
        if self._is_done_elsewhere(job):
            self._claims.release(job.name)
            return False
        return True

    def _is_done_elsewhere(self, job: Job) -> bool:
        """Whether another call has done a file, which then counts as skipped."""
        if not (self._claims.shared and self._folder and is_up_to_date(job.path, job.output, self._folder)):
            return False
        self.outcome.skipped += 1
        self._instances.finished([job.path])
        return True

    def _check_instance(self, job: Job, source: Slices) -> None:
        """Raises InputError for a second DICOM file of one SOPInstanceUID: their denoised images would be one, too."""
        if not source.instance_uid:
            return
        if not self._claims.take(source.instance_uid):
            raise InputError(f"{job.path}: has the SOPInstanceUID of a file of another call; remove one of them")
        self._elsewhere = [other for other in self._elsewhere if not self._is_done_elsewhere(other)]
        first = self._instances.first(source.instance_uid, job.path)
        if first != job.path:
            raise InputError(f"{job.path}: has the SOPInstanceUID of {first}; remove one of them")

    def _begin(self, job: Job, source: Slices) -> None:
        job.source = source
        self._open.add(job)
        source.begin(job.output)

    def _batches(self, total: int) -> Iterator[tuple[list[_Item], bool]]:
        """Slices that follow each other, of one shape, as many as fit; and whether to denoise one as a pair."""
        for (height, width), group in itertools.groupby(self._slices(total), key=lambda item: item.hu.shape):
            size = self._settings.batch or max(1, self._denoiser.slices_at_once((height, width), self._settings.memory))
            while batch := list(itertools.islice(group, size)):
                # One image alone is computed in another order and rounds differently, and which one is alone depends on
                # where an earlier call was stopped.
                yield batch, len(batch) == 1 < size

    def _tile(self, shape: tuple[int, ...]) -> int:
        """The side of the tiles for a batch (slices, height, width)."""
        memory, (_, height, width) = self._settings.memory, shape
        if self._settings.tile or self._denoiser.slices_at_once((height, width), memory):
            return self._settings.tile
        return self._denoiser.tile_side(max(_LEAST_SHARE * memory, memory - _BYTES_OF_PIXEL * np.prod(shape)))

    def _denoise(self, batch: list[_Item], paired: bool) -> None:
        hu = np.stack([item.hu for item in batch]) if len(batch) > 1 else batch[0].hu[np.newaxis]
        denoised = self._denoiser.at_once(np.repeat(hu, 2, axis=0) if paired else hu, self._tile(hu.shape))[: len(hu)]
        if self._denoiser.mapping.clip and not self._denoiser.mapping.rescaled:
            beyond = (hu < self._range[0]) | (hu > self._range[1])
            self.outcome.clipped += int(np.count_nonzero(beyond & ~padded(hu))) if beyond.any() else 0
        self.outcome.pixels += hu.size
        measures = [measure(*pair) for pair in zip(hu, denoised, strict=True)]
        self._compare(batch, measures)
        for (job, source, index, before), after, measured in zip(batch, denoised, measures, strict=True):
            if job.source is not source:
                continue  # a later slice of the file could not be read
            try:
                if not np.isfinite(after).all():
                    raise InputError(f"{job.path}: slice {index} became NaN or infinite; check the model")
                with job.translate_errors():
                    source.write(index, after)
            except InputError as error:
                self._leave_out(job, error)
                continue
            job.measures.append(measured)
            if index == job.shown_index(source, preview=self._settings.preview):
                job.show(source, index, before, after)
            if index == source.count - 1:
                self._finish(job, source)

    def _compare(self, batch: list[_Item], measures: list[Measure]) -> None:
        pairs = zip(batch, measures, strict=True)
        for _, group in itertools.groupby(pairs, key=lambda pair: pair[0].source.series):
            items, measured = zip(*group, strict=True)
            self._summaries.compare(items[0].source, measured)

    def _finish(self, job: Job, source: Slices) -> None:
        try:
            if job.changed():
                raise InputError(f"{job.path}: changes while it is read; call again when it is whole")
            with job.translate_errors():
                source.finish()
        except InputError as error:
            self._leave_out(job, error)
            return
        job.source = None
        self._open.discard(job)
        self._claims.release(job.name)
        self._summaries.add(source, job.measures)
        self.outcome.files += 1
        self.outcome.slices += source.count

    def _leave_out(self, job: Job, error: InputError) -> None:
        """Does a file that has changed meanwhile again; names one that is bad, or in strict mode raises its error."""
        self._abandon(job)
        if job.tries < _TRIES and job.changed():
            self._waiting.append(job)
            return
        not_bad = isinstance(error, NotAnImage)
        if not self._folder or (self._settings.strict and not not_bad):
            raise error
        (self.outcome.passed_over if not_bad else self.outcome.left_out)[job.path] = str(error)
        # A series fails as a whole, if it does: its reason is logged once, and for how many more files it holds.
        reason = (job.path.parent, re.sub(r"\d+", "#", str(error).replace(job.path.name, "")))
        self._by_reason[reason] += 1
        if self._by_reason[reason] == 1:
            logger.warning("%s: %s", "passed over" if not_bad else "left out", error)

    def _abandon(self, job: Job) -> None:
        if job.source is not None:
            job.source.abandon()
            self._claims.release(job.source.instance_uid)
        job.source = None
        self._open.discard(job)
        self._claims.release(job.name)
