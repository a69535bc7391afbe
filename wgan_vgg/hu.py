"""Hounsfield units to a generator's training range and back."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from data_prep.tfrecords import load_manifest, low_dose_clip
from wgan_vgg.run_dir import RunDir

_RESCALED_WARNING = (
    "the model was trained on inputs that were min-max rescaled image by image, so its input has no HU: they are "
    "rescaled so here too, and the output's HU are only as good as the network's guess of the range"
)


@dataclasses.dataclass(frozen=True)
class HuMapping:
    """HU = slope * value + intercept, values of the training range being in [0, 1].

    Attributes:
      slope, intercept: of the data that the model was trained on.
      clip: what the conversion of these data clipped low-dose values to, in the training range; None: to nothing, so
        that noise went below 0 and above 1, as it does here then.
      rescaled: in training the low-dose image alone was min-max rescaled, see data_prep.low_dose.min_max_rescale.
    """

    slope: float
    intercept: float
    rescaled: bool = False
    clip: tuple[float, float] | None = None

    @classmethod
    def of_run(cls, run: RunDir) -> "HuMapping":
        """The mapping of the data that a run was trained on.

        Raises:
          InputError: no run, or one of an older version whose data have gone.
        """
        config, data = run.load_config(), run.stored()["data"]
        if "hu_slope" not in data:  # older runs name their data only
            data = load_manifest(Path(data["path"]))
        clip = low_dose_clip(data)
        return cls(data["hu_slope"], data["hu_intercept"], config.data.rescale_low_dose, clip)

    @property
    def range(self) -> tuple[float, float]:
        """The HU of 0 and of 1."""
        return self.intercept, self.intercept + self.slope

    @property
    def warnings(self) -> list[str]:
        """What a user of the model must know."""
        return [_RESCALED_WARNING] if self.rescaled else []

    def describe(self) -> dict[str, Any]:
        """What the metadata of an exported model say; from_description reads it back."""
        return {**dataclasses.asdict(self), "clip": self.clip and list(self.clip), "range": list(self.range)}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> "HuMapping":
        """The mapping that `describe` described."""
        clip = description.get("clip", (0.0, 1.0))  # earlier versions always clipped, in the graph too
        slope, intercept = float(description["slope"]), float(description["intercept"])
        return cls(slope, intercept, bool(description["rescaled"]), clip and (float(clip[0]), float(clip[1])))

    def to_values(self, hu: tf.Tensor) -> tf.Tensor:
        """float32 HU (batch, height, width, 1) as what the generator was trained on: rescaled, clipped or as it is."""
        if self.rescaled:
            low, high = (reduce(hu, axis=(1, 2, 3), keepdims=True) for reduce in (tf.reduce_min, tf.reduce_max))
            return (hu - low) / tf.maximum(high - low, self.slope * np.finfo(np.float32).tiny)
        values = (hu - self.intercept) / self.slope
        return tf.clip_by_value(values, *self.clip) if self.clip else values

    def to_hu(self, values: tf.Tensor) -> tf.Tensor:
        """The generator's float32 output in HU."""
        return self.slope * values + self.intercept
