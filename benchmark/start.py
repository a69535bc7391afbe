"""How long a script takes to begin, and how much memory a training takes: each in a process of its own."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmark.feed import write_random_records
from benchmark.rows import Row
from benchmark.timing import Timing
from data_prep.progress import Progress
from wgan_vgg.config import Config, preset
from wgan_vgg.config.nested import flatten

# A child's peak memory begins with what its parent had when it forked: so a small process stands between.
_LAUNCHER = """
import json, os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
errors = child.stderr.read()
_, status, usage = os.wait4(child.pid, 0)
print(json.dumps({"status": status, "megabytes": usage.ru_maxrss / 1024, "errors": errors.decode()[-500:]}))
"""


def start_rows(config: Config, *, rounds: int, progress: Progress) -> list[Row]:
    """Times `--help`, and a training run of one step from nothing to its end, with the memory that it takes."""
    module = [sys.executable, "-m", "experiments.train"]
    helps = [run([*module, "--help"])[0] for _ in range(rounds)]
    progress("start-up", 1, 2)
    with tempfile.TemporaryDirectory() as folder:
        records, workdir = Path(folder) / "records", Path(folder) / "run"
        write_random_records(records, config.data.image_size, 2 * config.training.batch_size, 2)
        places = [f"--data_dir={records}", f"--workdir={workdir}", "--max_steps=1"]
        seconds, megabytes = run([*module, *config_flags(config), *places])
    progress("start-up", 2, 2)
    images = f"{config.model} {config.training.precision}, batch {config.training.batch_size}"
    return [
        Row("start", "experiments.train --help", Timing(tuple(helps)).median, "s", Timing(tuple(helps)).spread),
        Row(
            "start", f"one step of {images}, from the command to the end", seconds, "s", details={"peak MB": megabytes}
        ),
    ]


def config_flags(config: Config) -> list[str]:
    """Flags of experiments.train that make it this config, but for the data, which the records decide."""
    values, usual = flatten(config), flatten(preset(config.preset))
    flags = [f"--preset={config.preset}", f"--model={config.model}"]
    for key, value in values.items():
        if value != usual[key] and key != "model" and not key.startswith("data."):
            flags.append(f"--set={key}={value}")
    return flags


def run(command: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak megabytes of a command.

    Raises:
      RuntimeError: it failed.
    """
    started = time.perf_counter()
    process = subprocess.run([sys.executable, "-c", _LAUNCHER, *command], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    result = json.loads(process.stdout)
    if result["status"]:
        raise RuntimeError(f"{' '.join(command)}: {result['errors']}")
    return seconds, result["megabytes"]
