"""Data of several doses: which photons each slice of each split is scanned with.

One data set trains one network for all of them: each training and validation slice has a dose drawn from the list. Test
slices have all, so that every dose is evaluated on the same patients: the split `test` has the first dose, each other
dose a split `test_PHOTONS` of its own. So every tool that reads a split sees one dose and needs to know of no other.
"""

from collections.abc import Sequence

from data_prep.lodopab import SliceRef
from data_prep.low_dose import random_stream
from data_prep.splits import Splits

TEST = "test"
_DRAW = 0  # the random stream that draws a slice's dose; that of its noise has its photons for a key

Scan = tuple[SliceRef, float | None]  # a slice, and the photons it is scanned with; None: the data have one dose


def test_splits(photons: Sequence[float]) -> dict[str, float]:
    """The photons of every test split: of `test` the first, of `test_PHOTONS` one each of the others."""
    first, *others = photons
    return {TEST: first} | {f"{TEST}_{value:.0f}": value for value in others}


def scans(split: Splits, photons: float | Sequence[float], seed: int) -> dict[str, list[Scan]]:
    """The scans of every split, in its order; a slice's draw depends on the seed and the slice alone."""
    if not isinstance(photons, Sequence):
        return {name: [(ref, None) for ref in refs] for name, refs in split.items()}
    drawn: dict[str, list[Scan]] = {
        name: [(ref, photons[int(random_stream(seed, ref, _DRAW).integers(len(photons)))]) for ref in refs]
        for name, refs in split.items()
        if name != TEST
    }
    return drawn | {name: [(ref, value) for ref in split[TEST]] for name, value in test_splits(photons).items()}
