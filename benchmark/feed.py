"""How fast batches come, against a plain read of the same files and against what training consumes."""

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmark.limits import read_plainly
from benchmark.rows import Row
from benchmark.timing import Timing, time_in_turn
from data_prep import lodopab, tfrecords
from data_prep.config import DataConfig
from data_prep.json_types import UNKNOWN
from data_prep.progress import Progress
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.training.distribute import distributed

BATCH = 16


def input_rows(
    side: int, sizes: Sequence[int], shards: Sequence[int], *, rounds: int, consumed: float | None, progress: Progress
) -> Iterator[Row]:
    """Times the first pass over a training split, with all that opening it takes, and later ones.

    Args:
      side: of the images, in pixels.
      sizes: records of the split; each with the middle of `shards`, and the middle size with each number of shards.
      shards: files.
      rounds: how often.
      consumed: images per second that the fastest training step of this run takes; None where none was timed.
      progress: called after each part.
    """
    cases = list(
        dict.fromkeys(
            [(size, shards[len(shards) // 2]) for size in sizes] + [(sizes[len(sizes) // 2], count) for count in shards]
        )
    )
    for number, (size, count) in enumerate(cases):
        with tempfile.TemporaryDirectory() as folder:
            yield from _rows(Path(folder) / "records", side, size, count, rounds, consumed)
        progress("input", number + 1, len(cases))


def _rows(folder: Path, side: int, size: int, shards: int, rounds: int, consumed: float | None) -> list[Row]:
    write_random_records(folder, side, size, shards)
    paths = sorted(folder.glob("*train*"))
    data = DataSet.open(folder)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")

    def batches(data: DataSet) -> Iterator[Any]:
        return distributed(lambda share: data.batches("train", BATCH, seed=0, share=share), strategy)

    endless = batches(data)

    timings = time_in_turn(
        {
            "read": lambda: read_plainly(paths),
            "first": lambda: _take(batches(DataSet.open(folder)), size // BATCH),
            "later": lambda: _take(endless, size // BATCH),
        },
        rounds,
    )
    plain = f"plain read {sum(path.stat().st_size for path in paths) / timings['read'].median / 1e6:.0f} MB/s"

    def row(name: str, timing: Timing) -> Row:
        rate = size // BATCH * BATCH / timing.median
        details = {"records": size, "shards": shards} | (
            {"times what training consumes": rate / consumed} if consumed else {}
        )
        case = f"{name} pass, {size:,} records in {shards} shards, {side}x{side}"
        share = timings["read"].median / timing.median
        return Row("input", case, rate, "images/s", timing.spread, plain, share, details=details)

    return [row("first", timings["first"]), row("later", timings["later"])]


def _take(batches: Iterator[Any], count: int) -> None:
    for batch in itertools.islice(batches, count):
        del batch


def write_random_records(folder: Path, side: int, size: int, shards: int) -> None:
    """A data set of noise: `size` training records and one to test, which its reader takes for any other."""
    pixels = np.random.default_rng(0).uniform(size=(2, side, side)).astype(np.float32)
    tfrecords.write_dataset(
        folder,
        {"train": range(size), "test": range(1)},
        lambda index: tfrecords.Record(pixels[0], pixels[1], None, index, "noise"),
        shards=shards,
        description={
            "source": "noise",
            "input_files": {},
            "seed": 0,
            "data": DataConfig(image_size=side).to_manifest(),
            "hu_slope": lodopab.HU_SLOPE,
            "hu_intercept": lodopab.HU_INTERCEPT,
            "pixel_spacing_mm": UNKNOWN,
            "patients": {"train": UNKNOWN, "test": UNKNOWN},
            "patients_in_both": UNKNOWN,
        },
    )
