"""Which slice of a low-dose series belongs to which of the normal-dose series: by position, never by file order."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

import numpy as np

from data_prep.dicom_file import SliceHeader
from data_prep.errors import InputError

TOLERANCE_MM = 0.1  # within which two slices lie at one position
_TOLERANCES = {"shape": 0, "origin": TOLERANCE_MM, "orientation": 1e-3, "spacing": 1e-3}


@dataclasses.dataclass(frozen=True)
class SlicePair:
    """One slice of a patient at two doses; `index` counts the patient's pairs by growing position.

    `low_dose` is None where the low dose is made from the normal one.
    """

    patient_id: str
    index: int
    low_dose: SliceHeader | None
    normal_dose: SliceHeader

    @property
    def headers(self) -> tuple[SliceHeader, ...]:
        """Of the files that are there, the low dose first."""
        return (self.normal_dose,) if self.low_dose is None else (self.low_dose, self.normal_dose)


def single_slices(patient: str, normal_dose: Sequence[SliceHeader]) -> list[SlicePair]:
    """A normal-dose series alone, in order of position.

    Raises:
      InputError: two slices at one position, or slices of different orientations.
    """
    one = normal_dose[0]
    for two in normal_dose:
        if _differ(one.orientation, two.orientation, _TOLERANCES["orientation"]):
            raise InputError(
                f"patient {patient}: the orientation is {one.orientation} in {one.path} and {two.orientation} in "
                f"{two.path}; remove what is no slice of the series, such as a localizer"
            )
    key = _place(patient, normal_dose)
    _check_apart(patient, {"normal-dose": normal_dose}, key)
    return [SlicePair(patient, index, None, header) for index, header in enumerate(sorted(normal_dose, key=key))]


def pair_slices(
    patient: str,
    low_dose: Sequence[SliceHeader],
    normal_dose: Sequence[SliceHeader],
    malformed: tuple[int, int] = (0, 0),
) -> list[SlicePair]:
    """Pairs two series by slice position, to TOLERANCE_MM; the order and names of files say nothing.

    Args:
      patient: id in the pairs and in messages.
      low_dose, normal_dose: the readable slices of each series, in any order.
      malformed: files of each series that could not be read. Each excuses one slice of the other series for
        having no partner; that slice is left out.

    Raises:
      InputError: other slices without partner, two slices of a series at one position, or partners that differ in
        shape, in-plane origin, orientation or pixel spacing.
    """
    key = _place(patient, [*low_dose, *normal_dose])
    _check_apart(patient, {"low-dose": low_dose, "normal-dose": normal_dose}, key)
    low, normal = sorted(low_dose, key=key), sorted(normal_dose, key=key)
    matches: list[tuple[SliceHeader, SliceHeader]] = []
    alone: dict[str, list[SliceHeader]] = {"low-dose": [], "normal-dose": []}
    while low or normal:
        gap = key(low[0]) - key(normal[0]) if low and normal else (-np.inf if low else np.inf)
        if abs(gap) <= TOLERANCE_MM:
            matches.append((low.pop(0), normal.pop(0)))
        elif gap < 0:
            alone["low-dose"].append(low.pop(0))
        else:
            alone["normal-dose"].append(normal.pop(0))
    for (role, headers), excused in zip(alone.items(), reversed(malformed), strict=True):
        if len(headers) > excused:
            raise InputError(
                f"patient {patient}: {len(low_dose)} low-dose and {len(normal_dose)} normal-dose slices do not pair: "
                f"position {key(headers[0]):g} mm is in the {role} series only ({headers[0].path}); complete the "
                "series or remove what is alone"
            )
    for one, two in matches:
        _check_aligned(patient, key(one), one, two)
    return [SlicePair(patient, index, *match) for index, match in enumerate(matches)]


def _place(patient: str, every: Sequence[SliceHeader]) -> Callable[[SliceHeader], float]:
    """What gives a slice's position; a scanner's SliceLocation need not equal it, so one of them is taken for all."""
    key = attrgetter("position" if all(header.position is not None for header in every) else "slice_location")
    unplaced = [header.path for header in every if key(header) is None]
    if unplaced:
        raise InputError(
            f"patient {patient}: {unplaced[0]} has no SliceLocation, another file no ImagePositionPatient; remove one"
        )
    return key


def _check_apart(
    patient: str, series: Mapping[str, Sequence[SliceHeader]], key: Callable[[SliceHeader], float]
) -> None:
    for role, headers in series.items():
        for one, two in itertools.pairwise(sorted(headers, key=key)):
            if key(two) - key(one) <= TOLERANCE_MM:
                raise InputError(
                    f"patient {patient}: two {role} slices at position {key(one):g} mm, {one.path} and "
                    f"{two.path.name}; keep one"
                )


def _check_aligned(patient: str, position: float, low: SliceHeader, normal: SliceHeader) -> None:
    """Pixels of partners show the same place only if size, origin, orientation and spacing agree."""
    for name, tolerance in _TOLERANCES.items():
        one, two = getattr(low, name), getattr(normal, name)
        if _differ(one, two, tolerance):
            raise InputError(
                f"patient {patient}: at position {position:g} mm the {name} is {one} in {low.path} and {two} in "
                f"{normal.path}; the pixels of a pair must match"
            )


def _differ(one: Sequence[float] | None, two: Sequence[float] | None, tolerance: float) -> bool:
    return one is not None and two is not None and not np.allclose(one, two, rtol=0, atol=tolerance)
