"""The DICOM files of a call by their SOPInstanceUID."""

from collections.abc import Iterable
from pathlib import Path

from wgan_vgg.image_files.format_registry import instance_uid


class Instances:
    """The first file of each SOPInstanceUID: denoised images of two files of one would be one, too."""

    def __init__(self) -> None:
        self._first: dict[str, Path] = {}
        self._finished: list[Path] = []  # whose SOPInstanceUIDs nobody has asked for yet

    def finished(self, paths: Iterable[Path]) -> None:
        """Takes files that were done before or by other calls; their headers are read if it comes to a comparison."""
        self._finished += paths

    def first(self, uid: str, path: Path) -> Path:
        """The first file of an SOPInstanceUID, which is `path` if there was none yet."""
        while self._finished:
            done = self._finished.pop()
            self._first.setdefault(instance_uid(done), done)
        return self._first.setdefault(uid, path)
