"""The patients of a folder of DICOM files, each with a low-dose and a normal-dose series or with the latter alone.

Two layouts are known: the Mayo 2016 challenge's, INPUT/PATIENT/quarter_3mm|full_3mm/**/*.IMA|*.dcm, and that of
TCIA's LDCT-and-Projection-data (Moen et al., Med Phys 48, 902-911, 2021), INPUT/PATIENT/STUDY/SERIES/*.dcm, where the
series are distinguished by their SeriesDescription. A normal-dose series alone may also be the only one of its patient.
"""

import contextlib
import dataclasses
import functools
import itertools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from data_prep.dicom_file import SliceHeader, load_pydicom, read_header, read_series
from data_prep.dicom_pairs import SlicePair, pair_slices, single_slices
from data_prep.errors import InputError
from data_prep.series_names import LOW, NORMAL, SeriesNames

logger = logging.getLogger(__name__)

Input = TypeVar("Input")
Output = TypeVar("Output")

SUFFIXES = (".ima", ".dcm")


@dataclasses.dataclass
class Skipped:
    """Files left out because they cannot be read: each is named as it is met, and all are counted at the end.

    Attributes:
      strict: make the first one an error.
      files: those that cannot be read.
      partners: whole slices left out with them, for want of a partner.
    """

    strict: bool
    files: int = 0
    partners: int = 0

    def add(self, error: InputError) -> None:
        """Counts and names one file; in strict mode raises its InputError."""
        if self.strict:
            raise error
        self.files += 1
        logger.warning("skipped: %s", error)

    def log_counts(self) -> None:
        """One warning with both counts, if there is anything to say."""
        if self.files:
            logger.warning(
                "%d malformed DICOM files skipped, and %d slices that lost their partner", self.files, self.partners
            )


def tried(read: Callable[[Input], Output], item: Input) -> Output | InputError:
    """read(item), or the InputError that it raised: lets a parallel map continue past a malformed file."""
    try:
        return read(item)
    except InputError as error:
        return error


def find_pairs(
    input_dir: Path, names: SeriesNames, skipped: Skipped, workers: int | None = None, *, alone: bool = False
) -> dict[str, list[SlicePair]]:
    """Every patient's pairs, by the name of the patient's folder; only headers are read.

    Args:
      input_dir: folder of the patients' folders.
      names: of the series.
      skipped: takes what cannot be read.
      workers: threads; by default as many as the machine bears.
      alone: look for normal-dose series only; their slices are pairs without a low dose.

    Raises:
      InputError: no patient with the series; a series missing, ambiguous, empty or not matching its partner. TCIA's
        patients without low-dose images, and folders with DICOM files but none of the series, are left out with a
        warning, unless `skipped` is strict.
    """
    load_pydicom()  # its absence must not pass for a malformed file
    if not input_dir.is_dir():
        raise InputError(f"input_dir {input_dir}: no such folder; give the folder of the patients' folders")
    if names.low_dose_folder == names.normal_dose_folder and not alone:
        raise InputError(f"low_dose_folder and normal_dose_folder are both {names.low_dose_folder!r}; name two")
    patients: dict[str, list[SlicePair]] = {}
    lacking: list[str] = []
    without: list[Path] = []
    seen: set[str] = set()
    for folder in sorted(path for path in input_dir.iterdir() if path.is_dir() and not path.name.startswith(".")):
        by_folder = {NORMAL: folder / names.normal_dose_folder}
        if not alone:
            by_folder = {LOW: folder / names.low_dose_folder} | by_folder
        series = {role: _dicom_files(path) for role, path in by_folder.items() if path.is_dir()}
        described = not series
        if described:
            series = (_only_series if alone else _described_series)(folder, names, skipped, seen)
        if described and not series:
            without.append(folder)
            continue
        if described and not alone and LOW not in series:
            lacking.append(folder.name)
            continue
        for role in by_folder:
            if role not in series:
                wanted = repr(names.normal_dose_description) if described else by_folder[role]
                raise InputError(f"patient {folder.name}: no {role} series ({wanted}); complete {folder} or remove it")
        patients[folder.name] = _patient_pairs(folder.name, series, described, skipped, workers)
    if lacking:
        # The collection has them for the Siemens half only (ctcicblog.mayo.edu, Patient CT Projection Data Library).
        message = f"{len(lacking)} patients have no series {names.low_dose_description!r}: {', '.join(lacking)}"
        _leave_out(message, skipped.strict)
    if not patients:
        raise InputError(f"input_dir {input_dir}: no patient has {_wanted(names, alone)}{_found(seen)}")
    if without:
        found = ", ".join(folder.name for folder in without)
        looked_for = f"of files that end in {' or '.join(SUFFIXES)}, or are DICOM without a suffix"
        strict = skipped.strict and any(map(_dicom_files, without))  # folders of other things are no fault
        _leave_out(f"{len(without)} folders have no series ({looked_for}) to take: {found}", strict)
    return patients


def _leave_out(message: str, strict: bool) -> None:
    if strict:
        raise InputError(f"{message}; complete or remove them")
    logger.warning("%s; left out", message)


def _wanted(names: SeriesNames, alone: bool) -> str:
    if alone:
        return f"a folder {names.normal_dose_folder}, or DICOM files of one series"
    return (
        f"folders {names.low_dose_folder} and {names.normal_dose_folder}, or series described as "
        f"{names.low_dose_description!r} and {names.normal_dose_description!r}"
    )


