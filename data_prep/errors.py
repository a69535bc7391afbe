"""The exception that means "the user can correct this": scripts print it as one line and exit with 2."""


def install(extra: str) -> str:
    """The command that installs an extra: in the clone's folder, the package being in no index."""
    return f'pip install -e ".[{extra}]"'


class InputError(ValueError):
    """A wrong argument or file: the message names it, its value, the rule and the way out, in one line."""


class NotAnImage(InputError):
    """A sound file that holds no CT image (a localizer, a mask): in a folder it is passed over without fault."""
