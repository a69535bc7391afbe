"""How a training step divides over processes of this machine, and what of it goes to adding up their gradients."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmark.feed import write_random_records
from benchmark.gpu import updated_weights
from benchmark.rows import Row
from benchmark.start import config_flags
from data_prep.progress import Progress
from wgan_vgg.config import Config, override
from wgan_vgg.run_dir import RunDir
from wgan_vgg.training.state import create_state

_STEPS = 10  # timed, after as many that are not: they trace and warm up


def scale_rows(config: Config, models: Sequence[str], processes: Sequence[int], progress: Progress) -> list[Row]:
    """Trains each model by so many processes, all with an equal part of the same batch.

    They share this machine's cores, so that without communication any number would take as long as one process.
    `share` is what is left of its rate; the rest goes to communication, and to what every process does for itself.

    Args:
      config: batch and image size; the model is replaced.
      models, processes: what to look at; the first number is what the others are compared with.
      progress: called after each.
    """
    rows = []
    for model in models:
        chosen = override(config, {"model": model})
        side, batch = chosen.data.image_size, chosen.training.batch_size
        gradients = 4e-6 * updated_weights(chosen, create_state(chosen, (side, side), 100 * batch))
        alone = 0.0
        for count in processes:
            rate = batch / _seconds_a_step(chosen, count)
            alone = alone or rate
            rows.append(
                Row(
                    "scale",
                    f"{model} {chosen.training.precision}, batch {batch}, {side}x{side}, processes: {count}",
                    rate,
                    "images/s",
                    limit=f"{processes[0]}: {alone:.3g} images/s",
                    share=rate / alone,
                    details={"seconds per step": batch / rate, "MB of gradients per step": gradients},
                )
            )
            progress("scale", len(rows), len(models) * len(processes))
    return rows


def _seconds_a_step(config: Config, count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        records, workdir = Path(folder) / "records", Path(folder) / "run"
        write_random_records(records, config.data.image_size, 2 * config.training.batch_size, 2)
        flags = [f"--data_dir={records}", f"--workdir={workdir}", f"--max_steps={2 * _STEPS}"]
        flags += [f"--set=training.evaluation_steps={_STEPS}", "--set=training.eval_images=1"]
        command = [sys.executable, "-m", "experiments.train", *config_flags(config), *flags]
        running = [
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for environment in environments(count)
        ]
        errors = [process.communicate()[1] for process in running]
        for process, error in zip(running, errors, strict=True):
            if process.returncode:
                raise RuntimeError(f"{' '.join(command)}: {error[-500:]}")
        seconds = {row["step"]: row["seconds"] for row in RunDir(workdir).rows()}
    return (seconds[2 * _STEPS] - seconds[_STEPS]) / _STEPS


def environments(count: int) -> list[dict[str, str]]:
    """One for each process: its place in a cluster on ports that are free now; one process alone needs none."""
    if count == 1:
        return [dict(os.environ)]
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    workers = [f"127.0.0.1:{taken.getsockname()[1]}" for taken in sockets]
    for taken in sockets:
        taken.close()
    tasks = [{"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}} for index in range(count)]
    return [{**os.environ, "TF_CONFIG": json.dumps(task)} for task in tasks]
