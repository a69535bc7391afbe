"""The record schema; writing a data set whole or not at all; refusing one that is not whole.

A data set is a folder of shards `low_dose_ct-SPLIT.tfrecord-00000-of-00004`, with `dataset_info.json` and
`features.json` for TensorFlow Datasets and `manifest.json`, written last, which our reader goes by. It is
written under a temporary name beside its place and appears by one rename.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from data_prep import tfds_metadata
from data_prep.errors import InputError
from data_prep.progress import Progress, silent
from data_prep.staging import staged_folder

MANIFEST = "manifest.json"
NAME = tfds_metadata.NAME
UNKNOWN_PATIENT = "unknown"
_OWN_DIGEST = "sha256"  # of the manifest itself


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
        for name, text in (("patient_id", self.patient_id or UNKNOWN_PATIENT), ("source", self.source)):
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


def parse_pairs(serialized: tf.Tensor, image_shape: Sequence[int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Serialized records (batch,) as `low_dose` and `normal_dose`: float32 (batch, height, width, 1)."""
    names = ("low_dose", "normal_dose")
    parsed = tf.io.parse_example(serialized, dict.fromkeys(names, tf.io.FixedLenFeature([], tf.string)))
    low_dose, normal_dose = (
        tf.reshape(tf.io.decode_raw(parsed[name], tf.float32), [tf.size(serialized), *image_shape, 1]) for name in names
    )
    return low_dose, normal_dose


