"""Rules that stand beside the fields of a config: which values a field takes, checked when the config is made."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

from data_prep.errors import InputError

_RULE = "rule"


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a value, or each of several, must be; None among the bounds is no bound.

    Attributes:
      at_least, above, at_most, below: bounds of a number.
      choices: the words or numbers that are allowed; of a registry its names, those that join it later too.
      some: of several values there must be one or more.
    """

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: Collection[object] = ()
    some: bool = False

    def check(self, key: str, value: object) -> None:
        """Raises InputError, naming the key, its value and the rule, unless the value keeps it; None does."""
        several = isinstance(value, tuple)
        values: Sequence[Any] = value if isinstance(value, tuple) else (value,) if value is not None else ()
        wrong = [one for one in values if self.choices and one not in self.choices]
        if wrong and several:
            raise InputError(f"{key}={wrong[0]}: unknown; take some of {', '.join(map(str, self.choices))}")
        if wrong:
            raise InputError(f"{key}={value!r}: unknown; take one of {', '.join(map(str, self.choices))}")
        # Comparisons are so written that NaN fails, too.
        if self.some and several and not values and self.choices:
            raise InputError(f"{key}={value}: take one or more of {', '.join(map(str, self.choices))}")
        if not all(self._holds(one) for one in values) or (several and self.some and not values):
            must = "must be one or more values, each" if self.some else "each must be" if several else "must be"
            raise InputError(f"{key}={value}: {must} {self._range()}")

    def _holds(self, number: Any) -> bool:
        return (
            (self.at_least is None or number >= self.at_least)
            and (self.above is None or number > self.above)
            and (self.at_most is None or number <= self.at_most)
            and (self.below is None or number < self.below)
        )

    def _range(self) -> str:
        if (self.at_least, self.above) == (None, None) or (self.at_most, self.below) == (None, None):
            bounds = {"at least": self.at_least, "above": self.above, "at most": self.at_most, "below": self.below}
            return " ".join(f"{name} {bound:g}" for name, bound in bounds.items() if bound is not None)
        low = f"({self.above:g}" if self.at_least is None else f"[{self.at_least:g}"
        high = f"{self.below:g})" if self.at_most is None else f"{self.at_most:g}]"
        return f"in {low}, {high}"


def setting(default: Any, **rule: Any) -> Any:
    """A field of a frozen dataclass with its default and its rule: arguments as of Rule."""
    return dataclasses.field(default=default, metadata={_RULE: Rule(**rule)})


def check_rules(config: Any, prefix: str = "") -> None:
    """Checks every field of a config against the rule beside it.

    Args:
      config: a dataclass.
      prefix: what precedes a field's name in its key, such as "data.".

    Raises:
      InputError: a value breaks its rule.
    """
    for field in dataclasses.fields(config):
        if _RULE in field.metadata:
            field.metadata[_RULE].check(prefix + field.name, getattr(config, field.name))
