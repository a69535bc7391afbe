"""Trainings small enough for tests, and what two of them are compared by."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

TINY = [
    "--preset=demo",
    "--batch_size=4",
    "--epochs=2",
    "--set=critic.filters=(4,4)",
    "--set=critic.dense_units=8",
    "--set=generator.layers=3",
    "--set=generator.filters=8",
    "--set=training.eval_images=4",
    "--set=vgg.layer=block1_conv2",
]


def tiny(model: str, data_dir: Path, workdir: Path, *more: str) -> list[str]:
    """The flags of a training of 2 epochs of 6 steps on conftest's 24 images."""
    return [*TINY, f"--model={model}", f"--data_dir={data_dir}", f"--workdir={workdir}", *more]


def without_times(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of metrics.jsonl that two equal runs share."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def files_with_times(folder: Path) -> dict[Path, int]:
    """Every file below a folder and when it was written: what a command that has nothing to do leaves alone."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def checkpoint_digest(workdir: Path, step: int) -> str:
    """Tells apart what two checkpoints hold: every variable, bit for bit, but for the loop's notes with their times."""
    reader = tf.train.load_checkpoint(str(workdir / "checkpoints" / f"step-{step:09d}"))
    digest = hashlib.sha256()
    for name in sorted(reader.get_variable_to_shape_map()):
        if name.endswith("VARIABLE_VALUE") and not name.startswith("epoch/"):
            digest.update(name.encode() + reader.get_tensor(name).tobytes())
    return digest.hexdigest()
