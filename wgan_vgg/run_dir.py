"""Every path of a run directory, and writing into it without ever leaving half a file."""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from data_prep import staging
from data_prep.errors import InputError
from wgan_vgg.config import Config, from_dict


class _Folder:
    def __init__(self, workdir: Path) -> None:
        self.path = workdir

    def create(self) -> None:
        """Makes the folder.

        Raises:
          InputError: it cannot be made or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise InputError(f"workdir {self.path}: cannot be written ({error.strerror}); choose another") from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps the folder for this process while the block runs; the lock goes with the process, however it ends.

        Raises:
          InputError: another process has it.
        """
        with staging.locked(self.path, f"workdir {self.path}: another process trains there; wait, or take another"):
            yield


class ReferencesDir(_Folder):
    """What models are judged beside: the tuned baselines, and the judged references of each split."""

    def tuned(self, photons: float | None) -> Path:
        """The tuned baselines; of data of several doses those for one of them."""
        return self.path / ("baselines.json" if photons is None else f"baselines_{photons:.0f}.json")

    def split(self, split: str) -> Path:
        """The judged references of a split."""
        return self.path / f"{split}.json"

    def repeats(self, split: str) -> Path:
        """The repeated scans of some slices of a split."""
        return self.path / f"{split}_repeats.npz"


class ReportDir(_Folder):
    """What is made for people to look at."""

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir)
        self.figures = workdir / "figures"
        self.results_md = workdir / "results.md"
        self.report_html = workdir / "report.html"


class ReproductionDir(ReportDir):
    """The layout above several runs, one a model."""

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir)
        self.phantoms = workdir / "phantoms"
        self.data = workdir / "data"
        self.references = ReferencesDir(workdir / "references")
        self.results_json = workdir / "results.json"

    def model(self, name: str) -> Path:
        """The run directory of a model."""
        return self.path / name


class StudyDir(_Folder):
    """The layout of a study under a work directory: a run directory a variant, and what they share."""

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir / "study")
        self.phantoms = self.path / "phantoms"
        self.results_json = self.path / "study.json"
        self.results_md = self.path / "study.md"

    def run(self, variant: str) -> "RunDir":
        """The run of a variant."""
        return RunDir(self.path / variant)

    def data(self, variant: str) -> Path:
        """The records of a variant, and of those that change nothing in them."""
        return self.path / "data" / variant

    def references(self, variant: str) -> ReferencesDir:
        """What is judged beside the runs on those records."""
        return ReferencesDir(self.path / "references" / variant)

    def on_other_data(self, variant: str) -> "RunDir":
        """The evaluation of a variant's run on the records of the study's first one."""
        return RunDir(self.path / variant / "on_first_data")


def held_out_split(row: Mapping[str, Any]) -> str:
    """The split of a row of metrics.jsonl that tells how the run does on other patients.

    In the report's curves that is test; elsewhere validation; in data without one only training is left.
    """
    return next(split for split in ("test", "validation", "train") if split in row)


class RunDir(ReportDir):
    """The layout of one training run."""

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir)
        self.config = workdir / "config.json"
        self.environment = workdir / "environment.json"
        self.metrics = workdir / "metrics.jsonl"
        self.checkpoints = workdir / "checkpoints"
        self.best = self.checkpoints / "best"
        self.tensorboard = workdir / "tensorboard"
        self.evaluations = workdir / "eval"
        self.references = ReferencesDir(workdir / "eval" / "references")
        self.export = workdir / "export" / "saved_model"

    def of_worker(self, index: int) -> "RunDir":
        """Where a worker writes what the chief (0) writes here; removed when the run ends."""
        return RunDir(self.path / f".worker-{index}") if index else self

    def load_config(self) -> Config:
        """The run's config.

        Raises:
          InputError: no run here.
        """
        if not self.config.is_file():
            raise InputError(f"workdir {self.path}: no config.json, so no run; train one with experiments.train")
        return from_dict(self.stored()["config"])

    def stored(self) -> dict[str, Any]:
        """The content of config.json.

        Raises:
          InputError: it is not a run's.
        """
        stored = read_json(self.config)
        if not isinstance(stored, dict) or not {"config", "data"} <= set(stored):
            raise InputError(f"{self.config}: not a run's config; remove it or take another workdir")
        return stored

    def rows(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl, one per evaluation; a last line cut short by a kill is left out.

        Raises:
          InputError: another line is not JSON.
        """
        if not self.metrics.is_file():
            return []
        lines = self.metrics.read_text().split("\n")[:-1]
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise InputError(
                f"{self.metrics}: a line is not JSON ({error}); restore it or take another workdir"
            ) from error

    def write_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replaces metrics.jsonl."""
        write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in rows))

    def append_row(self, row: Mapping[str, Any]) -> None:
        """Adds one row to metrics.jsonl."""
        with _naming(self.metrics), self.metrics.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def exports(self, averaged: bool) -> dict[str, Path]:
        """Where `reproduce` puts a run's SavedModels, by their weights."""
        return {"raw": self.export} | ({"average": self.export.with_name("saved_model_average")} if averaged else {})

    def eval_csv(self, split: str) -> Path:
        """Per-image metrics of a split."""
        return self.evaluations / f"{split}.csv"

    def eval_json(self, split: str) -> Path:
        """Summary of a split's metrics."""
        return self.evaluations / f"{split}.json"

    def eval_samples(self, split: str) -> Path:
        """The arrays that the figures show."""
        return self.evaluations / f"{split}_samples.npz"


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
      InputError: the file is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); remove it or take another folder") from error


def write_json(path: Path, value: Any) -> None:
    """Writes JSON under a temporary name, then renames."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole, see write_bytes."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole, see write_via."""
    write_via(path, lambda file: file.write(content))


def write_via(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Lets `write` fill a file of a temporary name, then renames: readers see the old one or the new one, whole.

    Raises:
      InputError: it cannot be written.
    """
    partial = path.with_name(path.name + ".part")
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                write(file)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Writing to a full disk raises an error that names no file."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); make room or choose another"
        ) from error
