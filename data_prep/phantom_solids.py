"""Solids a synthetic patient is made of: superellipsoids and tapered tubes, cut by a slice plane exactly.

Lengths and positions are in body units (see phantom_body); every distance is that in three dimensions, so that an
oblique surface gets the soft edge that partial volume gives it in a real slice.
"""

import abc
import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Point = Sequence[float] | np.ndarray  # x, y, depth
Points = Sequence[Point] | np.ndarray  # (n, 3)
Box = tuple[float, float, float, float]  # x from, x to, y from, y to


@dataclasses.dataclass(frozen=True, eq=False)
class Solid(abc.ABC):
    """What every solid has: organ `name`, `hu`, standard deviation of its texture in HU, the organ `within` which
    alone it is painted (None: anywhere), and `blur`, the width of its edge beyond that of a pixel."""

    name: str
    hu: float
    texture: float = dataclasses.field(default=8.0, kw_only=True)
    within: str | None = dataclasses.field(default=None, kw_only=True)
    blur: float = dataclasses.field(default=0.0, kw_only=True)

    @abc.abstractmethod
    def pieces(self, depth: float, reach: float) -> Iterator[tuple[Box, int]]:
        """The parts that come closer than `reach` to the plane: a box of the plane and the part's number."""

    @abc.abstractmethod
    def distance(self, x: np.ndarray, y: np.ndarray, depth: float, piece: int) -> np.ndarray:
        """Signed distance of points to one part's surface, negative inside; float32, shape of x."""

    @abc.abstractmethod
    def changed(self, about: Point, shift: np.ndarray, stretch: np.ndarray) -> "Solid":
        """The solid stretched along each axis from point `about`, then shifted."""


@dataclasses.dataclass(frozen=True, eq=False)
class Ellipsoid(Solid):
    """Superellipsoid |x/a|^n + |y/b|^n + |depth/c|^n = 1, turned by `angle` (radians) in the slice plane."""

    centre: Point
    radii: Point
    angle: float = 0.0
    exponent: float = 2.0

    def pieces(self, depth: float, reach: float) -> Iterator[tuple[Box, int]]:
        """The box that holds all points of the plane closer than `reach`; nothing where the plane misses it."""
        if abs(depth - self.centre[2]) < self.radii[2] + reach:
            x, y, _ = self.centre
            (a, b, _), cosine, sine = self.radii, abs(math.cos(self.angle)), abs(math.sin(self.angle))
            a, b = a * cosine + b * sine, a * sine + b * cosine
            yield (x - a - reach, x + a + reach, y - b - reach, y + b + reach), 0

    def distance(self, x: np.ndarray, y: np.ndarray, depth: float, piece: int) -> np.ndarray:
        """Signed distance to the surface to first order, negative inside; shape of x."""
        del piece  # an ellipsoid is one
        # Python's floats leave float32 arrays what they are; numpy's own would double the work. In place, because
        # fresh memory for every step costs more than the arithmetic.
        (x_c, y_c, depth_c), (a, b, c) = (map(float, values) for values in (self.centre, self.radii))
        power = float(self.exponent) - 1
        x, y, w = x - x_c, y - y_c, abs(depth - depth_c) / c
        if self.angle:
            cosine, sine = math.cos(self.angle), math.sin(self.angle)
            x, y = x * cosine + y * sine, y * cosine - x * sine
        for values, radius in ((x, a), (y, b)):
            np.abs(values, out=values)
            values /= radius
        slope_x, slope_y = x**power, y**power
        x *= slope_x
        y *= slope_y
        level = np.add(x, y, out=x)
        level += w ** (power + 1) - 1
        for values, radius in ((slope_x, a), (slope_y, b)):
            values /= radius
            values *= values
        slope = np.add(slope_x, slope_y, out=slope_x)
        slope += (w**power / c) ** 2
        np.sqrt(slope, out=slope)
        slope *= power + 1
        level /= np.maximum(slope, 1e-6, out=slope)
        return level

    def changed(self, about: Point, shift: np.ndarray, stretch: np.ndarray) -> "Ellipsoid":
        """The solid stretched along each axis from point `about`, then shifted."""
        centre = np.subtract(self.centre, about) * stretch + about + shift
        return dataclasses.replace(self, centre=tuple(centre.tolist()), radii=tuple((self.radii * stretch).tolist()))


