"""Entries of registries, imported when they are needed: TensorFlow takes seconds, and `--help` needs none of them."""

import importlib
from typing import Any


def imported(entry: Any) -> Any:
    """What "module:name" stands for; anything but text is returned as it is."""
    if not isinstance(entry, str):
        return entry
    module, name = entry.split(":")
    return getattr(importlib.import_module(module), name)
