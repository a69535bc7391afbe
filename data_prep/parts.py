"""A conversion divided among hosts: each writes its share of the shards, the last one makes the data set of them."""

import contextlib
import dataclasses
import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from data_prep.errors import InputError
from data_prep.json_types import Manifest, Split
from data_prep.manifest import MANIFEST, load_manifest
from data_prep.staging import link_or_copy, staged_folder


@dataclasses.dataclass(frozen=True)
class Part:
    """The share of one host: of all shards, counted through the splits, every `of`-th from `number` on.

    Raises:
      InputError: there is no such part.
    """

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if self.of < 1:
            raise InputError(f"hosts={self.of}: must be 1 or more")
        if not 0 <= self.number < self.of:
            raise InputError(f"host={self.number}: must be 0 to {self.of - 1}, as hosts={self.of}")

    @property
    def folder_name(self) -> str:
        """Of the part's folder."""
        return f"{self.number:05d}-of-{self.of:05d}"


WHOLE = Part()


def parts_dir(output_dir: Path) -> Path:
    """Where the parts of a data set lie until all are there: beside it."""
    return output_dir.parent / f".{output_dir.name}.parts"  # not with_name: "." and "/" have none


def check_parts(output_dir: Path, part: Part) -> None:
    """Raises InputError where parts of another division are there; long work should begin with this.

    Parts of a data set that has been made, left by a kill at the very end, are removed.
    """
    place = parts_dir(output_dir)
    if (output_dir / MANIFEST).exists():
        shutil.rmtree(place, ignore_errors=True)
    expected = {Part(number, part.of).folder_name for number in range(part.of)}
    others = sorted(path.name for path in place.glob("[0-9]*-of-*") if path.name not in expected)
    if others:
        raise InputError(f"hosts={part.of}: {place} holds {others[0]}, of another division; remove it")


def write_part(
    output_dir: Path,
    part: Part,
    about: Mapping[str, object],
    write: Callable[[Path], Manifest],
    finish: Callable[[Path, Manifest], Manifest],
) -> Manifest:
    """Writes a part, unless it is there, and makes the data set if it is the last one.

    A call that was killed is made again; what other calls have written stays. All hosts see the same disk.

    Args:
      output_dir: of the whole data set.
      part: which one.
      about: what the manifest of every part says besides its shards.
      write: writes the part's shards into a folder; returns the manifest, with the shards of the part alone.
      finish: completes a folder that has all shards; returns the manifest completed.

    Returns:
      The data set's manifest, or this part's while others are missing.

    Raises:
      InputError: the parts were not made with the same arguments, one is not whole, or the disk is full.
    """
    check_parts(output_dir, part)
    place = parts_dir(output_dir)
    own = place / part.folder_name
    _found(place, part, about)
    if not own.exists():
        with staged_folder(own) as folder:
            manifest = write(folder)
            (folder / MANIFEST).write_text(json.dumps(manifest) + "\n")
    with _waiting_for(place):
        if (output_dir / MANIFEST).exists():  # another call made it, while this one waited
            return load_manifest(output_dir)
        found = _found(place, part, about)
        if len(found) < part.of:
            return found[own]
        with staged_folder(output_dir) as whole:
            for folder, manifest in found.items():
                for shard in _shards(manifest):
                    link_or_copy(folder / shard, whole / shard)  # the part is whole until the data set is
            manifest = finish(whole, _merged(list(found.values())))
        shutil.rmtree(place, ignore_errors=True)
    return manifest


def _shards(manifest: Manifest) -> list[str]:
    return [shard["file"] for split in manifest["splits"].values() for shard in split["shards"]]


def _merged(manifests: Sequence[Manifest]) -> Manifest:
    """The manifest of all parts, its shards in order."""
    merged = manifests[0]
    splits: dict[str, Split] = {}
    for name in merged["splits"]:
        shards = [shard for manifest in manifests for shard in manifest["splits"][name]["shards"]]
        splits[name] = {
            "records": sum(shard["records"] for shard in shards),
            "shards": sorted(shards, key=lambda shard: shard["file"]),
        }
    return {**merged, "splits": splits}


def _found(place: Path, part: Part, about: Mapping[str, object]) -> dict[Path, Manifest]:
    """The manifests of the parts that are there, in order.

    Raises:
      InputError: one is not whole, or was made of other files or with other arguments.
    """
    folders = [place / Part(number, part.of).folder_name for number in range(part.of)]
    found = {folder: load_manifest(folder) for folder in folders if folder.exists()}
    expected = json.loads(json.dumps(about))
    for folder, manifest in found.items():
        said = {key: value for key, value in manifest.items() if key != "splits"}
        differing = [key for key in expected | said if expected.get(key) != said.get(key)]
        if differing:
            raise InputError(
                f"{folder}: made of other files or with other arguments than this call's ({', '.join(differing)} "
                "differ); give the same, or remove the folder"
            )
    return found


@contextlib.contextmanager
def _waiting_for(place: Path) -> Iterator[None]:
    """Keeps other calls out while the block runs."""
    try:
        lock = (place / "lock").open("a")
    except FileNotFoundError:  # the data set has just been made
        yield
        return
    with lock:
        with contextlib.suppress(OSError):  # some network file systems cannot lock
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
