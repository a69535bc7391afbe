"""The frame of a synthetic patient: build, body wall and skeleton, between which the organs lie (phantom_organs).

Body frame: x to image right (the patient's left), y to image bottom (the back, the patient lying on it), depth from
the upper chest down to the kidneys. One unit is half the body's width; the spine runs along x = 0, and a slice at
z in [0, 1] is the plane depth = z * BODY_LENGTH. Solids are painted in order, each over the ones before.
"""

import dataclasses

import numpy as np

from data_prep.hu import AIR_HU
from data_prep.phantom_solids import Ellipsoid, Solid, joined, layers, path

BODY_LENGTH = 1.9
FAT_HU = -100.0
MUSCLE_HU = 52.0
ENDLESS = np.inf  # a radius along which a solid has no end


@dataclasses.dataclass(frozen=True)
class Build:
    """What the organs have to agree on: the body's shape (body units), and the HU that contrast agent changes."""

    height: float  # half of the body, front to back
    fat: float  # thickness under the skin
    wall: float  # thickness of the muscle around the cavity
    roundness: float  # exponent of the outline
    enhanced: bool  # by contrast agent
    blood: float  # HU
    liver: float  # HU
    marrow: float  # HU

    @property
    def cavity(self) -> tuple[float, float]:
        """Half width and half height of the chest and abdominal cavity."""
        return 1 - 1.15 * self.fat - self.wall, self.height - self.fat - self.wall

    @property
    def spine(self) -> float:
        """y of the vertebral bodies."""
        return self.height - 0.42 - 0.6 * self.fat


def random_build(rng: np.random.Generator) -> Build:
    """One of a population of slim to stout adults, two in three of them with contrast agent."""
    enhanced = rng.random() < 2 / 3
    return Build(
        height=rng.uniform(0.7, 0.86),
        fat=(0.045, 0.08, 0.12)[rng.integers(3)] * rng.uniform(0.8, 1.3),
        wall=rng.uniform(0.08, 0.12),
        roundness=rng.uniform(2.1, 2.8),
        enhanced=enhanced,
        blood=rng.uniform(120, 170) if enhanced else rng.uniform(38, 46),
        liver=rng.uniform(95, 115) if enhanced else rng.uniform(45, 64),
        marrow=rng.uniform(140, 240),
    )


def body_wall(rng: np.random.Generator, build: Build) -> list[Solid]:
    """Couch, skin, fat, breasts, the muscle wall with the muscles of chest and shoulders, fat of the cavity."""
    height, middle, exponent = build.height, (0.0, 0.0, 0.0), build.roundness
    solids: list[Solid] = []
    if rng.random() < 0.7:
        couch = [("couch", -350.0, 0.0), ("foam", -930.0, 0.016)]
        solids += layers(couch, (0, height - 0.06, 0), (1.02, 0.16, ENDLESS), texture=3)
        solids.append(Ellipsoid("air", AIR_HU, (0, height - 0.1, 0), (1.1, 0.13, ENDLESS), texture=3))
    skin = [("skin", 20.0, 0.0), ("fat", FAT_HU, 0.018)]
    body = layers(skin, middle, (1, height, ENDLESS), exponent=exponent)
    if rng.random() < 0.5:
        size = rng.uniform(0.06, 0.14)
        left, right = (layers(skin, (x, -0.8 * height, 0.5), (0.36, 0.14 + size, 0.4)) for x in (-0.46, 0.46))
        body = [body[0], left[0], right[0], body[1], left[1], right[1]]
        for x in (-0.47, 0.47):
            centre, radii = (x, -0.8 * height - 0.08, 0.5), (0.16, size, 0.17)
            body.append(Ellipsoid("gland", 0, centre, radii, texture=20, blur=0.05))
    wall = (1 - 1.15 * build.fat, height - build.fat, ENDLESS)
    muscles = [Ellipsoid("muscle", MUSCLE_HU, middle, wall, exponent=exponent)]
    for side in (-1, 1):
        muscles += [
            Ellipsoid("muscle", MUSCLE_HU, centre, radii, side * turn, within="fat")
            for centre, radii, turn in (
                ((side * 0.42, -0.74 * height, 0.1), (0.4, 0.09, 0.4), 0.42),
                ((side * 0.68, 0.52 * height, 0.1), (0.3, 0.12, 0.6), -0.75),
            )
        ]
    cavity = Ellipsoid("cavity", FAT_HU, middle, (*build.cavity, ENDLESS), exponent=exponent)
    return [*solids, *body, *muscles, cavity]


