"""A benchmark's rows: one for each measured thing."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing that was timed.

    Attributes:
      part: one of experiments.benchmark's PARTS.
      case: what exactly.
      rate, unit: the median over the rounds; for "start" the unit is a size or a time, of which less is better.
      spread: (slowest - fastest) / median over the rounds; None where it was done once.
      limit: what the machine could do in the same run, in words: a share of 1 is that.
      share: of the limit.
      peers: other programs' rates in the same unit, by name.
      details: figures besides.
    """

    part: str
    case: str
    rate: float
    unit: str
    spread: float | None = None
    limit: str = ""
    share: float | None = None
    peers: dict[str, float] = dataclasses.field(default_factory=dict)
    details: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """How many times as fast as the fastest peer."""
        return self.rate / max(self.peers.values()) if self.peers else None
