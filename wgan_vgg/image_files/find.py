"""Which files of a folder are images."""

import logging
import os
from pathlib import Path

from wgan_vgg.errors import InputError
from wgan_vgg.image_files.format_registry import format_of

logger = logging.getLogger(__name__)

STATE = "denoise.json"  # in a folder that denoise has written: what its files come from, and which they are
PREVIEWS = "previews"  # beside it: pictures of them


def find_images(path: Path) -> list[Path]:
    """An image file, or those of a folder at any depth, by name.

    Raises:
      InputError: no such path, or no image there.
    """
    if path.is_file():
        if format_of(path) is None:
            raise InputError(f"input {path}: not DICOM, NIfTI, .npy, .npz, HDF5, PNG or TIFF")
        return [path]
    if not path.is_dir():
        raise InputError(f"input {path}: no such file or folder")
    files = _files(path)
    found = [file for file in files if _is_image(file)]
    if not found:
        raise InputError(f"input {path}: none of its {len(files)} files is DICOM or another image format")
    if len(found) < len(files):
        logger.warning("%d files of %s are no images and were passed over", len(files) - len(found), path)
    return found


def _files(root: Path) -> list[Path]:
    """All files at any depth, behind links too; but no folder twice, and no previews that denoise has made."""

    def refuse(error: OSError) -> None:
        raise InputError(f"input {error.filename}: cannot be read ({error.strerror})") from error

    files: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for folder, subfolders, names in os.walk(root, onerror=refuse, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if name != PREVIEWS or STATE not in names)
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:  # a link to where the walk has been
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        # Hidden files are what other systems leave beside the real ones (._NAME.dcm of macOS).
        files += [path for name in names if not name.startswith(".") and (path := Path(folder, name)).is_file()]
    return sorted(files)


def _is_image(path: Path) -> bool:
    """Whether a file is to be denoised; one that cannot be read may be, and is named when its turn comes."""
    try:
        return format_of(path) is not None
    except InputError:
        return True
