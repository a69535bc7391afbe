"""Upright images in Hounsfield units to what a generator was trained on, and back."""

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from data_prep.hu import PADDING_HU, HuScale
from data_prep.json_types import Manifest
from data_prep.manifest import load_manifest, low_dose_clip, transposed
from wgan_vgg.json_types import HuDescription, Metadata, StoredData
from wgan_vgg.run_dir import RunDir

if TYPE_CHECKING:
    import tensorflow as tf

Images = TypeVar("Images", np.ndarray, "tf.Tensor")

_PADDED_SHARE = 0.01  # of an image's pixels: more of one value are no measurements
_PADDED_IN_RUNS = 0.9  # of those: fewer are noise that was cut off below
_RESCALED_WARNING = (
    "the model was trained on inputs that were min-max rescaled image by image, so its input has no HU: they are "
    "rescaled so here too, and the output's HU are only as good as the network's guess of the range"
)


@dataclasses.dataclass(frozen=True)
class HuMapping(HuScale):
    """How upright HU become what a model was trained on, the scale being that of its data.

    Attributes:
      clip: what the conversion of these data clipped low-dose values to, in the training range; None: to nothing, so
        that noise went below 0 and above 1, as it does here then.
      rescaled: in training the low-dose image alone was min-max rescaled, see data_prep.low_dose.min_max_rescale.
      transposed: the model was trained on transposed images, see data_prep.manifest.transposed, so images are
        transposed on the way to it, and back. It matters since noise has a direction, that of the rays that cross most
        tissue: from side to side of a patient.
    """

    rescaled: bool = False
    clip: tuple[float, float] | None = None
    transposed: bool = False

    @classmethod
    def from_run(cls, run: RunDir) -> "HuMapping":
        """The mapping of the data that a run was trained on.

        Raises:
          InputError: no run, or one of an older version whose data have gone.
        """
        config, stored = run.load_config(), run.stored()["data"]
        # Older runs name their data only.
        data: StoredData | Manifest = stored if "hu_slope" in stored else load_manifest(Path(stored["path"]))
        clip = low_dose_clip(data)
        return cls(data["hu_slope"], data["hu_intercept"], config.data.rescale_low_dose, clip, transposed(data))

    @property
    def scale(self) -> HuScale:
        """The scale alone: values as they are, in the orientation that they have."""
        return HuScale(self.slope, self.intercept)

    @property
    def padding_hu(self) -> float:
        """What pixels that are no measurement become: the lowest that a scanner gives, or that the model has seen."""
        return max(PADDING_HU, self.range[0])

    @property
    def warnings(self) -> list[str]:
        """What a user of the model must know."""
        return [_RESCALED_WARNING] if self.rescaled else []

    def describe(self) -> HuDescription:
        """What the metadata of an exported model say under `hu`; from_metadata reads it back."""
        return {  # in this order: a model's fingerprint is of its JSON
            "slope": self.slope,
            "intercept": self.intercept,
            "rescaled": self.rescaled,
            "clip": self.clip and list(self.clip),
            "transposed": self.transposed,
            "range": list(self.range),
        }

    @classmethod
    def from_metadata(cls, metadata: Metadata) -> "HuMapping":
        """The mapping of an exported model, from its metadata."""
        hu = metadata["hu"]
        clip = hu.get("clip", (0.0, 1.0))  # earlier versions always clipped, in the graph too
        return cls(
            float(hu["slope"]),
            float(hu["intercept"]),
            bool(hu["rescaled"]),
            (float(clip[0]), float(clip[1])) if clip else None,
            bool(hu.get("transposed", transposed(metadata.get("training_data", {})))),
        )

    def to_values(self, hu: Images) -> Images:
        """Upright float32 HU (batch, height, width, 1) as what the generator was trained on.

        Returns:
          Values of the training range, rescaled, clipped or as they are; (batch, width, height, 1) if `transposed`.
        """
        hu, functions = self._turned(hu), _functions(hu)
        if self.rescaled:
            low, high = (reduce(hu, axis=(1, 2, 3), keepdims=True) for reduce in (functions.min, functions.max))
            return (hu - low) / functions.maximum(high - low, self.slope * np.finfo(np.float32).tiny)
        values = super().to_values(hu)
        return functions.clip(values, *self.clip) if self.clip else values

    def to_hu(self, values: Images) -> Images:
        """The generator's float32 output as upright HU."""
        return self._turned(super().to_hu(values))

    def _turned(self, images: Images) -> Images:
        """From upright to the training's orientation, or back."""
        return _functions(images).transpose(images, (0, 2, 1, 3)) if self.transposed else images


def padded(hu: np.ndarray) -> np.ndarray:
    """Where images are no measurement though nothing says so: a plateau at the minimum, below all that scanners give.

    Noise that was cut off there, as by a picture's window, lies scattered: of padding nine pixels in ten have another
    one beside them in their row.

    Args:
      hu: HU (batch, height, width), such as -3024 outside a circle.

    Returns:
      True where so, of that shape.
    """
    lowest = hu.min(axis=(1, 2), keepdims=True)
    plateau = (hu == lowest) & (lowest < PADDING_HU)
    share = plateau.mean(axis=(1, 2), keepdims=True)
    beside = np.pad(plateau, ((0, 0), (0, 0), (1, 1)))
    in_runs = plateau & (beside[..., :-2] | beside[..., 2:])
    return plateau & (share > _PADDED_SHARE) & (in_runs.mean(axis=(1, 2), keepdims=True) >= _PADDED_IN_RUNS * share)


def _functions(images: Images) -> ModuleType:
    """The module whose functions take such images: numpy, or of tensors Keras, which numpy arrays do not wait for."""
    if isinstance(images, np.ndarray):
        return np
    from keras import ops

    return ops
