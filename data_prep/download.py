"""LoDoPaB-CT from Zenodo (record 3384092, CC BY 4.0): resumable, checked by md5, unpacked safely.

`NAME.part` (being fetched) -> `NAME` (its md5 is right) -> all members unpacked under temporary names -> renamed
-> entry in the receipt -> archive deleted. A kill anywhere costs at most the step it hits.
"""

import errno
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep import staging, transfer
from data_prep.errors import InputError
from data_prep.lodopab import IMAGE_SIZE, OFFICIAL_FILES, PARTS, SLICES_PER_FILE, patient_ids_name
from data_prep.progress import Progress, silent

ZENODO_URL = "https://zenodo.org"
RECORD = "records/3384092"
RECEIPT = "download_receipt.json"
# Bytes (None: not known) and md5 from a third-party listing, for when Zenodo's own record cannot be read.
BUILT_IN: dict[str, tuple[int | None, str]] = {
    "ground_truth_train.zip": (15_940_074_239, "f06829ccf2b9bb817abd093ce490b2c7"),
    "ground_truth_validation.zip": (1_567_086_812, "666c36f403734842f14ca8811a63b8f7"),
    "ground_truth_test.zip": (1_582_139_537, "ecc655767fbe3d40908ca823921f4c7f"),
    "observation_train.zip": (29_938_738_627, "c4fde721ac5862469812de49f98fb0a3"),
    "observation_validation.zip": (2_944_573_582, "3cff406e09c59774912655eb7a72cfcf"),
    "observation_test.zip": (2_996_574_366, "9ae6b053bb1faa94d573311af8ec67b2"),
    "patient_ids_rand_train.csv": (None, "4fee01b076920f85fc92e0de774dc277"),
    "patient_ids_rand_validation.csv": (None, "a387e619074f49573ae376c60a948db4"),
    "patient_ids_rand_test.csv": (None, "e86068312ad8a039e03f7f929352f7fd"),
}
FROM_RECORD = "Zenodo's record"
FROM_BUILT_IN = "the built-in (third-party) list"
ROW_BYTES = {"ground_truth": IMAGE_SIZE * IMAGE_SIZE * 4, "observation": 1000 * 513 * 4}
MEMBER_SLACK = 16 << 20  # HDF5 stores whole chunks also at the borders: 4 % in the real files
# Unpacked bytes per byte of an archive, rounded up from the published sizes and that layout (1.23 and 2.56).
UNPACKED_RATIO = {"ground_truth": 1.25, "observation": 2.6}


def download_lodopab(
    output_dir: Path,
    parts: Sequence[str],
    *,
    observations: bool = False,
    base_url: str = ZENODO_URL,
    progress: Progress = silent,
) -> str:
    """Brings parts of LoDoPaB-CT into `output_dir` as HDF5 and CSV files; what the receipt has is left alone.

    An archive that lies there already is used if its md5 is right. Archives are deleted once unpacked.

    Args:
      output_dir: folder, made if need be.
      parts: some of train, validation, test.
      observations: fetch the low-dose sinograms too (twice as large as the ground truth).
      base_url: Zenodo, or a mirror with its URLs.
      progress: called with a step's name, the bytes done, and the bytes in all (0 where unknown).

    Returns:
      One line that says where the checksums came from.

    Raises:
      InputError: unknown part, requests missing, disk too small or full, folder not writable or in use, server out of
        reach, wrong checksum, or an archive that is broken or holds anything but the part's HDF5 files.
    """
    wrong = [part for part in parts if part not in PARTS]
    if wrong or not parts:
        raise InputError(f"download={','.join(parts)!r}: expected some of {', '.join(PARTS)}, got {wrong or 'none'}")
    kinds = [kind for kind in ROW_BYTES if observations or kind == "ground_truth"]
    # The small files come first: a folder of phantoms is found out by its ids before anything large is fetched.
    names = [patient_ids_name(part) for part in PARTS if part in parts]
    names += [f"{kind}_{part}.zip" for kind in kinds for part in PARTS if part in parts]
    try:
        if not _missing(output_dir, names):
            sources = sorted({entry["checksums"] for name, entry in _read_receipt(output_dir).items() if name in names})
            return f"nothing to download, {output_dir} has it all; checksums from {' and '.join(sources)}"
        requests = transfer.import_requests()
        output_dir.mkdir(parents=True, exist_ok=True)
        taken = f"output_dir {output_dir}: another download into it is running; wait for its end"
        with staging.locked(output_dir, taken), requests.Session() as session:
            return _download(session, output_dir, names, base_url.rstrip("/"), progress)
    except OSError as error:
        why = f"the disk {staging.disk(output_dir)} is full" if error.errno == errno.ENOSPC else error.strerror or error
        raise InputError(
            f"output_dir {output_dir}: {why}; free some space or choose another folder; the same command resumes"
        ) from error


