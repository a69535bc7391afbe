"""Which kind of image file a file is, by its content where that tells."""

from collections.abc import Callable
from pathlib import Path

from wgan_vgg.errors import InputError
from wgan_vgg.image_files.array_io import Hdf5Slices, NpySlices, NpzSlices
from wgan_vgg.image_files.enhanced_io import open_dicom
from wgan_vgg.image_files.nifti_io import NiftiSlices
from wgan_vgg.image_files.picture_io import PngSlices, TiffSlices
from wgan_vgg.image_files.slices import Options, Slices

Kind = Callable[[Path, Options], Slices]
_BEGINNINGS: dict[bytes, Kind] = {
    b"\x93NUMPY": NpySlices,
    b"\x89HDF\r\n\x1a\n": Hdf5Slices,
    b"\x89PNG": PngSlices,
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TiffSlices),
}
# Also what a damaged file of a kind is known by, so that it is named and not passed over.
_ENDINGS: dict[str, Kind] = {
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
    kind = kind_of(path)
    if kind is None:
        raise InputError(f"{path}: no image file; expected DICOM, NIfTI, .npy, .npz, HDF5, PNG or TIFF")
    return kind(path, options)


def kind_of(path: Path) -> Kind | None:
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
    for known, kind in _BEGINNINGS.items():
        if beginning.startswith(known):
            return kind
    return next((kind for ending, kind in _ENDINGS.items() if path.name.lower().endswith(ending)), None)