def _found(seen: set[str]) -> str:
    return f"; the series found are {', '.join(map(repr, sorted(seen)[:5]))}" if seen else ""


def _dicom_files(folder: Path) -> list[Path]:
    # Hidden files are what other systems leave beside the real ones (._NAME.dcm of macOS).
    paths = (p for p in folder.rglob("*") if not p.name.startswith(".") and p.is_file() and _is_dicom(p))
    return sorted(paths, key=lambda path: (path.parent, path.name))


def _is_dicom(path: Path) -> bool:
    """By the suffix or, of a file without one, as archives export them, by its content; a UID's end is no suffix."""
    if path.suffix.strip(".0123456789"):
        return path.suffix.lower() in SUFFIXES
    if path.name == "DICOMDIR":  # says which files there are
        return False
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
    return True  # it is named where its header cannot be read either


def _all_series(folder: Path, skipped: Skipped) -> list[tuple[str, list[Path]]]:
    """SeriesDescription and files of every series below a patient's folder, which may lie in several folders."""
    series: dict[tuple[str, str], list[Path]] = {}
    # One file tells what a folder is: series of projections have tens of thousands.
    for place, group in itertools.groupby(_dicom_files(folder), attrgetter("parent")):
        paths, errors = list(group), []
        for found in (tried(read_series, path) for path in paths):
            if not isinstance(found, InputError):
                description, uid = found
                series.setdefault((description, uid or str(place)), []).extend(paths)
                break
            errors.append(found)
        else:
            for error in errors:
                skipped.add(error)
    return [(description, paths) for (description, _), paths in series.items()]


def _described_series(folder: Path, names: SeriesNames, skipped: Skipped, seen: set[str]) -> dict[str, list[Path]]:
    """The files of each role's series below a patient's folder; `seen` gathers the descriptions of all series."""
    series: dict[str, list[Path]] = {}
    for description, paths in _all_series(folder, skipped):
        seen.add(description)
        role = names.role(description)
        if role in series:
            raise InputError(
                f"patient {folder.name}: two {role} series, {series[role][0].parent} and {paths[0].parent}; keep one"
            )
        if role is not None:
            series[role] = paths
    return series


def _only_series(folder: Path, names: SeriesNames, skipped: Skipped, seen: set[str]) -> dict[str, list[Path]]:
    """The series below a patient's folder that is described as the normal dose or, without such, the only one.

    Those of low dose do not count.
    """
    series = _all_series(folder, skipped)
    seen |= {description for description, _ in series}
    low_dose = folder / names.low_dose_folder
    chosen = [one for one in series if names.role(one[0]) != LOW and low_dose not in one[1][0].parents]
    chosen = [one for one in chosen if names.role(one[0]) == NORMAL] or chosen
    if series and not chosen:
        raise InputError(
            f"patient {folder.name}: no normal-dose series, only of low dose; complete {folder} or remove it"
        )
    descriptions = [description for description, _ in chosen]
    if len(set(descriptions)) > 1:
        raise InputError(
            f"patient {folder.name}: {len(chosen)} series ({', '.join(map(repr, descriptions))}); name one of them "
            "with --normal_dose_description"
        )
    if len(chosen) > 1:
        places = ", ".join(str(paths[0].parent) for _, paths in chosen)
        raise InputError(f"patient {folder.name}: {len(chosen)} series {descriptions[0]!r}, {places}; keep one")
    return {NORMAL: chosen[0][1]} if chosen else {}


def _patient_pairs(
    patient: str, series: dict[str, list[Path]], described: bool, skipped: Skipped, workers: int | None
) -> list[SlicePair]:
    # TCIA's folders are one series each and named by PatientID; the challenge's ids differ by dose.
    one_id = described or LOW not in series
    headers: dict[str, list[SliceHeader]] = {role: [] for role in series}
    errors: dict[str, list[InputError]] = {role: [] for role in series}
    with ThreadPoolExecutor(workers) as pool:
        for role in (LOW, NORMAL) if LOW in series else (NORMAL,):
            for header in pool.map(functools.partial(tried, read_header), series[role]):
                if isinstance(header, InputError):
                    skipped.add(header)
                    errors[role].append(header)
                else:
                    headers[role].append(header)
            if not headers[role]:
                none = f"its folder has no {' or '.join(SUFFIXES)} file; remove the patient or add them"
                raise InputError(f"patient {patient}: no readable {role} slice: {next(iter(errors[role]), none)}")
            if one_id and len({header.series_uid for header in headers[role]}) > 1:
                raise InputError(f"patient {patient}: {series[role][0].parent} holds several series; keep one")
    ids = {header.patient_id for of_role in headers.values() for header in of_role}
    if one_id and len(ids) > 1:
        raise InputError(
            f"patient {patient}: the slices are of different patients, PatientID {', '.join(sorted(ids))}; keep one's"
        )
    if LOW not in series:
        return single_slices(patient, headers[NORMAL])
    pairs = pair_slices(patient, headers[LOW], headers[NORMAL], (len(errors[LOW]), len(errors[NORMAL])))
    skipped.partners += len(headers[LOW]) + len(headers[NORMAL]) - 2 * len(pairs)
    return pairs
