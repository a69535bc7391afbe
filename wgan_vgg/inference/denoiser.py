"""A trained model as a function of HU images: batches by memory, tiles where a slice is too large."""

import dataclasses
import importlib.util
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wgan_vgg import pretrained
from wgan_vgg.errors import InputError, reason
from wgan_vgg.extent import Extent
from wgan_vgg.hu import HuMapping, padded
from wgan_vgg.image_files.read import read_hu
from wgan_vgg.inference.settings import MEMORY, check_size
from wgan_vgg.json_types import Metadata
from wgan_vgg.run_dir import RunDir

Network = Callable[[np.ndarray], np.ndarray]  # float32 (batch, height, width, 1) to the same shape

_DEVICES = Path("/dev")
_GPUS = ("nvidia[0-9]*", "kfd", "dxg")  # as Nvidia's and AMD's drivers name them, and Windows' Linux


def load(model: str | Path, weights: str = "raw", strength: float = 1.0) -> "Denoiser":
    """A denoiser of HU images, ready to be called.

    Args:
      model: the name of a model that ships with the package (see wgan_vgg.pretrained.index), the folder of a SavedModel
        that experiments.export wrote, a generator.safetensors or generator.onnx of it, or a run directory.
      weights: of a run directory: "raw", "average" or "best".
      strength: 1 gives what the network says, 0 the input, between them their mixture.

    Raises:
      InputError: there is no such model, weights are chosen of what is no run, or the strength is not from 0 to 1.
    """
    if not 0 <= strength <= 1:
        raise InputError(f"strength={strength:g}: must be from 0 (the input) to 1 (the network's output)")
    path = model_path(model)
    RunDir(path).check_weights(weights, model)
    denoiser = Denoiser.from_file(path) if path.is_file() else Denoiser.load(path, weights)
    return dataclasses.replace(denoiser, strength=float(strength))


def model_path(model: str | Path) -> Path:
    """The file or folder that `load` takes for a model; an ONNX file is denoised with without TensorFlow.

    Raises:
      InputError: there is no such model.
    """
    path = pretrained.path_of(model, ".onnx" if onnxruntime_preferred() else ".safetensors")
    if not path.exists():
        raise InputError(f"model {model}: neither a SavedModel nor a run, and none of {', '.join(pretrained.index())}")
    return path


def onnxruntime_preferred() -> bool:
    """Whether onnxruntime is installed and there is no GPU, which TensorFlow would make use of."""
    has_gpu = any(next(_DEVICES.glob(name), None) for name in _GPUS)
    return importlib.util.find_spec("onnxruntime") is not None and not has_gpu


