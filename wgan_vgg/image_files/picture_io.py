"""Grey PNG and TIFF pictures, whose values stand for a range of HU that the user states."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from wgan_vgg.errors import InputError, reason
from wgan_vgg.image_files.label_maps import refuse_label_map
from wgan_vgg.image_files.slices import Options, Slices, StoredScale, check_shape, check_size


class _Picture(Slices):
    """One slice, or in TIFF several pages; whole numbers go from 0 to their type's highest, fractions from 0 to 1."""

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path)
        if options.hu_range is None:
            raise InputError(
                f"{path}: a picture does not say its HU; give those of black and white as --hu_range=LOW,HIGH"
            )
        try:
            self._pages = self._load()
        except InputError:
            raise
        except Exception as error:  # the decoders raise many kinds for a damaged file
            raise InputError(f"{path}: not a readable picture ({reason(error)}); copy it again or remove it") from error
        refuse_label_map(path, self._pages)
        self.count = len(self._pages)
        self._scale = StoredScale.of(self._pages.dtype, options.hu_range)

    def _load(self) -> np.ndarray:
        """The pages (count, height, width)."""
        raise NotImplementedError

    def read(self, index: int) -> np.ndarray:
        return self._scale.read(self._pages[index], f"{self.path}: page {index}")

    def write(self, index: int, hu: np.ndarray) -> None:
        self._pages[index] = self._scale.to_stored(hu)  # in place: a page is read before it is written


class PngSlices(_Picture):
    """8 or 16 bits, grey."""

    def _load(self) -> np.ndarray:
        from PIL import Image, PngImagePlugin

        with Image.open(self.path, formats=["PNG"]) as image:
            if not isinstance(image, PngImagePlugin.PngImageFile) or image.mode not in ("L", "I;16"):
                raise InputError(
                    f"{self.path}: a picture of mode {image.mode}, expected grey, 8 or 16 bits, no palette"
                )
            check_shape(self.path, (1, image.height, image.width), np.dtype(np.uint8))  # before it is unpacked
            pixels = np.array(image)[np.newaxis]
            self._texts, self._dpi = dict(image.text), image.info.get("dpi")  # texts may stand behind the pixels
            return pixels

    def _end(self, partial: Path) -> None:
        from PIL import Image, PngImagePlugin

        texts = PngImagePlugin.PngInfo()
        for name, text in self._texts.items():
            texts.add_text(name, str(text))
        Image.fromarray(self._pages[0]).save(
            partial, format="PNG", pnginfo=texts, **({"dpi": self._dpi} if self._dpi else {})
        )


class TiffSlices(_Picture):
    """Whole numbers or fractions, grey, one or more pages; the output keeps resolution, description and software.

    It is compressed, without loss, where the file was: by deflate, whatever that one's method.
    """

    def _load(self) -> np.ndarray:
        import tifffile

        with tifffile.TiffFile(self.path) as file:
            pages = list(file.pages)
            page, count = file.pages.first, len(pages)
            if page.photometric != tifffile.PHOTOMETRIC.MINISBLACK or page.samplesperpixel != 1:
                photometric = getattr(page.photometric, "name", page.photometric)
                raise InputError(
                    f"{self.path}: {photometric} of {page.samplesperpixel} samples per pixel, expected MINISBLACK of 1"
                )
            if page.dtype is None or page.bitspersample != 8 * page.dtype.itemsize:
                raise InputError(f"{self.path}: {page.bitspersample} bits per pixel, expected 8, 16, 32 or 64")
            if any((each.shape, each.dtype) != (page.shape, page.dtype) for each in pages):
                raise InputError(f"{self.path}: pages of several sizes or types; split it into several files")
            if (file.is_imagej or file.is_shaped) and sum(one.size for one in file.series) > count * page.size:
                raise InputError(f"{self.path}: several pages under the header of one; save each page with its own")
            check_shape(self.path, (count, *page.shape), page.dtype)  # before it is unpacked
            check_size(self.path, count * page.nbytes)
            self._kept: dict[str, Any] = {  # arguments of imwrite
                "resolution": page.resolution,
                "resolutionunit": page.resolutionunit,
                "description": page.description.encode() or None,  # text it would take in ASCII only
                "software": page.software.encode() or None,
                "metadata": None,
                "compression": None if page.compression == tifffile.COMPRESSION.NONE else "zlib",
            }
            return np.stack([each.asarray() for each in pages])

    def _end(self, partial: Path) -> None:
        import tifffile

        content = io.BytesIO()  # into a file numpy would write, which does not say that a disk is full
        tifffile.imwrite(content, self._pages, photometric="minisblack", **self._kept)
        partial.write_bytes(content.getvalue())
