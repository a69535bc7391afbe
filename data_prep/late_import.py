"""Entries of registries, imported when they are needed: TensorFlow takes seconds, and `--help` needs none of them."""

import pkgutil
from typing import Any


def imported(entry: Any) -> Any:
    """What "module:name" stands for; anything but text is returned as it is."""
    return pkgutil.resolve_name(entry) if isinstance(entry, str) else entry
