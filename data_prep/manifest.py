"""The manifest of a data set: what it holds, file by file; refusing one that is not whole. Needs no TensorFlow."""

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from data_prep.digests import digest
from data_prep.errors import InputError
from data_prep.json_types import Manifest
from data_prep.progress import Progress, silent

MANIFEST = "manifest.json"
OWN_DIGEST: Final = "sha256"  # of the manifest itself


def load_manifest(data_dir: Path) -> Manifest:
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
        manifest: Manifest = json.loads(path.read_text())
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


def own_digest(manifest: Mapping[str, object]) -> str:
    """The sha256 of what a manifest says, but for this digest itself."""
    content = {name: value for name, value in manifest.items() if name != OWN_DIGEST}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _check_own(data_dir: Path, manifest: Manifest) -> None:
    """Raises InputError where the manifest or a file that it lists was altered; older manifests list none."""
    said = manifest.get(OWN_DIGEST)
    if said is None and "files" not in manifest:
        return
    if said != own_digest(manifest):
        raise InputError(f"{data_dir / MANIFEST}: its content was altered; restore it or prepare the data again")
    for name, expected in manifest["files"].items():
        if not (data_dir / name).is_file() or digest(data_dir / name) != expected:
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


def verify(data_dir: Path, split: str | None = None, progress: Progress = silent) -> Manifest:
    """The manifest of a data set, every shard of which (or of one split) has been hashed again, on all cores.

    Raises:
      InputError: as load_manifest, or a shard whose content is not what was written.
    """
    manifest = load_manifest(data_dir)
    splits = [split] if split else manifest["splits"]
    shards = [shard for name in splits for shard in manifest["splits"][name]["shards"]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = pool.map(lambda shard: digest(data_dir / shard["file"]), shards)
        for number, (shard, actual) in enumerate(zip(shards, digests, strict=True), start=1):
            if actual != shard["sha256"]:
                raise InputError(
                    f"{data_dir / shard['file']}: its content was altered (sha256 {actual}, the manifest says "
                    f"{shard['sha256']}); prepare the data again"
                )
            progress("check the records", number, len(shards))
    return manifest


def shard_paths(data_dir: Path, manifest: Manifest, split: str) -> list[str]:
    """The shards of a split.

    Raises:
      InputError: no such split, or an empty one.
    """
    entry = manifest["splits"].get(split)
    if not entry or not entry["records"]:
        raise InputError(f"data_dir {data_dir}: no split {split!r}; it has {', '.join(manifest['splits'])}")
    return [str(data_dir / shard["file"]) for shard in entry["shards"]]
