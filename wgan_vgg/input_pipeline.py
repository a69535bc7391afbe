"""A folder of TFRecords: its splits, what is known of them, and (low_dose, normal_dose) batches of their images."""

import contextlib
import dataclasses
import functools
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_prep import tfrecords
from data_prep.config import DataConfig
from data_prep.hu import HuScale
from data_prep.json_types import DataSummary, Manifest
from data_prep.manifest import load_manifest, low_dose_clip, shard_paths, transposed, verify
from data_prep.progress import Progress, silent
from wgan_vgg.config import InputConfig
from wgan_vgg.crops import Pair, crop_shape
from wgan_vgg.errors import InputError
from wgan_vgg.patch_stream import shuffled_batches
from wgan_vgg.shares import WHOLE, Share
from wgan_vgg.split_images import ImagesInMemory, ImagesOnDisk, SplitImages

_HASHED_AT_OPENING = 4 * 2**30  # bytes, which take some seconds


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A folder of records that has been checked against its manifest."""

    path: Path
    manifest: Manifest
    _held: dict[str, ImagesInMemory] = dataclasses.field(default_factory=dict, repr=False, compare=False)
    _on_disk: dict[str, ImagesOnDisk] = dataclasses.field(default_factory=dict, repr=False, compare=False)
    _hashed: set[str] = dataclasses.field(default_factory=set, repr=False, compare=False)

    @classmethod
    def open(cls, data_dir: Path) -> "DataSet":
        """Opens a folder of records, hashing every shard where that is quick.

        Raises:
          InputError: it is not a whole data set, or a shard was altered.
        """
        manifest = load_manifest(data_dir)
        data = cls(data_dir, manifest)
        if (
            sum(shard["bytes"] for split in manifest["splits"].values() for shard in split["shards"])
            < _HASHED_AT_OPENING
        ):
            verify(data_dir)
            data._hashed.update(manifest["splits"])
        return data

    @contextlib.contextmanager
    def translate_shard_errors(self) -> Iterator[None]:
        """Turns TensorFlow's error over a record, which names no file, into one that does.

        Raises:
          InputError: a shard was altered since it was written, or cannot be read any more.
        """
        try:
            yield
        except tf.errors.DataLossError:
            verify(self.path)
            raise
        except tf.errors.OpError as error:
            for images in (*self._held.values(), *self._on_disk.values()):
                if images.failure:
                    raise images.failure from error
            raise

    @property
    def config(self) -> DataConfig:
        """The settings it was prepared with."""
        return DataConfig.from_manifest(self.manifest["data"])

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of its splits."""
        return tuple(self.manifest["splits"])

    @property
    def test_photons(self) -> dict[str, float]:
        """The photons of each test split of data of several doses (see data_prep.dose_sweep), else empty."""
        return self.manifest.get("test_photons", {})

    def of_every_dose(self, split: str) -> tuple[str, ...]:
        """The splits that show a split's slices at each dose, beginning with it: itself alone, but for `test`."""
        return (split, *(other for other in self.test_photons if split == "test" and other != split))

    @property
    def tuning_split(self) -> str:
        """Where choices are made, which the test split must not influence: validation or, without it, training."""
        return "validation" if "validation" in self.splits else "train"

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of every image."""
        height, width = self.manifest["image_shape"]
        return height, width

    @property
    def hu(self) -> HuScale:
        """The HU of its images' values."""
        return HuScale.from_manifest(self.manifest)

    @property
    def fingerprint(self) -> str:
        """Identifies a data set: the sha256 of the shards' own sha256."""
        shards = [shard["sha256"] for split in self.manifest["splits"].values() for shard in split["shards"]]
        return hashlib.sha256("".join(shards).encode()).hexdigest()

    @property
    def description(self) -> DataSummary:
        """What results say of the data: its source, its HU and, per split, the counts of patients and images."""
        patients = self.manifest["patients"]
        description: DataSummary = {
            "source": self.manifest["source"],
            "hu_slope": self.manifest["hu_slope"],
            "hu_intercept": self.manifest["hu_intercept"],
            "low_dose_clip": (clip := low_dose_clip(self.manifest)) and list(clip),
            "transposed": transposed(self.manifest),
            "images": {split: entry["records"] for split, entry in self.manifest["splits"].items()},
            "patients": {split: len(ids) if isinstance(ids, list) else ids for split, ids in patients.items()},
            "patients_in_both": self.manifest["patients_in_both"],
        }
        if self.test_photons:
            description["test_photons"] = self.test_photons
        return description

    @property
    def pixel_mm(self) -> float | None:
        """Side of its images' pixels, where it is known and the same in all."""
        spacing = self.manifest.get("pixel_spacing_mm")
        return spacing if isinstance(spacing, float) else None

    def size(self, split: str) -> int:
        """Images in a split.

        Raises:
          InputError: no such split, or an empty one.
        """
        shard_paths(self.path, self.manifest, split)
        return self.manifest["splits"][split]["records"]

    def records(self, split: str) -> tf.data.Dataset:
        """Every record of a split as dicts of tensors (see tfrecords.parse_example), in the order of conversion."""
        parse = functools.partial(tfrecords.parse_example, image_shape=self.image_shape)
        return self._serialized(split).map(parse, tf.data.AUTOTUNE)

    def patient_ids(self, split: str) -> np.ndarray:
        """Whose each record of a split is, text (records,), in the order of conversion."""
        ids = self._serialized(split).map(tfrecords.parse_patient_id, tf.data.AUTOTUNE)
        return np.array([one.decode() for one in ids.as_numpy_iterator()])

    def first(self, split: str, count: int) -> Pair:
        """`count` images spread evenly over a split, always the same: low_dose, normal_dose (count, h, w, 1)."""
        size = self.size(split)
        count = min(count, size)
        chosen = tf.constant([number * size // count for number in range(count)], tf.int64)
        images = self._held.get(split) or self._stored(split)
        return images.patches(chosen, tf.zeros([count, 2], tf.int64), self.image_shape)

    def _serialized(self, split: str) -> tf.data.Dataset:
        """Every serialized record of a split, in the order of conversion.

        Conversion deals records to the shards in turn, so reading the shards in turn restores that order.
        """
        paths = shard_paths(self.path, self.manifest, split)
        return tf.data.Dataset.from_tensor_slices(paths).interleave(
            tf.data.TFRecordDataset, cycle_length=len(paths), block_length=1, num_parallel_calls=tf.data.AUTOTUNE
        )

    def check(self, split: str, progress: Progress = silent) -> None:
        """Hashes the shards of a split unless that was done; of a large data set opening does not.

        Raises:
          InputError: no such split, or a shard was altered.
        """
        self.size(split)
        if split not in self._hashed:
            verify(self.path, split, progress)
            self._hashed.add(split)

    def images(self, split: str, memory_gb: float) -> SplitImages:
        """The images of a split: in memory, from now on, where they take less than so many GB; else on the disk."""
        if self.size(split) * 2 * 4 * math.prod(self.image_shape) < memory_gb * 1e9:
            if split not in self._held:
                self._held[split] = ImagesInMemory(self._stored(split))
            return self._held[split]
        return self._stored(split)

    def _stored(self, split: str) -> ImagesOnDisk:
        """Those on the disk, which were hashed, since patches are read past the records' own checksums."""
        if split not in self._on_disk:
            self.check(split)
            paths = shard_paths(self.path, self.manifest, split)
            self._on_disk[split] = ImagesOnDisk([*map(Path, paths)], self.image_shape)
        return self._on_disk[split]

    def patches(self, split: str, batch_size: int, crops: InputConfig, among: np.ndarray | None = None) -> np.ndarray:
        """The numbers of a split's patches, i * patches_per_image + k: int64 (patches,); arguments, errors: batches."""
        crop_shape(crops, self.image_shape)  # which refuses patches larger than the images
        chosen = np.flatnonzero(np.ones(self.size(split), bool) if among is None else among)
        numbers = (chosen[:, None] * crops.patches_per_image + np.arange(crops.patches_per_image)).reshape(-1)
        if (size := len(numbers)) < batch_size:
            raise InputError(f"batch_size={batch_size}: the {split} split has only {size} images; take {size} or less")
        return numbers

    def batches(
        self,
        split: str,
        batch_size: int,
        seed: int,
        start: int = 0,
        crops: InputConfig | None = None,
        among: np.ndarray | None = None,
        share: Share = WHOLE,
    ) -> tf.data.Dataset:
        """Endless shuffled batches; a pass takes `crops.patches_per_image` of each image, less a last batch not whole.

        Args:
          split: name of the split.
          batch_size: images over all replicas together.
          seed: with the number of the pass, decides its order; with that and the image, its crop and flips.
          start: batches to skip, so that a resumed run sees what an unbroken one would have.
          crops: what is taken of each image; the whole image by default.
          among: which of the split's images, bool (images,); by default all.
          share: the part of each batch that is read here.

        Raises:
          InputError: the split has fewer patches than a batch, its images are smaller than a patch, or a shard was
            altered.
        """
        crops = crops or InputConfig()
        numbers = self.patches(split, batch_size, crops, among)
        return shuffled_batches(
            self.images(split, crops.memory_gb), self.image_shape, numbers, batch_size, crops, seed, start, share
        )