def _download(session: Any, output_dir: Path, names: Sequence[str], base_url: str, progress: Progress) -> str:
    missing = _missing(output_dir, names)
    files, line = _remote_files(session, base_url, missing)
    _check_disk(output_dir, files)
    for name, remote in files.items():
        path = output_dir / name
        transfer.fetch(session, remote, path, progress)
        archive = path.suffix == ".zip"
        members = transfer.unpack(path, _contents(name), progress) if archive else {name: path.stat().st_size}
        _write_receipt(output_dir, name, {"md5": remote.md5, "checksums": remote.source, "members": members})
        if archive:
            path.unlink()
    return line


def _remote_files(session: Any, base_url: str, names: Sequence[str]) -> tuple[dict[str, transfer.RemoteFile], str]:
    """What is known of each file, and the line that says from where."""
    requests = transfer.import_requests()
    urls = {name: f"{base_url}/{RECORD}/files/{name}?download=1" for name in names}
    try:
        response = session.get(f"{base_url}/api/{RECORD}", timeout=transfer.TIMEOUT)
        response.raise_for_status()
        entries = {entry["key"]: entry for entry in response.json()["files"]}
        published = {name: (int(entries[name]["size"]), entries[name]["checksum"].lower()) for name in names}
        for size, checksum in published.values():
            if size <= 0 or not re.fullmatch(r"md5:[0-9a-f]{32}", checksum):
                raise ValueError(f"{checksum}, {size} bytes")
    except (requests.RequestException, ValueError, KeyError, TypeError, AttributeError) as error:
        files = {name: transfer.RemoteFile(url, *BUILT_IN[name], FROM_BUILT_IN) for name, url in urls.items()}
        return files, f"checksums from {FROM_BUILT_IN}, as Zenodo's record cannot be read ({type(error).__name__})"
    files = {
        name: transfer.RemoteFile(urls[name], size, checksum.removeprefix("md5:"), FROM_RECORD)
        for name, (size, checksum) in published.items()
    }
    differ = ", ".join(name for name, file in files.items() if file.md5 != BUILT_IN[name][1])
    return files, f"checksums from {FROM_RECORD}" + (f"; {FROM_BUILT_IN} differs for {differ}" if differ else "")


def _contents(archive_name: str) -> transfer.Contents:
    kind, part = archive_name.removesuffix(".zip").rsplit("_", 1)
    limit = SLICES_PER_FILE * ROW_BYTES[kind] + MEMBER_SLACK
    return transfer.Contents(rf"{kind}_{part}_[0-9]{{3}}\.hdf5", OFFICIAL_FILES[part], limit)


def _check_disk(output_dir: Path, files: dict[str, transfer.RemoteFile]) -> None:
    # Archives are unpacked and deleted one after the other: the need is the highest point on that way.
    needed = stays = 0
    for name, remote in files.items():
        path = output_dir / name
        size = remote.size or transfer.UNKNOWN_SIZE_LIMIT
        fetched = 0 if path.exists() else size - min(size, transfer.size_of(transfer.partial(path)))
        if path.suffix != ".zip":
            unpacked, stays = 0, stays + fetched
        elif path.exists():
            members = transfer.list_members(path, _contents(name))
            unpacked = sum(n - min(n, transfer.size_of(transfer.partial(output_dir / m))) for m, n in members.items())
        else:
            unpacked = int(size * UNPACKED_RATIO[name.rsplit("_", 1)[0]])
        needed = max(needed, stays + fetched + unpacked)
        stays += unpacked
    free = shutil.disk_usage(output_dir).free
    if needed > free:
        raise InputError(
            f"output_dir {output_dir}: the archives and their contents need {needed / 1e9:.2f} GB, the disk "
            f"{staging.disk(output_dir)} has {free / 1e9:.2f} GB free; make room or choose another folder"
        )


def _missing(output_dir: Path, names: Sequence[str]) -> list[str]:
    """Those of `names` that the receipt does not have, or whose files are gone or of another size."""
    receipt, missing = _read_receipt(output_dir), []
    for name in names:
        members = receipt[name]["members"] if name in receipt else {}
        if not members or any(transfer.size_of(output_dir / member) != size for member, size in members.items()):
            missing.append(name)
        elif name.endswith(".zip"):
            (output_dir / name).unlink(missing_ok=True)  # killed between the receipt and this
    return missing


def _read_receipt(output_dir: Path) -> dict[str, Any]:
    try:
        receipt = json.loads((output_dir / RECEIPT).read_text())
        # Looked through once, so that a damaged receipt is as good as none.
        return {k: e | {"checksums": str(e["checksums"]), "members": dict(e["members"])} for k, e in receipt.items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_receipt(output_dir: Path, name: str, entry: dict[str, Any]) -> None:
    path = output_dir / RECEIPT
    transfer.partial(path).write_text(json.dumps(_read_receipt(output_dir) | {name: entry}, indent=1) + "\n")
    transfer.partial(path).replace(path)