def write_dataset(
    output_dir: Path,
    splits: Mapping[str, Sequence[Any]],
    make_record: Callable[[Any], Record],
    *,
    shards: int,
    description: Mapping[str, Any],
    workers: int | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Writes a data set; the result does not depend on the number of workers.

    Args:
      output_dir: where the data set appears, whole, at the end; must not exist or be empty.
      splits: what each split is made of, in order.
      make_record: turns one item into a Record; called from several threads.
      shards: files per split, at most one per record.
      description: what the manifest says besides shards and counts.
      workers: threads; by default one per core.
      progress: called after each record.

    Returns:
      The manifest.

    Raises:
      InputError: `output_dir` is taken, an image differs in shape from the first, or the disk is full.
    """
    with staged_folder(output_dir) as folder:
        jobs = [
            (f"{NAME}-{split}.tfrecord-{number:05d}-of-{count:05d}", split, items[number::count])
            for split, items in splits.items()
            for count in [min(shards, len(items))]
            for number in range(count)
        ]
        first = make_record(jobs[0][2][0])
        image_shape = first.normal_dose.shape
        counter = _Counter(sum(len(items) for items in splits.values()), progress)

        def write(job: tuple[str, str, Sequence[Any]]) -> dict[str, Any]:
            return _write_shard(folder / job[0], job[2], make_record, image_shape, counter)

        with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
            infos = list(pool.map(write, jobs))
        manifest = {**description, "image_shape": list(image_shape), "splits": {}}
        for (_, split, items), info in zip(jobs, infos, strict=True):
            entry = manifest["splits"].setdefault(split, {"records": 0, "shards": []})
            entry["records"] += len(items)
            entry["shards"].append(info)
        manifest["files"] = {}
        for name, content in tfds_metadata.files(manifest, has_photons=first.photons is not None).items():
            (folder / name).write_text(json.dumps(content, indent=1) + "\n")
            manifest["files"][name] = sha256(folder / name)
        manifest[_OWN_DIGEST] = own_digest(manifest)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


class _Counter:
    """Counts records over all threads; a failed thread makes the others stop."""

    def __init__(self, total: int, progress: Progress) -> None:
        self.done, self.total, self.failed = 0, total, False
        self._progress = progress

    def advance(self) -> None:
        self.done += 1
        self._progress("convert to TFRecord", self.done, self.total)


def _write_shard(
    path: Path,
    items: Sequence[Any],
    make_record: Callable[[Any], Record],
    image_shape: tuple[int, ...],
    counter: _Counter,
) -> dict[str, Any]:
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for item in items:
                if counter.failed:
                    break
                record = make_record(item)
                if not record.low_dose.shape == record.normal_dose.shape == image_shape:
                    raise InputError(
                        f"{record.source}: images of shape {record.low_dose.shape} and {record.normal_dose.shape}, "
                        f"expected {image_shape} as in the first record"
                    )
                writer.write(record.serialize())
                counter.advance()
        return {"file": path.name, "records": len(items), "bytes": path.stat().st_size, "sha256": sha256(path)}
    except BaseException:
        counter.failed = True
        raise


def sha256(path: Path) -> str:
    """The file's sha256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_manifest(data_dir: Path) -> dict[str, Any]:
    """The manifest of a data set whose shards are all there, of the right size, and no more.

    Raises:
      InputError: no folder, no manifest, one that was altered, or a shard that is missing, extra, short or long.
    """
    path = data_dir / MANIFEST
    if not data_dir.is_dir():
        raise InputError(f"data_dir {data_dir}: no such folder; make it with experiments.prepare")
    if not path.is_file():
        raise InputError(f"data_dir {data_dir}: no {MANIFEST}, so it is not a whole data set; prepare it again")
    try:
        manifest = json.loads(path.read_text())
        expected = {shard["file"]: shard["bytes"] for split in manifest["splits"].values() for shard in split["shards"]}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a manifest ({error!r}); prepare the data again") from error
    _check_own(data_dir, manifest)
    found = {file.name for file in data_dir.glob("*.tfrecord-*")}
    for name in sorted(found - set(expected)):
        raise InputError(f"{data_dir / name}: a shard that the manifest does not know; remove it or prepare again")
    for name, size in expected.items():
        if name not in found:
            raise InputError(f"{data_dir / name}: the shard is missing; prepare the data again")
        if (data_dir / name).stat().st_size != size:
            actual = (data_dir / name).stat().st_size
            raise InputError(f"{data_dir / name}: {actual} bytes, the manifest says {size}; prepare the data again")
    return manifest


def own_digest(manifest: Mapping[str, Any]) -> str:
    """The sha256 of what a manifest says, but for this digest itself."""
    content = {name: value for name, value in manifest.items() if name != _OWN_DIGEST}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _check_own(data_dir: Path, manifest: Mapping[str, Any]) -> None:
    """Raises InputError where the manifest or a file that it lists was altered; older manifests list none."""
    said = manifest.get(_OWN_DIGEST)
    if said is None and "files" not in manifest:
        return
    if said != own_digest(manifest):
        raise InputError(f"{data_dir / MANIFEST}: its content was altered; restore it or prepare the data again")
    for name, digest in manifest["files"].items():
        if not (data_dir / name).is_file() or sha256(data_dir / name) != digest:
            raise InputError(f"{data_dir / name}: missing, or its content was altered; prepare the data again")


def low_dose_clip(manifest: Mapping[str, Any]) -> tuple[float, float] | None:
    """The range, in values of the training range, that conversion clipped low-dose images to; None: it clipped nothing.

    Manifests of earlier versions, which do not say, are known by their source: DICOM alone was clipped.
    """
    clip = manifest.get("low_dose_clip", (0.0, 1.0) if manifest.get("source") == "dicom" else None)
    return clip and (float(clip[0]), float(clip[1]))


def transposed(manifest: Mapping[str, Any]) -> bool:
    """Whether the images lie transposed, see lodopab.is_transposed: to be looked at, they are transposed back.

    Manifests of earlier versions do not say it: LoDoPaB-CT's slices were taken as they are, phantoms were upright.
    """
    return bool(manifest.get("transposed", manifest.get("source") == "lodopab"))


def verify(data_dir: Path) -> dict[str, Any]:
    """The manifest of a data set, every shard of which has been hashed again, on all cores.

    Raises:
      InputError: as load_manifest, or a shard whose content is not what was written.
    """
    manifest = load_manifest(data_dir)
    shards = [shard for split in manifest["splits"].values() for shard in split["shards"]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for shard, actual in zip(shards, pool.map(lambda s: sha256(data_dir / s["file"]), shards), strict=True):
            if actual != shard["sha256"]:
                raise InputError(
                    f"{data_dir / shard['file']}: its content was altered (sha256 {actual}, the manifest says "
                    f"{shard['sha256']}); prepare the data again"
                )
    return manifest


def shard_paths(data_dir: Path, manifest: Mapping[str, Any], split: str) -> list[str]:
    """The shards of a split.

    Raises:
      InputError: no such split, or an empty one.
    """
    entry = manifest["splits"].get(split)
    if not entry or not entry["records"]:
        raise InputError(f"data_dir {data_dir}: no split {split!r}; it has {', '.join(manifest['splits'])}")
    return [str(data_dir / shard["file"]) for shard in entry["shards"]]