@dataclasses.dataclass(frozen=True)
class Denoiser:
    """A generator between HU and HU.

    Attributes:
      network: float32 (batch, height, width, 1) in the training range and orientation to the same.
      mapping: upright HU to these.
      metadata: what an export says of it.
      extent: how far the network reaches, and what it takes.
      strength: of the network's output in the result, the rest being the input.
    """

    network: Network
    mapping: HuMapping
    metadata: Metadata
    extent: Extent
    strength: float = 1.0

    @classmethod
    def from_file(cls, path: Path) -> "Denoiser":
        """Of a generator.safetensors or generator.onnx that experiments.export wrote, which says its range itself.

        Raises:
          InputError: another file, or a package is missing.
        """
        if path.suffix == ".onnx":
            from wgan_vgg.inference.onnx_network import from_file
        else:
            from wgan_vgg.inference.tensorflow_network import from_file
        try:
            return cls._from_network(*from_file(path))
        except InputError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: not a file of this version ({reason(error)}); export it anew") from error

    @classmethod
    def load(cls, folder: Path, weights: str = "raw") -> "Denoiser":
        """Of a SavedModel that experiments.export wrote, or of a run directory.

        Raises:
          InputError: `folder` is neither, or the run has no such weights.
        """
        from wgan_vgg.inference import tensorflow_network

        if (folder / "saved_model.pb").is_file():
            return cls._from_network(*tensorflow_network.from_saved_model(folder))
        return cls._from_network(*tensorflow_network.from_run(RunDir(folder), weights))

    @classmethod
    def _from_network(cls, network: Network, metadata: Metadata, extent: Extent) -> "Denoiser":
        return cls(network, HuMapping.from_metadata(metadata), metadata, extent)

    @property
    def fingerprint(self) -> str:
        """Tells apart what images were denoised by: the model, and its strength where that is not 1."""
        strength = "" if self.strength == 1 else f" at strength {self.strength:g}"
        # Earlier versions gave upright images to every model.
        return self.metadata["fingerprint"] + (" transposed" if self.mapping.transposed else "") + strength

    @property
    def derivation(self) -> str:
        """What is said of denoised images."""
        named = (self.metadata.get("name"), self.metadata.get("version"), self.metadata.get("model"))
        name = " ".join(map(str, named))
        strength = "" if self.strength == 1 else f", strength {self.strength:g}"
        return f"Denoised by {name}, step {self.metadata.get('step')}{strength}, {self.metadata['fingerprint'][:16]}"

    def check_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """Raises InputError, which begins with `name`, where slices (..., height, width) are too small."""
        least = self.extent.smallest_side
        if min(shape[-2:]) < least:
            raise InputError(f"{name}: slices of {shape[-2]}x{shape[-1]}; the network takes {least}x{least} or more")

    def slices_at_once(self, shape: tuple[int, int], memory: float) -> int:
        """How many slices (height, width) a batch may have in so many bytes; 0 where not even one fits."""
        return int(memory // self._bytes(*shape))

    def tile_side(self, memory: float) -> int:
        """The side of the largest tile that so many bytes allow, at least four times the overlap."""
        least = 4 * self.extent.overlap
        return max(least, int((memory / self._bytes_of_pixel) ** 0.5) - least)

    def _bytes(self, height: int, width: int) -> int:
        return self._bytes_of_pixel * (height + 2 * self.extent.overlap) * width  # with the rows that both halves have

    @property
    def _bytes_of_pixel(self) -> int:
        return 4 * self.extent.maps

    def __call__(self, hu: np.ndarray | str | Path, tile: int = 0) -> np.ndarray:
        """Denoises slices, as many at once as fit MEMORY; padding, see hu.padded, stays what it was.

        Args:
          hu: (slices, height, width) or one slice (height, width) in HU, of any type of real numbers; upright, as
            scanners and radiologists have them. Or the path of an image file or of a folder of such, see read_hu.
          tile: side of the tiles that slices are cut into, less the overlap, rounded up to what the network allows; 0:
            none.

        Returns:
          float32 HU of the same shape; of a path (slices, height, width).

        Raises:
          InputError: another shape, smaller slices than the network takes, NaN or infinite pixels, a path without
            images, or a tile below 0.
        """
        check_size("tile", tile)
        hu = np.asarray(
            read_hu(Path(hu), padding_hu=self.mapping.padding_hu) if isinstance(hu, str | Path) else hu, np.float32
        )
        if hu.ndim not in (2, 3):
            raise InputError(f"hu of shape {hu.shape}: expected (slices, height, width) or (height, width)")
        if not np.isfinite(hu).all():
            raise InputError(f"hu: {np.count_nonzero(~np.isfinite(hu))} NaN or infinite pixels; mend them")
        self.check_shape("hu", hu.shape)
        stack = hu if hu.ndim == 3 else hu[np.newaxis]
        denoised, count = np.empty(stack.shape, np.float32), len(stack)
        height, width = (min(side, tile + 2 * self.extent.overlap) if tile else side for side in stack.shape[1:])
        size = max(1, self.slices_at_once((height, width), MEMORY))
        for start in range(0, count, size):
            # One slice alone rounds differently from several: where it is the last, one more is computed again.
            first = max(0, min(start, count - min(size, 2)))
            denoised[first : start + size] = self.at_once(stack[first : start + size], tile)
        return denoised.reshape(hu.shape)

    def at_once(self, hu: np.ndarray, tile: int = 0) -> np.ndarray:
        """As a call, for finite float32 (slices, height, width), all at once: their memory is the caller's matter."""
        padding = padded(hu)
        seen = np.where(padding, np.float32(self.mapping.padding_hu), hu) if padding.any() else hu
        denoised = self._denoised(seen, tile)
        if self.strength != 1:
            denoised = self.strength * denoised + (1 - self.strength) * hu
        denoised[padding] = hu[padding]
        return denoised

    def _denoised(self, hu: np.ndarray, tile: int) -> np.ndarray:
        tile, overlap = self.extent.aligned(tile), self.extent.overlap
        if tile and not self.mapping.rescaled:  # pixel by pixel, so that only a tile is held in several copies
            return tiled(lambda part: self._denoised(part, 0), hu, tile, overlap)
        values = self.mapping.to_values(hu[..., np.newaxis])
        denoised = tiled(self.network, values, tile, overlap) if tile else self.network(values)
        return np.ascontiguousarray(self.mapping.to_hu(denoised)[..., 0])


def tiled(network: Network, images: np.ndarray, tile: int, overlap: int) -> np.ndarray:
    """network(images), tile by tile, equal to it where `overlap` is what the network reaches.

    Each tile is widened by the overlap, denoised, and cut back; at the image's border it is not widened, so that the
    network pads there as it would the whole.

    Args:
      network: from float32 (batch, height, width, ...) to the same shape.
      images: of such a shape.
      tile: side of the tiles in pixels.
      overlap: pixels.
    """
    height, width = images.shape[1:3]
    denoised = np.empty(images.shape, np.float32)
    for top, left in itertools.product(range(0, height, tile), range(0, width, tile)):
        above, before = min(overlap, top), min(overlap, left)
        widened = images[:, top - above : top + tile + overlap, left - before : left + tile + overlap]
        inner = network(widened)[:, above : above + tile, before : before + tile]
        denoised[:, top : top + tile, left : left + tile] = inner
    return denoised
