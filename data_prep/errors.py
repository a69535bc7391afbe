"""The exception that means "the user can correct this": scripts print it as one line and exit with 2."""

import importlib
from types import ModuleType


def install(extra: str) -> str:
    """The command that installs an extra: in the clone's folder, the package being in no index."""
    return f'pip install -e ".[{extra}]"'


class InputError(ValueError):
    """A wrong argument or file: the message names it, its value, the rule and the way out, in one line."""


def module_of_extra(name: str, extra: str, wanted_by: str) -> ModuleType:
    """The module of that name, imported.

    Raises:
      InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{wanted_by} needs {name}: {install(extra)}") from error


def reason(error: BaseException) -> str:
    """A library's error in its own words, in one short line; by its kind where it has none."""
    return " ".join(str(error).split())[:200] or type(error).__name__


class NotAnImage(InputError):
    """A sound file that holds no CT image (a localizer, a mask): in a folder it is passed over without fault."""
