"""Files of CT slices, or trees of them, to denoised files of the same kinds."""

import contextlib
import dataclasses
import itertools
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep.dicom import AIR_HU
from data_prep.errors import InputError
from data_prep.staging import locked, naming_full_disk
from wgan_vgg.deploy.inference import Denoiser
from wgan_vgg.deploy.kinds import kind_of
from wgan_vgg.deploy.preview import write_preview
from wgan_vgg.deploy.slices import Options, Slices
from wgan_vgg.deploy.targets import check_output, claim_folder, find_targets, is_done, middles

logger = logging.getLogger(__name__)

# Called as progress(stage, done, total).
Progress = Callable[[str, int, int], None]
PREVIEWS = "previews"


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to denoise.

    Attributes:
      hu_range: the HU of the lowest and the highest value, for files that do not say themselves.
      batch: slices at once; 0: as many as `memory` allows.
      tile: side of the tiles that slices are cut into; 0: whole slices, or tiles where not even one fits `memory`.
      memory: bytes that the network may take, roughly.
      strict: the first bad file is an error; else bad files are named, counted and left out.
      overwrite: replace what is there.
      preview: a picture, before and after, of the middle slice of each series and volume.

    Raises:
      InputError: a value that makes no sense.
    """

    hu_range: tuple[float, float] | None = None
    batch: int = 0
    tile: int = 0
    memory: float = 1e9
    strict: bool = False
    overwrite: bool = False
    preview: bool = False

    def __post_init__(self) -> None:
        for name in ("batch", "tile"):
            if getattr(self, name) < 0:
                raise InputError(f"{name}={getattr(self, name)}: must be 0 (chosen by memory) or more")
        if not self.memory > 0:
            raise InputError(f"memory={self.memory:g}: must be above 0")
        if self.hu_range and not -np.inf < self.hu_range[0] < self.hu_range[1] < np.inf:
            raise InputError(f"hu_range={self.hu_range}: the first must be below the second")


@dataclasses.dataclass
class Outcome:
    """What a call did. `skipped` files were there already; `failed` ones could not be read, each was named."""

    files: int = 0
    slices: int = 0
    skipped: int = 0
    failed: int = 0
    pixels: int = 0
    clipped: int = 0
    seconds: float = 0.0


class _Job:
    """One file under way; `shown` is the slice to preview, `open` until it is finished or abandoned."""

    def __init__(self, source: Slices, output: Path, shown: int | None) -> None:
        self.source, self.output, self.shown, self.open = source, output, shown, True


class _Item(NamedTuple):
    job: _Job
    index: int
    hu: np.ndarray


def denoise(
    denoiser: Denoiser, input_path: Path, output: Path, settings: Settings, progress: Progress | None = None
) -> Outcome:
    """Denoises a file to a file, or all image files of a folder, at any depth, to files of the same names.

    Each output appears whole or not at all; in a folder, the same call goes on with what is missing or out of date.

    Raises:
      InputError: no such input, an output that is taken or by another model, a full disk, or not a single file could be
        read.
    """
    for warning in denoiser.mapping.warnings:
        logger.warning("%s", warning)
    targets, is_folder = find_targets(input_path, output), input_path.is_dir()
    check_output(input_path, output, overwrite=settings.overwrite)
    base = output if is_folder else output.parent
    shown = middles(list(targets)) if settings.preview else set()
    pictures = {target: base / PREVIEWS / f"{target.relative_to(base)}.png" for target in targets.values()}
    with contextlib.ExitStack() as stack:
        stack.enter_context(naming_full_disk(f"output {output}", output))
        if is_folder:
            output.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(output, f"output {output}: another call writes there; wait, or take another"))
            hu_range = settings.hu_range and [*settings.hu_range]
            origin = {"fingerprint": denoiser.metadata["fingerprint"], "hu_range": hu_range}
            claim_folder(input_path, output, origin, overwrite=settings.overwrite)
        elif shown and not settings.overwrite and pictures[output].exists():
            raise InputError(f"preview {pictures[output]}: exists already; add --overwrite or take another output")
        done = {path for path, target in targets.items() if is_folder and is_done(path, target, output)}
        missing = {path: target for path, target in targets.items() if path not in done}
        work = _Work(denoiser, settings, missing, shown, pictures, progress, strict=settings.strict or not is_folder)
        work.outcome.skipped = len(done)
        work.run()
    if not work.outcome.files and not work.outcome.skipped:
        raise InputError(f"input {input_path}: not one file there could be denoised; see the warnings before this")
    return work.outcome


class _Work:
    """A call of `denoise`, from the first file to the last."""

    def __init__(
        self,
        denoiser: Denoiser,
        settings: Settings,
        targets: dict[Path, Path],
        shown: set[Path],
        pictures: dict[Path, Path],
        progress: Progress | None,
        *,
        strict: bool,
    ) -> None:
        self._denoiser, self._settings, self._targets = denoiser, settings, targets
        self._shown, self._pictures, self._strict = shown, pictures, strict
        self._progress = progress or (lambda *_: None)
        self._range = denoiser.mapping.range
        self._open: set[_Job] = set()
        self.outcome = Outcome()

    def run(self) -> None:
        """Denoises all targets; what is half written when it ends, however it ends, is removed."""
        started = time.monotonic()
        try:
            for batch, paired in self._batches():
                self._denoise(batch, paired)
        finally:
            for job in list(self._open):
                self._abandon(job)
        outcome = self.outcome
        outcome.seconds = time.monotonic() - started
        if outcome.clipped:
            logger.warning(
                "%d of %d pixels beyond [%g, %g] HU, which the model was trained on, were clipped to it",
                *(outcome.clipped, outcome.pixels, *self._range),
            )
        if outcome.failed:
            logger.warning("%d files could not be read and were left out", outcome.failed)

    def _slices(self) -> Iterator[_Item]:
        """Every slice of every file, in order; a file that cannot be read is named and left out."""
        low = max(AIR_HU, self._range[0])
        metadata = self._denoiser.metadata
        options = Options(self._settings.hu_range, low, metadata["fingerprint"], self._denoiser.derivation)
        for done, (path, output) in enumerate(self._targets.items(), start=1):
            job = None
            try:
                source = kind_of(path)(path, options)
                first = source.read(0)
                job = self._begin(source, output)
                for index in range(source.count):
                    yield _Item(job, index, source.read(index) if index else first)
                    if source.count > 1:
                        self._progress(f"denoise {path.name}", index + 1, source.count)
            except InputError as error:
                self._leave_out(job, error)
            if len(self._targets) > 1:
                self._progress("denoise", done, len(self._targets))

    def _begin(self, source: Slices, output: Path) -> _Job:
        volume = self._settings.preview and source.count > 1
        job = _Job(source, output, source.count // 2 if volume or source.path in self._shown else None)
        self._open.add(job)
        source.begin(output)
        return job

    def _batches(self) -> Iterator[tuple[list[_Item], bool]]:
        """Slices that follow each other, of one shape, as many as fit; and whether to denoise one as a pair."""
        for shape, group in itertools.groupby(self._slices(), key=lambda item: item.hu.shape):
            size = self._settings.batch or max(1, self._denoiser.slices_at_once(shape, self._settings.memory))
            while batch := list(itertools.islice(group, size)):
                # One image alone is computed in another order and rounds differently, and which one is alone depends on
                # where an earlier call was stopped.
                yield batch, len(batch) == 1 < size

    def _denoise(self, batch: list[_Item], paired: bool) -> None:
        hu = np.stack([item.hu for item in batch])
        tile = self._settings.tile
        if not tile and not self._denoiser.slices_at_once(hu.shape[1:], self._settings.memory):
            tile = self._denoiser.tile_side(self._settings.memory)
        denoised = self._denoiser(np.repeat(hu, 2, axis=0) if paired else hu, tile)[: len(hu)]
        if not self._denoiser.mapping.rescaled:
            self.outcome.clipped += int(np.count_nonzero((hu < self._range[0]) | (hu > self._range[1])))
        self.outcome.pixels += hu.size
        for (job, index, before), after in zip(batch, denoised, strict=True):
            if not job.open:
                continue  # a later slice of the file could not be read
            job.source.write(index, after)
            if index == job.shown:
                write_preview(self._pictures[job.output], before, after)
            self.outcome.slices += 1
            if index == job.source.count - 1:
                self._finish(job)

    def _finish(self, job: _Job) -> None:
        try:
            job.source.finish()
        except InputError as error:
            self._leave_out(job, error)
            return
        job.open = False
        self._open.discard(job)
        self.outcome.files += 1

    def _leave_out(self, job: _Job | None, error: InputError) -> None:
        """Names and counts a bad file; in strict mode raises its error."""
        if job:
            self._abandon(job)
        if self._strict:
            raise error
        self.outcome.failed += 1
        logger.warning("left out: %s", error)

    def _abandon(self, job: _Job) -> None:
        job.open = False
        self._open.discard(job)
        job.source.abandon()
