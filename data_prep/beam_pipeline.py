"""A conversion as an Apache Beam pipeline, for sets past one machine: a part an element, on any of Beam's runners."""

import contextlib
import io
import logging
import shlex
from collections.abc import Callable
from typing import Any

from data_prep.errors import InputError, module_of_extra
from data_prep.parts import Part

logger = logging.getLogger(__name__)
_EXTRA = "beam"


def convert_parts(convert: Callable[..., object], parts: int, options: str) -> None:
    """Makes every part of a data set, in any order and at once as the runner likes; the last one ends the data set.

    Args:
      convert: makes one part, called as convert(part=...), see parts.write_part; sent to the workers, which see the
        same disk. A part that is there is not made again, so that a runner may try one more than once.
      parts: how many.
      options: Beam's pipeline options, as "--runner=FlinkRunner"; "": Beam's own runner on this machine.

    Raises:
      InputError: Beam is not installed, does not take the options, or a part could not be made.
    """
    beam = module_of_extra("apache_beam", _EXTRA, "beam")
    known = _parsed(beam, options)
    try:
        with beam.Pipeline(options=known) as pipeline:
            (
                pipeline
                | "parts" >> beam.Create(range(parts))
                | "to every worker" >> beam.Reshuffle()
                | "convert" >> beam.Map(lambda number: convert(part=Part(number, parts)) and None)
            )
    except Exception as error:  # a worker's own, which reaches us as RuntimeError with the text of its traceback
        logger.debug("beam", exc_info=True)
        raise InputError(f"beam={options}: {_last_line(str(error)) or repr(error)}") from error


def _parsed(beam: Any, options: str) -> Any:
    """Beam's PipelineOptions; it parses them as a script's own, so that a mistake would end in pages of usage."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed = beam.options.pipeline_options.PipelineOptions(shlex.split(options))
            parsed.get_all_options()
    except (SystemExit, ValueError) as error:
        raise InputError(f"beam={options}: {_last_line(said.getvalue()) or error}; see Beam's options") from error
    return parsed


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
