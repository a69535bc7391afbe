"""The organs of a synthetic patient, each a function that returns its solids, painted over those of the ones before.

The body frame is phantom_body's. Positions are those of an average adult; `varied` and the build make a person.
"""

import functools
from collections.abc import Sequence

import numpy as np

from data_prep.hu import AIR_HU
from data_prep.phantom_body import FAT_HU, MUSCLE_HU, Build
from data_prep.phantom_solids import Ellipsoid, Points, Solid, joined, layers, path, scatter, tree, varied

WALL_HU = 45.0  # of hollow organs


def lungs(rng: np.random.Generator, build: Build) -> list[Solid]:
    """Both lungs, denser at the back and around the hilum, with vessels; perhaps a nodule."""
    a, b = build.cavity
    hu = rng.uniform(-880, -820)
    solids: list[Solid] = []
    for side in (-1, 1):
        centre, radii = (side * 0.54 * a, 0.0, 0.35), (0.5 * a, 1.06 * b, 0.95)
        hilum = (side * 0.18, build.spine - 0.26, 0.36)
        solids += [
            Ellipsoid("lung", hu, centre, radii, exponent=2.5, texture=22, within="cavity"),
            Ellipsoid(
                "lung", hu + 60, (side * 0.55 * a, b, 0.5), (0.5 * a, 0.3, 0.9), blur=0.16, within="lung", texture=24
            ),
            Ellipsoid("lung", hu + 110, hilum, (0.12, 0.14, 0.14), blur=0.12, within="lung", texture=26),
            tree(rng, "lung vessel", 38, hilum, scatter(rng, 350, centre, radii), 0.065, within="lung"),
        ]
        if rng.random() < 0.3:
            spot, radius = scatter(rng, 1, centre, np.multiply(radii, 0.6))[0], rng.uniform(0.03, 0.06)
            solids.append(Ellipsoid("nodule", 30, spot, (radius, radius, radius), within="lung"))
    return solids


def mediastinum(rng: np.random.Generator, build: Build) -> list[Solid]:
    """Fat between the lungs; trachea and its two branches; oesophagus."""
    _, b = build.cavity
    y = build.spine - 0.22
    fork = (-0.02, y - 0.02, rng.uniform(0.2, 0.28))
    airways = [[(-0.03, y - 0.02, -0.3), fork], *([fork, (side * 0.3, y, fork[2] + 0.16)] for side in (-1, 1))]
    oesophagus = [(0.02, y + 0.07, -0.2), (0.02, y + 0.07, 0.4), (0.06, y + 0.03, 0.8), (0.2, y - 0.12, 0.98)]
    return [
        Ellipsoid("mediastinum", FAT_HU, (0.02, -0.1 * b, 0), (0.17, 0.8 * b, 1.0), blur=0.02),
        joined([path("airway wall", 20, airway, (0.065, 0.052)) for airway in airways]),
        joined([path("airway", -985, airway, (0.052, 0.038), texture=4) for airway in airways]),
        path("oesophagus", 38, oesophagus, 0.036),
    ]


def heart(rng: np.random.Generator, build: Build) -> list[Solid]:
    """Fat around the heart, its muscle and chambers, and the trunk and branches of the lung artery."""
    muscle = 0.62 * build.blood if build.enhanced else WALL_HU + 6
    y, angle = -0.14, rng.uniform(0.4, 0.7)
    walls = [("heart fat", FAT_HU, 0.0), ("heart", muscle, 0.025)]
    chambers = [
        Ellipsoid("chamber", build.blood, (0.26, y + 0.05, 0.64), (0.17, 0.09, 0.2), angle),
        Ellipsoid("chamber", build.blood, (0.12, y - 0.12, 0.66), (0.2, 0.07, 0.2), angle),
        Ellipsoid("chamber", build.blood, (-0.1, y + 0.01, 0.6), (0.1, 0.12, 0.17)),
        Ellipsoid("chamber", build.blood, (0.05, y + 0.19, 0.52), (0.16, 0.08, 0.12)),
    ]
    trunk = [(0.1, y - 0.12, 0.46), (0.08, y - 0.06, 0.34), (0.03, y + 0.04, 0.31)]
    branches = [[(0.03, y + 0.05, 0.31), (side * 0.28, build.spine - 0.24, 0.35)] for side in (-1, 1)]
    arteries = [path("vessel", build.blood, trunk, 0.075)]
    arteries += [path("vessel", build.blood, branch, (0.065, 0.045)) for branch in branches]
    outer = layers(walls, (0.14, y, 0.62), (0.37, 0.29, 0.34), angle=angle)
    return varied(rng, [*outer, *chambers, joined(arteries)], (0.14, y, 0.62))


