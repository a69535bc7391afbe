"""Search for the parameters of highest quality on a grid that grows."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

Parameters = dict[str, float]
_MOST_STEPS = 20  # beyond the first grid


def search(
    quality: Callable[[Parameters], float],
    axes: Mapping[str, Sequence[float]],
    kinds: Mapping[str, Sequence[float]],
    ends: Mapping[str, float] | None = None,
) -> tuple[Parameters, float]:
    """The point of a grid with the highest quality; the grid grows until the best point has neighbours all around.

    Beyond an end of an axis the next value follows by the ratio of its last two.

    Args:
      quality: of a point; each is looked at once.
      axes: the values of every parameter; one alone stays as it is.
      kinds: parameters whose values have no order; the grid begins with the first of each, the others are tried at
        the best point.
      ends: by axis, beyond which it does not grow upwards.

    Returns:
      The best point, the first one of equals, and its quality.
    """
    grown, names = {name: sorted(values) for name, values in axes.items()}, (*axes, *kinds)
    found: dict[tuple[float, ...], float] = {}
    new = list(itertools.product(*grown.values(), *(values[:1] for values in kinds.values())))
    for _ in range(1 + _MOST_STEPS):
        found |= {point: quality(dict(zip(names, point, strict=True))) for point in new}
        best = max(found, key=found.__getitem__)
        new = [point for point in _around(best, grown, kinds, ends or {}) if point not in found]
        if not new:
            break
    return dict(zip(names, best, strict=True)), found[best]


def _around(
    point: tuple[float, ...],
    axes: Mapping[str, list[float]],
    kinds: Mapping[str, Sequence[float]],
    ends: Mapping[str, float],
) -> list[tuple[float, ...]]:
    """The points that differ from one in a single parameter: by a step of an axis, or in kind."""
    others = [
        _neighbours(values, value, ends.get(name, math.inf))
        for (name, values), value in zip(axes.items(), point, strict=False)
    ]
    others += [
        [other for other in values if other != value]
        for values, value in zip(kinds.values(), point[len(axes) :], strict=False)
    ]
    return [(*point[:number], value, *point[number + 1 :]) for number, values in enumerate(others) for value in values]


def _neighbours(values: list[float], value: float, end: float) -> list[float]:
    """The values beside one of an axis, which gets a new end where it is the last; none of an axis of one value."""
    if len(values) == 1:
        return []
    if value == values[0]:
        values.insert(0, value * value / values[1])
    if value == values[-1] and (following := value * value / values[-2]) <= end:
        values.append(following)
    place = values.index(value)
    return values[place - 1 : place] + values[place + 1 : place + 2]
