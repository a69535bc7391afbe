"""How fast HDF5 becomes records, against the sum of its parts, each alone, and against a copy of the files."""

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf

from benchmark.limits import copy_plainly
from benchmark.rows import Row
from benchmark.timing import time_in_turn
from data_prep import lodopab, low_dose, tfrecords
from data_prep.digests import digest
from data_prep.phantoms import write_phantoms
from data_prep.prepare import prepare_lodopab
from data_prep.progress import Progress
from wgan_vgg.config import Config

_PATIENTS = {"train": 16, "test": 4}
_SLICES = 13  # a patient


def conversion_rows(config: Config, sizes: tuple[int, ...], *, rounds: int, progress: Progress) -> Iterator[Row]:
    """Times the conversion of phantoms to records of several image sizes (0: as they are), by one worker and by all."""
    with tempfile.TemporaryDirectory() as folder:
        hdf5 = Path(folder) / "hdf5"
        write_phantoms(hdf5, patients=_PATIENTS, slices_per_patient=(_SLICES, _SLICES), seed=config.seed)
        for number, size in enumerate(sizes):
            yield from _rows(config, hdf5, Path(folder), size, rounds)
            progress("conversion", number + 1, len(sizes))


def _rows(config: Config, hdf5: Path, folder: Path, size: int, rounds: int) -> list[Row]:
    parts = find_slices(hdf5)
    cores = os.cpu_count() or 1
    files = sorted(hdf5.glob("*.hdf5"))
    functions: dict[str, Callable[[], object]] = {
        f"{count} workers": _conversion(config, hdf5, folder / "records", size, count) for count in sorted({1, cores})
    }
    functions["copy"] = lambda: copy_plainly(files, folder)
    steps = Steps(parts, size, config, folder)
    timings = time_in_turn(functions | steps.functions, rounds)
    alone = sum(timings[name].median for name in steps.functions)
    megabytes = sum(file.stat().st_size for file in files) / 1e6

    def row(count: int) -> Row:
        timing = timings[f"{count} workers"]
        details = {"slices/s": len(parts) / timing.median, "of a copy": timings["copy"].median / timing.median}
        if count > 1:
            details["times one worker"] = timings["1 workers"].median / timing.median
        else:
            details |= {f"{name} ms": 1e3 * timings[name].median / len(parts) for name in steps.functions}
        return Row(
            "convert",
            f"{f'to {size}x{size}' if size else 'at their own size'}, workers: {count}",
            megabytes / timing.median,
            "MB/s",
            timing.spread,
            f"its parts alone, {count} at a time: {count * len(parts) / alone:.0f} slices/s",
            alone / count / timing.median,
            details=details,
        )

    return [row(count) for count in sorted({1, cores})]


def find_slices(hdf5: Path) -> list[lodopab.SliceRef]:
    """Every slice of a folder of LoDoPaB-CT files."""
    parts = lodopab.find_parts(hdf5)
    return [ref for part, files in parts.items() for ref in lodopab.list_slices(hdf5, part, files)]


def _conversion(config: Config, hdf5: Path, output_dir: Path, size: int, workers: int) -> Callable[[], object]:
    data = dataclasses.replace(
        config.data,
        image_size=size,
        num_train=0,
        num_test=0,
        train_parts=("train",),
        validation_parts=(),
        test_parts=("test",),
    )

    def convert() -> None:
        shutil.rmtree(output_dir, ignore_errors=True)
        prepare_lodopab(hdf5, output_dir, data, seed=config.seed, workers=workers)

    return convert


class Steps:
    """The conversion's steps, each over all slices and alone; each takes what the one before left."""

    def __init__(self, slices: list[lodopab.SliceRef], size: int, config: Config, folder: Path) -> None:
        self._slices, self._size, self._path = slices, size, folder / "one.tfrecord"
        std = config.data.gaussian_std if config.data.noise == "gaussian" else 0.0
        self._noise = low_dose.GaussianNoise(std, config.seed)
        self.functions: dict[str, Callable[[], object]] = {
            "read": self._read,
            "resize": self._resize,
            "noise": self._add_noise,
            "serialize": self._serialize,
            "write": self._write,
            "sha256": lambda: digest(self._path),
        }

    def _read(self) -> None:
        with lodopab.SliceReader() as reader:
            self._images = [reader.read(ref) for ref in self._slices]

    def _resize(self) -> None:
        self._normal_dose = [low_dose.resized(image, self._size) for image in self._images]

    def _add_noise(self) -> None:
        triples = zip(self._slices, self._images, self._normal_dose, strict=True)
        self._low_dose = [self._noise(*triple) for triple in triples]

    def _serialize(self) -> None:
        triples = zip(self._low_dose, self._normal_dose, self._slices, strict=True)
        self._records = [
            tfrecords.Record(noisy, image, ref.patient_id, ref.index, ref.source).serialize()
            for noisy, image, ref in triples
        ]

    def _write(self) -> None:
        with tf.io.TFRecordWriter(str(self._path)) as writer:
            for record in self._records:
                writer.write(record)