def abdomen(rng: np.random.Generator, build: Build) -> list[Solid]:
    """What lies under the two domes of the diaphragm: at first nothing but fat."""
    a, b = build.cavity
    shift = 0.75 + rng.uniform(-0.06, 0.06)
    places = [(-0.52 * a, -0.05, 0.66 + shift), (0.52 * a, -0.05, 0.76 + shift)]
    radii = (0.6 * a, 1.05 * b, 0.75)
    domes = [
        dome
        for part in (("diaphragm", WALL_HU, 0.0), ("abdomen", FAT_HU, 0.013))
        for place in places
        for dome in layers([part], place, radii, exponent=2.3, within="cavity")
    ]
    return [*domes, Ellipsoid("abdomen", FAT_HU, (0, -0.1 * b, 1.7), (0.5, b, 0.75), within="cavity")]


def liver(rng: np.random.Generator, build: Build) -> list[Solid]:
    """Both lobes with the fissure between them, portal and hepatic veins, lesions, gall bladder."""
    a, b = build.cavity
    # The right lobe is larger than the dome that it fills, so that the diaphragm shapes it.
    right, right_radii = (-0.54 * a, -0.02, 1.3), (0.54 * a, 1.05 * b, 0.75)
    left, left_radii = (0.0, -0.52 * b, 1.12), (rng.uniform(0.3, 0.45), 0.36 * b, 0.34)
    lobe = functools.partial(Ellipsoid, "liver", build.liver, exponent=2.3, within="abdomen")
    vein_hu = build.liver + (50 if build.enhanced else -15)
    veins = functools.partial(tree, rng, "liver vein", vein_hu, within="liver")
    tips = scatter(rng, 48, right, right_radii)
    solids: list[Solid] = [
        lobe(right, right_radii),
        lobe(left, left_radii, 0.15),
        Ellipsoid("fissure", FAT_HU, (-0.16, -0.62 * b, 1.25), (0.012, 0.14, 0.16), 0.3),
        veins((-0.13, 0.08, 0.85), tips[:24], 0.045),
        veins((-0.13, 0.0, 1.25), tips[24:], 0.05),
        veins((-0.1, -0.1, 1.2), scatter(rng, 12, left, left_radii), 0.035),
    ]
    for spot in scatter(rng, int(rng.integers(4, 10)), right, np.multiply(right_radii, 0.8)):
        radii = rng.uniform(0.04, 0.1) * rng.uniform(0.8, 1.2, 3)
        solids.append(Ellipsoid("lesion", build.liver - rng.uniform(15, 40), spot, radii, within="liver"))
    bladder = [("gall bladder wall", WALL_HU, 0.0), ("bile", 8.0, 0.012)]
    solids += layers(bladder, (-0.3, -0.5 * b, 1.5), (0.1, 0.15, 0.16), angle=rng.uniform(-0.5, 0.5))
    return varied(rng, solids, right)


def stomach_and_spleen(rng: np.random.Generator, build: Build) -> list[Solid]:
    """Spleen against the back wall; stomach before it, with fluid under gas; pancreas."""
    a, b = build.cavity
    place = (0.76 * a, 0.34 * b, 1.2)
    spleen = Ellipsoid("spleen", build.liver - 4, place, (0.17, 0.36, 0.4), 0.45, exponent=2.3, within="abdomen")
    centre, radii = (0.45 * a, -0.3 * b, 1.12), np.multiply((0.3, 0.58 * b, 0.5), rng.uniform(0.65, 1.05))
    level = centre[1] - radii[1] * rng.uniform(-0.2, 0.6)
    stomach = [("stomach wall", WALL_HU, 0.0), ("stomach", AIR_HU + 20, 0.03)]
    # A box larger than the stomach, whose upper side is the level.
    fluid = Ellipsoid(
        "fluid", rng.uniform(5, 40), (centre[0], level + 0.5, 1), (0.5, 0.5, 9), exponent=9, within="stomach"
    )
    head_to_tail = [(-0.17, 0.02, 1.55), (0.0, -0.06, 1.45), (0.25, 0.0, 1.38), (0.5, 0.12, 1.32)]
    pancreas = path("pancreas", 0.6 * build.blood + 18, head_to_tail, (0.09, 0.055, 0.06, 0.035), texture=14)
    return [
        *varied(rng, [spleen], place),
        *varied(rng, [*layers(stomach, centre, radii, angle=-0.3, texture=5, within="abdomen"), fluid], centre),
        *varied(rng, [pancreas], head_to_tail[1]),
    ]


