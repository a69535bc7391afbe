"""How a script runs: help, one-line errors, exit statuses, TensorFlow without its notices."""

import io
import logging
import os
import sys
import tempfile
import textwrap
from collections.abc import Callable, Sequence

from absl import flags

from wgan_vgg.errors import Diverged, InputError, Terminated, WorkerLost

_ABSL_REPEAT = ";\n    repeat this option to specify a list of values"  # in the help of each multi_string
DONE, USER_ERROR, FAILED_TRAINING, LOST_WORKER, INCOMPLETE, INTERRUPTED = 0, 2, 3, 4, 5, 130


def quiet_tensorflow() -> None:
    """Imports TensorFlow without the notices that its C++ part writes to stderr before it can be silenced."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as notices:
        stderr = os.dup(2)
        os.dup2(notices.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            notices.seek(0)
            os.write(stderr, notices.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def launch(
    description: str,
    define: Callable[[flags.FlagValues], None],
    job: Callable[[flags.FlagValues], int | None],
    argv: Sequence[str] | None = None,
) -> None:
    """Parses the command line, runs the job and exits.

    Exit status 0: done; 2: a mistake of the user's; 3: a generator collapsed, or a loss is not finite; 4: another
    worker has gone; 5: done, but files were left out; 130 and 143: Ctrl-C and SIGTERM, in training after saving. All
    but 0 and 5 come with one line on stderr. Flags are the script's own, not absl's global ones, so that a script can
    run twice.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: names of files may be no text
    # Before TensorFlow is imported: its notices are not for users.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    for package in ("data_prep", "wgan_vgg"):
        logging.getLogger(package).setLevel(logging.INFO)
    logging.getLogger("tensorflow").addFilter(_is_no_retracing)
    logging.getLogger("pydicom").propagate = False  # it logs the tracebacks of what is reported here in one line
    values = flags.FlagValues()
    flags.DEFINE_boolean("help", False, "show this help", short_name="h", flag_values=values)
    define(values)
    try:
        rest = values(list(sys.argv if argv is None else ["script", *argv]))[1:]
        if values.help:
            print(help_text(description, values))
            sys.exit(DONE)
        if rest:
            raise InputError(f"{rest[0]}: not a flag; write --name=value")
        sys.exit(job(values) or DONE)
    except (InputError, flags.Error) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted; rerun the same command", INTERRUPTED)
    except Diverged as error:
        _fail(str(error), FAILED_TRAINING)
    except WorkerLost as error:
        _fail(str(error), LOST_WORKER)
    except Terminated as error:
        _fail(str(error), 128 + error.signal_number)
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}; free or choose another place")
    except Exception as error:
        # TensorFlow's own "disk full" and "permission denied"; named, so that it need not be imported here.
        if type(error).__name__ not in ("ResourceExhaustedError", "PermissionDeniedError", "FailedPreconditionError"):
            raise
        _fail(str(error))


def _is_no_retracing(record: logging.LogRecord) -> bool:
    """Each model has functions of its own, all called alike: TensorFlow takes that for one that is traced anew."""
    return "triggered tf.function retracing" not in record.getMessage()


def _fail(message: str, status: int = USER_ERROR) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


def help_text(description: str, values: flags.FlagValues) -> str:
    """What --help prints: the description, and each flag with its default and meaning."""
    lines = [description.strip(), "", "Flags:"]
    for name in sorted(set(values) - {"h"}):
        flag = values[name]
        value = ",".join(flag.default) if isinstance(flag.default, list) else flag.default
        default = f" [{value}]" if value not in (None, "", False) else ""
        meaning = flag.help.replace(_ABSL_REPEAT, "; may be given several times")
        lines += [f"  --{name}{default}", textwrap.indent(textwrap.fill(meaning, 90), "      ")]
    return "\n".join(lines)