def ribs(rng: np.random.Generator, build: Build) -> list[Solid]:
    """Twelve pairs that sink from the spine to the front and end in cartilage; shoulder blades; breast bone."""
    a, b = build.cavity
    first, sink = rng.uniform(-0.75, -0.55), rng.uniform(0.55, 0.85)
    bones: list[tuple[np.ndarray, float]] = []
    cartilage = []
    for number in range(12):
        # Radians round the wall from the back; the lower ribs end ever earlier.
        angles = np.linspace(0.32, 2.75 - 0.22 * max(number - 6, 0), 16)
        x, y = (np.sign(part) * np.abs(part) ** (2 / build.roundness) for part in (np.sin(angles), np.cos(angles)))
        depths = first + 0.19 * number + sink * (angles - 0.32) / 2.4
        for side in (-1, 1):
            points = np.stack([side * (a + 0.03) * x, (b + 0.03) * y, depths], axis=1)
            bones.append((points[:13], 0.036))
            cartilage.append(path("cartilage", 105, points[12:], 0.034))
    angles = np.array([0.75, 1.2])  # shoulder blades lie on the ribs
    x, y = (a + 0.085) * np.sin(angles) ** (2 / build.roundness), (b + 0.085) * np.cos(angles) ** (2 / build.roundness)
    for side in (-1, 1):
        blades = (np.stack([side * x, y, np.full(2, depth)], axis=1) for depth in (-0.05, 0.05, 0.15, 0.25))
        bones += [(points, 0.028) for points in blades]
    breast_bone = [("bone", 550.0, 0.0), ("marrow", 0.7 * build.marrow, 0.016)]
    return [
        joined(cartilage),
        joined([path("bone", 650, points, radius) for points, radius in bones]),
        joined([path("marrow", build.marrow, points, radius - 0.016, texture=20) for points, radius in bones]),
        *layers(breast_bone, (0, -b - 0.02, 0.3), (0.12, 0.04, 0.55)),
    ]


def spine(rng: np.random.Generator, build: Build) -> list[Solid]:
    """Back muscles; for each vertebra a disc, arch, processes and body with a dense rim; canal with the cord."""
    y = build.spine
    muscles: list[Solid] = [
        Ellipsoid("muscle", MUSCLE_HU, (side * 0.18, y + 0.22, 0), (0.18, 0.13, ENDLESS), side * -0.2)
        for side in (-1, 1)
    ]
    discs: list[Solid] = []
    bones: list[Solid] = []
    for depth in np.arange(rng.uniform(-0.2, 0), 2.2, 0.22):
        discs.append(Ellipsoid("disc", 85, (0, y, depth + 0.11), (0.14, 0.11, 0.05), exponent=2.5))
        bones.append(Ellipsoid("bone", 520, (0, y + 0.16, depth), (0.12, 0.09, 0.085)))
        transverse = [[(side * 0.08, y + 0.15, depth), (side * 0.25, y + 0.18, depth)] for side in (-1, 1)]
        bones.append(joined([path("bone", 480, points, (0.04, 0.03)) for points in transverse]))
        rim = [("bone", 600.0, 0.0), ("marrow", build.marrow, 0.018)]
        bones += layers(rim, (0, y + 0.26, depth + 0.05), (0.034, 0.1, 0.09), texture=18)
        bones += layers(rim, (0, y, depth), (0.145, 0.115, 0.11), exponent=3, texture=18)
    canal = [("canal", 30.0, 0.0), ("cord", 42.0, 0.027)]
    return [*muscles, *discs, *bones, *layers(canal, (0, y + 0.15, 0), (0.065, 0.052, ENDLESS))]