@dataclasses.dataclass(frozen=True, eq=False)
class Tubes(Solid):
    """Tapered round tubes: `starts` and `ends` (n, 3), and the `radii` (n, 2) at both ends."""

    starts: np.ndarray
    ends: np.ndarray
    radii: np.ndarray

    @functools.cached_property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest x, y and depth of each tube: two (n, 3)."""
        margin = self.radii.max(axis=1, keepdims=True)
        return np.minimum(self.starts, self.ends) - margin, np.maximum(self.starts, self.ends) + margin

    def pieces(self, depth: float, reach: float) -> Iterator[tuple[Box, int]]:
        """A box for each tube with points closer than `reach` to the plane."""
        low, high = self.bounds
        for i in np.flatnonzero((low[:, 2] < depth + reach) & (depth - reach < high[:, 2])).tolist():
            (x0, y0, _), (x1, y1, _) = low[i].tolist(), high[i].tolist()
            yield (x0 - reach, x1 + reach, y0 - reach, y1 + reach), i

    def distance(self, x: np.ndarray, y: np.ndarray, depth: float, piece: int) -> np.ndarray:
        """Signed distance to one tube, negative inside; shape of x."""
        start, axis = self.starts[piece].tolist(), (self.ends[piece] - self.starts[piece]).tolist()
        x, y, w = x - start[0], y - start[1], depth - start[2]
        along = (x * axis[0] + y * axis[1] + w * axis[2]) / (sum(part * part for part in axis) + 1e-12)
        along = np.minimum(np.maximum(along, 0), 1)
        across = np.sqrt((x - along * axis[0]) ** 2 + (y - along * axis[1]) ** 2 + (w - along * axis[2]) ** 2)
        first, last = self.radii[piece].tolist()
        return across - (first + along * (last - first))

    def changed(self, about: Point, shift: np.ndarray, stretch: np.ndarray) -> "Tubes":
        """The tubes stretched along each axis from point `about`, then shifted; their radii stay."""
        starts, ends = ((points - about) * stretch + about + shift for points in (self.starts, self.ends))
        return dataclasses.replace(self, starts=starts, ends=ends)


def varied(rng: np.random.Generator, solids: Sequence[Solid], about: Point) -> list[Solid]:
    """The solids of one organ, moved and stretched together at random, so that its parts keep fitting."""
    moved, stretch = rng.uniform(-0.04, 0.04, 3), rng.uniform(0.88, 1.12, 3)
    return [solid.changed(about, moved, stretch) for solid in solids]


def layers(names: Sequence[tuple[str, float, float]], centre: Point, radii: Point, **options: Any) -> list[Solid]:
    """Nested ellipsoids: each layer is (name, HU, how much smaller than `radii`); options as Ellipsoid's."""
    return [
        Ellipsoid(name, hu, centre, tuple(max(radius - inset, 0.005) for radius in radii), **options)
        for name, hu, inset in names
    ]


def path(name: str, hu: float, points: Points, radii: float | Sequence[float], **options: Any) -> Tubes:
    """Tubes through the points, with one radius or one for each point; options as Solid's."""
    corners, widths = np.array(points), np.broadcast_to(radii, len(points))
    return Tubes(name, hu, corners[:-1], corners[1:], np.stack([widths[:-1], widths[1:]], axis=1), **options)


def joined(tubes: Sequence[Tubes]) -> Tubes:
    """One solid of several similar ones."""
    fields = ("starts", "ends", "radii")
    starts, ends, radii = (np.concatenate([getattr(tube, field) for tube in tubes]) for field in fields)
    return dataclasses.replace(tubes[0], starts=starts, ends=ends, radii=radii)


def tree(
    rng: np.random.Generator, name: str, hu: float, root: Point, tips: np.ndarray, radius: float, **options: Any
) -> Tubes:
    """Vessels from `root` that fork until each of the `tips` (n, 3) has its own.

    At every fork the tips are shared out across their longest extent; radii follow Murray's law, the cube of a
    vessel's radius being the sum of its branches'.
    """
    starts, ends, radii = [], [], []
    stack = [(np.array(root), tips)]
    while stack:
        start, group = stack.pop()
        share = len(group) / len(tips)
        end = start + (group.mean(axis=0) - start) * (rng.uniform(0.35, 0.5) if len(group) > 1 else 1.0)
        starts.append(start)
        ends.append(end)
        radii.append((radius * share ** (1 / 3), radius * (share / 2) ** (1 / 3)))
        if len(group) > 1:
            # Depth counts less, so that most branches run along the slices, where they show.
            extent = (group.max(axis=0) - group.min(axis=0)) * (1, 1, 0.4)
            group, half = group[group[:, extent.argmax()].argsort()], len(group) // 2
            stack += [(end, group[:half]), (end, group[half:])]
    return Tubes(name, hu, np.array(starts), np.array(ends), np.array(radii), **options)


def scatter(rng: np.random.Generator, count: int, centre: Point, radii: Point) -> np.ndarray:
    """Points spread evenly through an ellipsoid: (count, 3)."""
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return centre + directions * radii * rng.random((count, 1)) ** (1 / 3)
