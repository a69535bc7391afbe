"""One file of a call of `denoise`, from source to output."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_prep.staging import is_disk_full
from wgan_vgg.errors import InputError
from wgan_vgg.image_files.format_registry import open_image
from wgan_vgg.image_files.slices import Options, Slices
from wgan_vgg.inference.preview import write_preview
from wgan_vgg.inference.summary import Measure


@dataclasses.dataclass(eq=False)
class Job:
    """One file to denoise.

    Attributes:
      path, output, picture: the file, and where it and its preview are written.
      name: of the output in its folder, the same however a call spells that folder.
      shown: whether its only slice is to be previewed.
      tries: how often it was begun.
      state: what tells whether the file has changed since.
      source: the open file; None before and after.
      measures: of the slices so far.
    """

    path: Path
    output: Path
    picture: Path
    name: str
    shown: bool
    tries: int = 0
    state: tuple[int, ...] = ()
    source: Slices | None = None
    measures: list[Measure] = dataclasses.field(default_factory=list)

    def changed(self) -> bool:
        """Whether the file is another one than when it was opened."""
        return self.state != _state(self.path)

    def open(self, options: Options) -> Slices:
        """The file, from its beginning.

        Raises:
          InputError: it cannot be opened.
        """
        self.tries, self.state, self.measures = self.tries + 1, _state(self.path), []
        return open_image(self.path, options)

    @contextlib.contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Turns the system's errors at this file into a line that names it; a full disk is full for all files.

        Raises:
          InputError: an error of the system.
        """
        try:
            yield
        except OSError as error:
            if is_disk_full(error):
                raise
            why = error.strerror or error
            raise InputError(f"{self.path}: cannot be denoised ({why}); mend or remove it") from error

    def show(self, source: Slices, index: int, before: np.ndarray, after: np.ndarray) -> None:
        """Writes the picture of a slice in HU (height, width)."""
        title = self.path.name if source.count == 1 else f"{self.path.name}, slice {index + 1} of {source.count}"
        write_preview(self.picture, before, after, title)

    def show_finished(self, options: Options) -> None:
        """Makes the picture of a finished file from what is on the disk, unless there is one that is up to date.

        Raises:
          InputError: one of the two files cannot be read.
        """
        if self.picture.is_file() and self.picture.stat().st_mtime_ns >= self.output.stat().st_mtime_ns:
            return
        with contextlib.closing(self.open(options)) as source:
            if (index := self.shown_index(source, preview=True)) is not None:
                with contextlib.closing(open_image(self.output, options)) as written:
                    self.show(source, index, source.read(index), written.read(index))

    def shown_index(self, source: Slices, *, preview: bool) -> int | None:
        """Which slice is previewed."""
        return source.count // 2 if self.shown or (preview and source.count > 1) else None


def _state(path: Path) -> tuple[int, ...]:
    """What changes with a file's content; () where there is no file any more."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
