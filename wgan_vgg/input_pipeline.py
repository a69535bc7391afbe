"""TFRecords -> (low_dose, normal_dose) batches whose order depends only on the seed and the position."""

import contextlib
import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_prep import tfrecords
from data_prep.config import DataConfig
from data_prep.hu import HuScale
from data_prep.json_types import DataSummary, Manifest
from data_prep.manifest import load_manifest, low_dose_clip, shard_paths, transposed, verify
from wgan_vgg.config import InputConfig
from wgan_vgg.crops import Pair, crop_pairs, crop_shape
from wgan_vgg.errors import InputError

# A split this large is read anew in every pass; a smaller one stays in memory, decoded.
_CACHE_BYTES = 4 * 2**30
_SHUFFLE_BYTES = 1 * 2**30
_PARSED_AT_ONCE = 16


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A folder of records that has been checked against its manifest."""

    path: Path
    manifest: Manifest
    _held: dict[str, Pair] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, data_dir: Path) -> "DataSet":
        """Opens a folder of records, hashing every shard where that is quick.

        Raises:
          InputError: it is not a whole data set, or a shard was altered.
        """
        manifest = load_manifest(data_dir)
        if sum(shard["bytes"] for split in manifest["splits"].values() for shard in split["shards"]) < _CACHE_BYTES:
            verify(data_dir)
        return cls(data_dir, manifest)

    @contextlib.contextmanager
    def translate_shard_errors(self) -> Iterator[None]:
        """Turns TensorFlow's error over a corrupt record, which names no file, into one that does.

        Raises:
          InputError: a shard was altered since it was written.
        """
        try:
            yield
        except tf.errors.DataLossError:
            verify(self.path)
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
        if split in self._held:
            with tf.device("/cpu:0"):
                return _take(self._held[split], chosen)
        serialized = self._serialized(split).enumerate().filter(lambda index, _: tf.reduce_any(index == chosen))
        return self._parse(next(iter(serialized.map(lambda _, record: record).batch(count))))

    def _serialized(self, split: str) -> tf.data.Dataset:
        """Every serialized record of a split, in the order of conversion.

        Conversion deals records to the shards in turn, so reading the shards in turn restores that order.
        """
        paths = shard_paths(self.path, self.manifest, split)
        return tf.data.Dataset.from_tensor_slices(paths).interleave(
            tf.data.TFRecordDataset, cycle_length=len(paths), block_length=1, num_parallel_calls=tf.data.AUTOTUNE
        )

    def _repeated(self, split: str, repeats: int) -> tf.data.Dataset:
        """(index, serialized record), every record `repeats` times in succession."""
        records = self._serialized(split)
        if repeats > 1:
            records = records.flat_map(lambda record: tf.data.Dataset.from_tensors(record).repeat(repeats))
        return records.enumerate()

    def _parse(self, serialized: tf.Tensor) -> Pair:
        return tfrecords.parse_pairs(serialized, self.image_shape)

    def _fits_in_memory(self, split: str) -> bool:
        return self.size(split) * self._pair_bytes < _CACHE_BYTES

    def _hold(self, split: str) -> Pair:
        """All images of a split, decoded, from its first use on in memory."""
        if split not in self._held:
            with tf.device("/cpu:0"):  # the memory of a GPU is for training
                parsed = self._serialized(split).batch(_PARSED_AT_ONCE).map(self._parse, tf.data.AUTOTUNE)
                low_dose, normal_dose = [], []
                for one, other in parsed:
                    low_dose.append(one)
                    normal_dose.append(other)
                held = []
                for parts in (low_dose, normal_dose):
                    held.append(tf.concat(parts, axis=0))
                    parts.clear()  # bounds peak memory
            self._held[split] = held[0], held[1]
        return self._held[split]

    @property
    def _pair_bytes(self) -> int:
        return 2 * 4 * self.image_shape[0] * self.image_shape[1]

    def batches(
        self,
        split: str,
        batch_size: int,
        seed: int,
        start: int = 0,
        crops: InputConfig | None = None,
        among: np.ndarray | None = None,
    ) -> tf.data.Dataset:
        """Endless shuffled batches; a pass takes `crops.patches_per_image` of each image, less a last batch not whole.

        Args:
          split: name of the split.
          batch_size: images over all replicas together.
          seed: with the number of the pass, decides its order; with that and the image, its crop and flips.
          start: batches to skip, so that a resumed run sees what an unbroken one would have.
          crops: what is taken of each image; the whole image by default.
          among: which of the split's images, bool (images,); by default all.

        Raises:
          InputError: the split has fewer patches than a batch, or its images are smaller than a patch.
        """
        crops = crops or InputConfig()
        crop_shape(crops, self.image_shape)
        repeats = crops.patches_per_image
        images_of_split = self.size(split)
        size = repeats * (images_of_split if among is None else int(np.count_nonzero(among)))
        if size < batch_size:
            raise InputError(f"batch_size={batch_size}: the {split} split has only {size} images; take {size} or less")
        held = self._hold(split) if self._fits_in_memory(split) else None
        source = tf.data.Dataset.range(images_of_split * repeats) if held else self._repeated(split, repeats)
        if among is not None:
            mask = tf.constant(among)
            source = source.filter(lambda index, *_: mask[index // repeats])
        buffer = min(size, max(batch_size, _SHUFFLE_BYTES // self._pair_bytes))

        def one_pass(number: tf.Tensor) -> tf.data.Dataset:
            def images(indices: tf.Tensor, serialized: tf.Tensor | None = None) -> Pair:
                # Patch number k of image i has the index i * repeats + k, which with the pass decides its crop.
                pair = _take(held, indices // repeats) if held else self._parse(serialized)
                return crop_pairs(pair, crops, tf.stack([tf.fill([batch_size], number + seed), indices], axis=1))

            shuffled = source.shuffle(buffer, seed=number + seed, reshuffle_each_iteration=False)
            return shuffled.batch(batch_size, drop_remainder=True).map(images, tf.data.AUTOTUNE)

        passes = tf.data.Dataset.counter(start // (size // batch_size))
        batches = passes.flat_map(one_pass).skip(start % (size // batch_size)).prefetch(tf.data.AUTOTUNE)
        options = tf.data.Options()
        # To rewrite a graph TensorFlow writes it out, with all images that it holds: twice the memory, and seconds.
        options.experimental_optimization.apply_default_optimizations = held is None
        return batches.with_options(options)


def _take(held: Pair, indices: tf.Tensor) -> Pair:
    low_dose, normal_dose = (tf.gather(images, indices) for images in held)
    return low_dose, normal_dose
