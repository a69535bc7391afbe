"""Volumes in NIfTI-1 and NIfTI-2 (.nii, .nii.gz); nibabel is the optional extra `nifti`."""

import contextlib
import gzip
import io
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wgan_vgg.errors import InputError, module_of_extra, reason
from wgan_vgg.image_files.label_maps import refuse_label_map
from wgan_vgg.image_files.slices import Options, Slices, StoredScale, check_shape, check_size

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from nibabel import Nifti1Image
    from nibabel.arrayproxy import ArrayProxy

_DESCRIP_LENGTH = 79  # of the header's field, with the 0 that ends it


class NiftiSlices(Slices):
    """The slices of the third axis, in HU; read as (second axis, first axis), which is how images are stored.

    The output has the same header, so the same affine, type, slope and intercept; it is held in memory until the end.
    """

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path)
        self._image, self._proxy = _load(path)
        proxy = self._proxy
        shape = (*proxy.shape, 1) if len(proxy.shape) == 2 else proxy.shape
        if len(shape) == 4 and shape[3] == 1:
            shape = shape[:3]
        check_shape(path, shape[::-1], proxy.dtype)
        check_size(path, math.prod(shape) * proxy.dtype.itemsize)
        self._shape, self.count = shape, shape[2]
        low, high = (
            (np.iinfo(proxy.dtype).min, np.iinfo(proxy.dtype).max) if proxy.dtype.kind in "iu" else (-np.inf, np.inf)
        )
        self.spacing_mm = _spacing(self._image)
        self._fingerprint = options.fingerprint
        _check_axes(self._image, path)
        self._scale = StoredScale(float(proxy.slope), float(proxy.inter), proxy.dtype, low, high)

    def read(self, index: int) -> np.ndarray:
        return self._scale.read(self._stored()[:, :, index].T, f"{self.path}: slice {index}")

    def write(self, index: int, hu: np.ndarray) -> None:
        self._denoised[:, :, index] = self._scale.to_stored(hu).T

    def _begin(self, partial: Path) -> None:  # noqa: ARG002
        self._denoised = np.empty(self._shape, self._scale.dtype, order="F")

    def _stored(self) -> np.ndarray:
        if not hasattr(self, "_values"):
            try:
                self._values = np.asanyarray(self._proxy.get_unscaled()).reshape(self._shape)
            except Exception as error:  # zlib, gzip, nibabel and numpy raise many kinds for a damaged file
                raise InputError(f"{self.path}: not readable ({reason(error)}); copy it again") from error
            refuse_label_map(self.path, np.moveaxis(self._values, 2, 0))
        return self._values

    def _end(self, partial: Path) -> None:
        image = self._image
        output = type(image)(self._denoised.reshape(image.shape), image.affine, image.header, dtype=self._scale.dtype)
        output.header.set_slope_inter(self._scale.slope, self._scale.intercept)
        output.header["cal_min"] = output.header["cal_max"] = 0  # the range to show: unknown now
        model, _, how = self._fingerprint.partition(" ")  # the model's sha256 may be cut, what was done with it may not
        texts = filter(None, ("denoised, not for diagnostic use", how, model))
        output.header["descrip"] = "; ".join(texts)[:_DESCRIP_LENGTH]
        with contextlib.ExitStack() as stack:  # nibabel leaves a file open where a full disk ends the writing
            file: io.IOBase = stack.enter_context(partial.open("wb"))
            if partial.suffix.lower() == ".gz":
                file = stack.enter_context(gzip.GzipFile("", "wb", 1, file, mtime=0))
            output.to_stream(file)


def _check_axes(image: "Nifti1Image", path: Path) -> None:
    """Warns of a volume whose slices, by its affine, are not axial or lie transposed; they are read as they lie."""
    from nibabel import aff2axcodes

    if not np.isfinite(image.affine).all():
        return
    across, _, along = axes = aff2axcodes(image.affine)
    if None not in axes and (across not in ("L", "R") or along not in ("S", "I")):
        logger.warning(
            "%s: axes %s by its affine, expected left-right, front-back, head-foot: its slices are denoised as they "
            "lie, which is not as the model knows them; reorient it",
            *(path, "".join(axes)),
        )


def _spacing(image: "Nifti1Image") -> float | None:
    """The side of a pixel in mm (of an oblong one the geometric mean); None where the header does not say."""
    try:
        unit = {"meter": 1000.0, "mm": 1.0, "micron": 0.001}.get(image.header.get_xyzt_units()[0])
    except KeyError:  # a code that the format does not have
        return None
    spacing = math.sqrt(math.prod(map(float, image.header.get_zooms()[:2])))
    return unit * spacing if unit and 0 < spacing < math.inf else None


def _load(path: Path) -> "tuple[Nifti1Image, ArrayProxy]":
    """The volume, and its array in the file, which is not read yet."""
    nibabel = module_of_extra("nibabel", "nifti", f"{path}: NIfTI")
    try:
        image = nibabel.load(path)
    except Exception as error:  # nibabel, gzip and numpy raise many kinds for a wrong file
        raise InputError(f"{path}: not a NIfTI file ({reason(error)}); copy it again") from error
    # NIfTI-2 is a subclass.
    if not (isinstance(image, nibabel.Nifti1Image) and isinstance(image.dataobj, nibabel.arrayproxy.ArrayProxy)):
        raise InputError(f"{path}: {type(image).__name__}, expected NIfTI")
    return image, image.dataobj
