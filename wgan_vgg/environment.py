"""What a run ran on, for environment.json."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import tensorflow as tf

import wgan_vgg
from wgan_vgg.json_types import Environment

_PACKAGES = ("tensorflow", "keras", "numpy", "h5py", "scikit-image")


def describe_environment() -> Environment:
    """The date, the command with its flags, versions, devices and the state of the source tree."""
    return {
        "wgan_vgg": wgan_vgg.__version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "git": _git_state(),
    }


def _git_state() -> str | None:
    """The commit of the source tree, with a mark if it was changed; None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
