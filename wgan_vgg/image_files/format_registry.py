"""The format of an image file: by its magic bytes, then by its extension."""

from collections.abc import Callable
from pathlib import Path

from wgan_vgg.errors import InputError
from wgan_vgg.image_files.array_io import Hdf5Slices, NpySlices, NpzSlices
from wgan_vgg.image_files.enhanced_io import open_dicom, read_instance_uid
from wgan_vgg.image_files.nifti_io import NiftiSlices
from wgan_vgg.image_files.picture_io import PngSlices, TiffSlices
from wgan_vgg.image_files.slices import Options, Slices

Format = Callable[[Path, Options], Slices]
_MAGIC_BYTES: dict[bytes, Format] = {
    b"\x93NUMPY": NpySlices,
    b"\x89HDF\r\n\x1a\n": Hdf5Slices,
    b"\x89PNG": PngSlices,
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TiffSlices),
}
# A damaged file is known by its extension, so that it is reported and not passed over.
_EXTENSIONS: dict[str, Format] = {
    **dict.fromkeys((".dcm", ".ima"), open_dicom),
    **dict.fromkeys((".nii", ".nii.gz"), NiftiSlices),
    **dict.fromkeys((".hdf5", ".h5"), Hdf5Slices),
    **dict.fromkeys((".tif", ".tiff"), TiffSlices),
    ".npy": NpySlices,
    ".npz": NpzSlices,
    ".png": PngSlices,
}


def open_image(path: Path, options: Options) -> Slices:
    """Opens an image file.

    Raises:
      InputError: it is none, or cannot be read.
    """
    open_file = format_of(path)
    if open_file is None:
        raise InputError(f"{path}: no image file; expected DICOM, NIfTI, .npy, .npz, HDF5, PNG or TIFF")
    return open_file(path, options)


def instance_uid(path: Path) -> str:
    """The SOPInstanceUID of a DICOM file, of which only the header is read; "" of other and of unreadable files."""
    try:
        return read_instance_uid(path) if format_of(path) is open_dicom else ""
    except InputError:
        return ""


def format_of(path: Path) -> Format | None:
    """How to open a file; None where it is no image file.

    Raises:
      InputError: the file cannot be read at all.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(132)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if beginning[128:] == b"DICM":  # first: its preamble may look like a TIFF
        return open_dicom if path.name != "DICOMDIR" else None
    for magic, open_file in _MAGIC_BYTES.items():
        if beginning.startswith(magic):
            return open_file
    return named_format(path)


def named_format(path: Path) -> Format | None:
    """How to open a file with such an extension; None where it says nothing."""
    name = path.name.lower()
    return next((open_file for extension, open_file in _EXTENSIONS.items() if name.endswith(extension)), None)