def kidneys(rng: np.random.Generator, build: Build) -> list[Solid]:
    """Cortex, pyramids of medulla, and the fat of the sinus, open to the middle; psoas muscles beside the spine."""
    cortex, medulla = (build.blood + 25, build.blood - 20) if build.enhanced else (38, 28)
    solids: list[Solid] = []
    for side, depth in ((-1, 1.72), (1, 1.62)):
        x, y = side * 0.42, build.spine - 0.02
        kidney: list[Solid] = [Ellipsoid("kidney", cortex, (x, y, depth), (0.15, 0.18, 0.34), side * 0.5)]
        for angle in np.linspace(-2.0, 2.0, 5) + rng.uniform(-0.25, 0.25):
            for along in (-0.17, 0.03, 0.22):
                pyramid = (x + side * 0.075 * np.cos(angle), y + 0.1 * np.sin(angle), depth + along)
                turn = float(side * angle)
                kidney.append(Ellipsoid("medulla", medulla, pyramid, (0.05, 0.034, 0.085), turn, blur=0.02))
        kidney.append(Ellipsoid("sinus", -80, (x - side * 0.06, y - 0.02, depth), (0.1, 0.05, 0.17), side * 0.3))
        solids += varied(rng, kidney, (x, y, depth))
        solids.append(Ellipsoid("muscle", MUSCLE_HU, (side * 0.2, build.spine, 2.0), (0.1, 0.11, 0.6)))
    return solids


def bowel(rng: np.random.Generator, build: Build) -> list[Solid]:
    """Loops in the fat of the front: small bowel, the colon's two bends with gas, and the vessels that feed them."""
    a, b = build.cavity
    colon = [(0.75 * a, 0.3 * b, 2.1), (0.74 * a, -0.05 * b, 1.68), (0.55 * a, -0.5 * b, 1.6), (0.1, -0.72 * b, 1.72)]
    loops = [(scatter(rng, 8, (0.18, -0.4 * b, 1.8), (0.6, 0.4 * b, 0.4)), 0.07, rng.uniform(10, 60)) for _ in range(6)]
    for side in (-1, 1):
        corners = rng.normal(np.multiply(colon, (side, 1, 1)), 0.03)
        loops += [(corners, 0.11, -30.0), (corners[1:], 0.085, -900.0)]
    feeding = scatter(rng, 40, (0.15, -0.35 * b, 1.75), (0.6, 0.5 * b, 0.4))
    solids: list[Solid] = [tree(rng, "gut vessel", build.blood, (0.03, -0.1, 1.6), feeding, 0.045, within="abdomen")]
    for points, radius, hu in loops:
        solids.append(path("bowel wall", WALL_HU, points, radius, within="abdomen"))
        solids.append(path("bowel", hu, points, radius - 0.022, within="abdomen", texture=14))
    return solids


def great_vessels(rng: np.random.Generator, build: Build) -> list[Solid]:
    """Aorta with its arch and branches to gut and kidneys, upper and lower vena cava; perhaps calcium."""
    y = build.spine
    down = np.array([(0.15, -0.12, 0.14), (0.14, -0.12, 0.5), (0.12, -0.14, 1), (0.06, -0.17, 1.3), (0.05, -0.16, 2.2)])
    down += (0, y, 0)
    aorta = [(-0.06, -0.14, 0.5), (-0.1, -0.16, 0.28), (-0.04, -0.12, 0.1), (0.11, y - 0.28, 0.05), *down]
    branches: list[tuple[Points, float | Sequence[float]]] = [
        (aorta, (0.1, 0.1, 0.09, 0.085, 0.08, 0.075, 0.07, 0.06, 0.05)),
        ([(-0.15, -0.14, -0.3), (-0.17, -0.12, 0.55)], 0.055),
        ([(-0.12, 0.0, 0.65), (-0.13, y - 0.2, 0.95), (-0.12, y - 0.16, 2.2)], 0.07),
        ([(0.06, y - 0.17, 1.35), (0.05, y - 0.35, 1.4), (0.03, y - 0.4, 2.2)], 0.028),
        *(([(0, y - 0.17, 1.62), (side * 0.38, y - 0.04, 1.66)], 0.025) for side in (-1, 1)),
    ]
    solids: list[Solid] = [joined([path("vessel", build.blood, points, radii) for points, radii in branches])]
    for angle, depth in rng.uniform((0, 0.2), (6.3, 1.9), (rng.integers(0, 8), 2)):
        x_aorta, y_aorta = (np.interp(depth, down[:, 2], down[:, axis]) for axis in (0, 1))
        spot = (x_aorta + 0.06 * np.cos(angle), y_aorta + 0.06 * np.sin(angle), depth)
        solids.append(Ellipsoid("calcium", 500, spot, (0.02, 0.02, 0.05)))
    return solids
