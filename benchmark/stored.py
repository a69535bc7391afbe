"""How fast patches come of a split that memory does not hold, by its records, its images' side and the hosts."""

import dataclasses
import functools
import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow as tf

from benchmark.feed import BATCH, write_random_records
from benchmark.rows import Row
from benchmark.timing import time_in_turn
from data_prep import tfrecords
from data_prep.manifest import MANIFEST, OWN_DIGEST, load_manifest, own_digest
from data_prep.progress import Progress
from wgan_vgg.config import InputConfig
from wgan_vgg.files import write_json
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.shares import Share

_PATCH = 64
_BATCHES = 200  # a timed run
_WHOLE_RECORDS = 200
_FILE_RECORDS = 250  # of one file; a larger set has it many times, by links


@dataclasses.dataclass(frozen=True)
class _Case:
    side: int
    records: int
    hosts: int = 1


def stored_rows(
    sides: Sequence[int],
    records: Sequence[int],
    hosts: Sequence[int],
    *,
    rounds: int,
    consumed: float | None,
    progress: Progress,
) -> Iterator[Row]:
    """Times patches of 64x64 read by range, against whole records that are read one after the other and parsed.

    Args:
      sides: of the images, those above 64; each with the middle of `records`, and all else with the first.
      records: of the split; above 250 whole files of so many.
      hosts: each reads its share of every batch; timed is one of them.
      rounds, consumed, progress: see feed.input_rows.
    """
    sides = [side for side in sides if side > _PATCH] or [2 * _PATCH]
    middle = _Case(sides[0], records[len(records) // 2])
    cases = [dataclasses.replace(middle, side=side) for side in sides]
    cases += [dataclasses.replace(middle, records=count) for count in records]
    cases += [dataclasses.replace(middle, hosts=count) for count in hosts if BATCH % count == 0]
    cases = list(dict.fromkeys(cases))
    for number, case in enumerate(cases):
        with tempfile.TemporaryDirectory() as folder:
            yield _row(Path(folder) / "records", case, rounds, consumed)
        progress("patches by range", number + 1, len(cases))


def _row(folder: Path, case: _Case, rounds: int, consumed: float | None) -> Row:
    write_linked_records(folder, case.side, case.records)
    started = time.perf_counter()
    data = DataSet.open(folder)
    data.check("train")
    checked = time.perf_counter()
    before = _resident_mb()
    crops = InputConfig(patch_size=_PATCH, flips=True, memory_gb=0)
    endless = iter(data.batches("train", BATCH, 0, crops=crops, share=Share(0, 1, case.hosts)))
    next(endless)
    began = time.perf_counter()
    first = str(sorted(folder.glob("*train*"))[0])
    parse = functools.partial(tfrecords.parse_example, image_shape=data.image_shape)
    whole = tf.data.TFRecordDataset(first).take(_WHOLE_RECORDS).map(parse, tf.data.AUTOTUNE)
    timings = time_in_turn(
        {
            "patches": lambda: _exhaust(itertools.islice(endless, _BATCHES)),
            "whole": lambda: _exhaust(whole),
        },
        rounds,
    )
    rate = _BATCHES * BATCH / timings["patches"].median
    records = data.size("train")
    whole_rate = min(_WHOLE_RECORDS, records) / timings["whole"].median
    details = {
        "records": records,
        "side": case.side,
        "hosts": case.hosts,
        "s to check the shards": checked - started,
        "s to the first batch": began - checked,
        "MB of memory": _resident_mb() - before,
    }
    if consumed:
        details["times what training consumes"] = rate / consumed
    name = f"patches of {_PATCH}x{_PATCH} by range, {records:,} records, {case.side}x{case.side}"
    if case.hosts > 1:
        name += f", one of {case.hosts} hosts"
    limit, share = (f"whole records {whole_rate:,.0f} images/s", rate / whole_rate) if case.hosts == 1 else ("", None)
    return Row("input", name, rate, "images/s", timings["patches"].spread, limit, share, details=details)


def _exhaust(items: Iterator[tuple[tf.Tensor, ...]] | tf.data.Dataset) -> None:
    for item in items:
        del item


def _resident_mb() -> float:
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if pages.exists() else 0.0


def write_linked_records(folder: Path, side: int, size: int) -> None:
    """A data set of noise as of feed.write_random_records, whose training shards are one file by many names."""
    write_random_records(folder, side, min(size, _FILE_RECORDS), shards=1)
    manifest = load_manifest(folder)
    train = manifest["splits"]["train"]
    (shard,) = train["shards"]
    count = max(1, size // _FILE_RECORDS)
    stem = shard["file"].removesuffix("00000-of-00001")
    first = (folder / shard["file"]).rename(folder / f"{stem}00000-of-{count:05d}")
    names = [f"{stem}{number:05d}-of-{count:05d}" for number in range(count)]
    for name in names[1:]:
        os.link(first, folder / name)
    train["shards"] = [{**shard, "file": name} for name in names]
    train["records"] = count * shard["records"]
    manifest[OWN_DIGEST] = own_digest(manifest)
    write_json(folder / MANIFEST, manifest)
