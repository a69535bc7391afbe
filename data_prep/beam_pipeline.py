"""A conversion as an Apache Beam pipeline, for sets past one machine: a part an element, on any of Beam's runners."""

import logging
from collections.abc import Callable, Sequence

from data_prep.errors import InputError, module_of_extra
from data_prep.parts import Part

logger = logging.getLogger(__name__)
_EXTRA = "beam"


def convert_parts(convert: Callable[..., object], parts: int, options: Sequence[str]) -> None:
    """Makes every part of a data set, in any order and at once as the runner likes; the last one ends the data set.

    Args:
      convert: makes one part, called as convert(part=...), see parts.write_part; sent to the workers, which see the
        same disk. A part that is there is not made again, so that a runner may try one more than once.
      parts: how many.
      options: Beam's pipeline options, as "--runner=FlinkRunner"; none: Beam's own runner on this machine.

    Raises:
      InputError: Beam is not installed, does not know the options, or a part could not be made.
    """
    beam = module_of_extra("apache_beam", _EXTRA, "beam")
    try:
        known = beam.options.pipeline_options.PipelineOptions(list(options))
        with beam.Pipeline(options=known) as pipeline:
            (
                pipeline
                | "parts" >> beam.Create(range(parts))
                | "to every worker" >> beam.Reshuffle()
                | "convert" >> beam.Map(lambda number: convert(part=Part(number, parts)) and None)
            )
    except Exception as error:  # a worker's own, which reaches us as RuntimeError with the text of its traceback
        reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), repr(error))
        logger.debug("beam", exc_info=True)
        raise InputError(f"beam={' '.join(options)}: {reason.strip()}") from error
