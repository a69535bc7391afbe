"""The slices of a file or of a folder, as one array of HU."""

import contextlib
from pathlib import Path

import numpy as np

from data_prep.hu import PADDING_HU
from wgan_vgg.errors import InputError
from wgan_vgg.image_files.find import find_images
from wgan_vgg.image_files.format_registry import open_image
from wgan_vgg.image_files.slices import Options


def read_hu(path: Path, hu_range: tuple[float, float] | None = None, padding_hu: float = PADDING_HU) -> np.ndarray:
    """All slices of an image file, or of the image files of a folder at any depth.

    Args:
      path: DICOM, NIfTI, .npy, .npz, HDF5, PNG or TIFF, or a folder of such.
      hu_range: the HU of the lowest and the highest value, for files that do not say themselves.
      padding_hu: what pixels become that DICOM marks as no measurement.

    Returns:
      float32 HU (slices, height, width), upright; DICOM files of one slice in the order of their positions along the
      patient, others in the order of the files' names, and the slices of a file in its own.

    Raises:
      InputError: no such path, no image there, one that cannot be read, several DICOM series, or slices of several
        sizes.
    """
    found: list[tuple[float, np.ndarray]] = []
    series: set[str] = set()
    for file in find_images(path):
        with contextlib.closing(open_image(file, Options(hu_range, padding_hu))) as source:
            for index in range(source.count):
                hu = source.read(index)
                found.append((source.position_mm or 0.0, hu))
            series |= {source.series_uid} - {""}
    if len(series) > 1:
        raise InputError(f"{path}: {len(series)} DICOM series; give one series at a time")
    shapes = {hu.shape for _, hu in found}
    if len(shapes) > 1:
        raise InputError(f"{path}: slices of several sizes, {sorted(shapes)}; give one series at a time")
    return np.stack([hu for _, hu in sorted(found, key=lambda slice_: slice_[0])])  # equal positions keep their order
