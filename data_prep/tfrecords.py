"""The record schema; writing a data set whole or not at all.

A data set is a folder of shards `low_dose_ct-SPLIT.tfrecord-00000-of-00004`, with `dataset_info.json` and
`features.json` for TensorFlow Datasets and `manifest.json`, written last, which our reader goes by. It is
written under a temporary name beside its place and appears by one rename.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import tensorflow as tf

from data_prep import tfds_metadata
from data_prep.digests import digest
from data_prep.errors import InputError
from data_prep.json_types import UNKNOWN, Description, Manifest, Shard, Split
from data_prep.manifest import MANIFEST, OWN_DIGEST, own_digest
from data_prep.parts import WHOLE, Part, write_part
from data_prep.progress import Progress, silent
from data_prep.staging import staged_folder

NAME = tfds_metadata.NAME
Item = TypeVar("Item")  # what a record is made of


@dataclasses.dataclass(frozen=True)
class Record:
    """One training pair: two float32 images (height, width) in the training range, and where they come from.

    `photons` is the dose of `low_dose` (see DataConfig.photons), of data that have several.
    """

    low_dose: np.ndarray
    normal_dose: np.ndarray
    patient_id: str | None
    slice_index: int
    source: str
    photons: float | None = None

    def serialize(self) -> bytes:
        """The record as a serialized tf.train.Example; pixels as raw little-endian float32 bytes."""

        example = tf.train.Example()
        features = example.features.feature  # filled in place: a slice is large, and each message passed on is a copy
        for name, image in (("low_dose", self.low_dose), ("normal_dose", self.normal_dose)):
            features[name].bytes_list.value.append(image.astype("<f4", copy=False).tobytes())
        for name, text in (("patient_id", self.patient_id or UNKNOWN), ("source", self.source)):
            features[name].bytes_list.value.append(text.encode())
        height, width = self.normal_dose.shape
        for name, number in (("height", height), ("width", width), ("slice_index", self.slice_index)):
            features[name].int64_list.value.append(number)
        if self.photons is not None:
            features["photons"].float_list.value.append(self.photons)
        return example.SerializeToString(deterministic=True)


def parse_example(serialized: tf.Tensor, image_shape: Sequence[int]) -> dict[str, tf.Tensor]:
    """A serialized record as tensors: `low_dose` and `normal_dose` float32 (height, width, 1), and the scalars.

    `photons` is 0 where the record does not say it.
    """
    text, whole = tf.io.FixedLenFeature([], tf.string), tf.io.FixedLenFeature([], tf.int64)
    features = dict.fromkeys(("low_dose", "normal_dose", "patient_id", "source"), text)
    features |= dict.fromkeys(("height", "width", "slice_index"), whole)
    features["photons"] = tf.io.FixedLenFeature([], tf.float32, default_value=0.0)
    parsed = tf.io.parse_single_example(serialized, features)
    for name in ("low_dose", "normal_dose"):
        parsed[name] = tf.reshape(tf.io.decode_raw(parsed[name], tf.float32), [*image_shape, 1])
    return parsed


def parse_patient_id(serialized: tf.Tensor) -> tf.Tensor:
    """The patient of a serialized record, as text."""
    return tf.io.parse_single_example(serialized, {"patient_id": tf.io.FixedLenFeature([], tf.string)})["patient_id"]


def write_dataset(
    output_dir: Path,
    splits: Mapping[str, Sequence[Item]],
    make_record: Callable[[Item], Record],
    *,
    shards: int,
    description: Description,
    part: Part = WHOLE,
    workers: int | None = None,
    progress: Progress = silent,
) -> Manifest:
    """Writes a data set; the result does not depend on the number of workers, nor of parts.

    Args:
      output_dir: where the data set appears, whole, at the end; must not exist or be empty.
      splits: what each split is made of, in order.
      make_record: turns one item into a Record; called from several threads.
      shards: files per split, at most one per record.
      description: what the manifest says besides shards and counts.
      part: this call's share of the shards; the call that ends last makes the data set, see parts.write_part.
      workers: threads; by default one per core.
      progress: called after each record.

    Returns:
      The manifest; that of the part alone while others are missing.

    Raises:
      InputError: `output_dir` is taken, an image differs in shape from the first, the disk is full, or the parts were
        not made with the same arguments.
    """
    jobs = [
        (f"{NAME}-{split}.tfrecord-{number:05d}-of-{count:05d}", split, items[number::count])
        for split, items in splits.items()
        for count in [min(shards, len(items))]
        for number in range(count)
    ]
    first = make_record(jobs[0][2][0])
    image_shape = first.normal_dose.shape
    own = jobs[part.number :: part.of]
    counter = _Counter(sum(len(items) for _, _, items in own), progress)

    def write(folder: Path) -> Manifest:
        def write_one(job: tuple[str, str, Sequence[Item]]) -> Shard:
            return _write_shard(folder / job[0], job[2], make_record, image_shape, counter)

        with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
            try:
                infos = list(pool.map(write_one, own))
            except BaseException:  # Ctrl-C, too: the pool ends when its threads do, which would be with their shards
                counter.failed = True
                raise
        entries: dict[str, Split] = {split: {"records": 0, "shards": []} for split in splits}
        for (_, split, items), info in zip(own, infos, strict=True):
            entries[split]["records"] += len(items)
            entries[split]["shards"].append(info)
        return {**description, "image_shape": list(image_shape), "splits": entries}

    def finish(folder: Path, manifest: Manifest) -> Manifest:
        manifest["files"] = {}
        for name, content in tfds_metadata.files(manifest, has_photons=first.photons is not None).items():
            (folder / name).write_text(json.dumps(content, indent=1) + "\n")
            manifest["files"][name] = digest(folder / name)
        manifest[OWN_DIGEST] = own_digest(manifest)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        return manifest

    if part != WHOLE:
        return write_part(output_dir, part, {**description, "image_shape": list(image_shape)}, write, finish)
    with staged_folder(output_dir) as folder:
        return finish(folder, write(folder))


class _Counter:
    """Counts records over all threads; where one has failed, all stop at the next record."""

    def __init__(self, total: int, progress: Progress) -> None:
        self.done, self.total, self.failed = 0, total, False
        self._progress = progress

    def advance(self) -> None:
        self.done += 1
        self._progress("convert to TFRecord", self.done, self.total)


def _write_shard(
    path: Path,
    items: Sequence[Item],
    make_record: Callable[[Item], Record],
    image_shape: tuple[int, ...],
    counter: _Counter,
) -> Shard:
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for item in items:
                if counter.failed:
                    break
                record = make_record(item)
                if not record.low_dose.shape == record.normal_dose.shape == image_shape:
                    raise InputError(
                        f"{record.source}: images of shape {record.low_dose.shape} and {record.normal_dose.shape}, "
                        f"expected {image_shape} as in the first record; convert them separately"
                    )
                writer.write(record.serialize())
                counter.advance()
        return {"file": path.name, "records": len(items), "bytes": path.stat().st_size, "sha256": digest(path)}
    except BaseException:
        counter.failed = True
        raise
