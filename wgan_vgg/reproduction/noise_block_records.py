"""Records of noise blocks: white noise as `low_dose`, a block of an image's own noise as `normal_dose`.

With them any generator and critic learn the noise, `--model=wgan`: of such a pair the two have nothing in common, and
that model compares distributions alone.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep import tfrecords
from data_prep.errors import InputError
from data_prep.json_types import Manifest
from data_prep.manifest import transposed
from data_prep.modelled_noise import white_field
from data_prep.noise_blocks import SPREAD, Smoothness, noise_blocks
from data_prep.parts import WHOLE, Part
from data_prep.progress import Progress
from wgan_vgg.config import Config
from wgan_vgg.input_pipeline import DataSet
from wgan_vgg.seeds import derive


class Block(NamedTuple):
    """A block of noise (side, side), divided by its standard deviation, and whose it is."""

    unit: np.ndarray
    deviation: float
    patient_id: str
    split: str
    number: int


def prepare(
    config: Config,
    input_dir: Path,
    output_dir: Path,
    *,
    allow_leak: bool,  # noqa: ARG001  # the splits are those of the records
    progress: Progress,
    part: Part = WHOLE,
    **smoothness: float,
) -> Manifest:
    """Makes records of the smooth blocks of prepared records, of which only `low_dose` is read.

    Each block has mean .5 and standard deviation 1 / SPREAD; what theirs were is in the manifest.

    Args:
      config: its seed draws the white noise.
      input_dir: folder of records.
      output_dir: folder to be made.
      allow_leak: not used.
      part: see tfrecords.write_dataset.
      progress: of the blocks' search and of the writing.
      smoothness: the fields of data_prep.noise_blocks.Smoothness.

    Raises:
      InputError: no records, or a split without a smooth block.
    """
    data = DataSet.open(input_dir)
    smooth = Smoothness(**smoothness)  # type: ignore[arg-type]
    if smooth.block_side > min(data.image_shape):
        height, width = data.image_shape
        raise InputError(f"block_side={smooth.block_side}: the images have {height}x{width}; take a smaller one")
    splits = {split: list(_blocks(data, split, smooth, progress)) for split in data.splits}
    for split, blocks in splits.items():
        if not blocks:
            raise InputError(
                f"input_dir {input_dir}: no smooth block in the {split} split; raise variance_tolerance="
                f"{smooth.variance_tolerance:g} or lower block_side={smooth.block_side}"
            )
    manifest = data.manifest
    return tfrecords.write_dataset(
        output_dir,
        splits,
        lambda block: _record(block, config.seed),
        shards=config.data.shards,
        description={
            "source": "noise-blocks",
            "input_files": {
                shard["file"]: shard["bytes"] for split in manifest["splits"].values() for shard in split["shards"]
            },
            "seed": config.seed,
            "data": manifest["data"],
            "hu_slope": 1.0,  # noise has no HU
            "hu_intercept": 0.0,
            "low_dose_clip": None,
            "transposed": transposed(manifest),
            "pixel_spacing_mm": manifest["pixel_spacing_mm"],
            "patients": manifest["patients"],
            "patients_in_both": manifest["patients_in_both"],
            "block_deviations": [block.deviation for block in splits["train"]],
        },
        part=part,
        progress=progress,
    )


def _blocks(data: DataSet, split: str, smooth: Smoothness, progress: Progress) -> Iterator[Block]:
    number, size = 0, data.size(split)
    for done, record in enumerate(data.records(split).as_numpy_iterator(), start=1):
        for block in noise_blocks(record["low_dose"][..., 0], smooth):
            deviation = float(block.std(dtype=np.float64))
            yield Block(block / np.float32(deviation), deviation, record["patient_id"].decode(), split, number)
            number += 1
        progress("find noise blocks", done, size)


def _record(block: Block, seed: int) -> tfrecords.Record:
    stream = np.random.default_rng(derive(seed, "white noise", block.split, block.number))
    white = white_field(block.unit.shape, stream)
    noise = np.float32(0.5) + block.unit / np.float32(SPREAD)
    return tfrecords.Record(white, noise, block.patient_id, block.number, "noise-blocks")
