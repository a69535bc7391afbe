"""Every path of a run directory, a reproduction and a study."""

import contextlib
import itertools
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from data_prep import staging
from wgan_vgg.config import Config, from_dict
from wgan_vgg.errors import InputError
from wgan_vgg.files import read_json, translate_errors, write_text
from wgan_vgg.json_types import EpochRow, StoredRun


class _Folder:
    argument = "workdir"  # what gave it, in messages

    def __init__(self, workdir: Path) -> None:
        self.path = workdir

    def create(self) -> None:
        """Makes the folder.

        Raises:
          InputError: it cannot be made or written.
        """
        with staging.translate_write_errors(f"{self.argument} {self.path}"):
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps the folder for this process while the block runs; the lock goes with the process, however it ends.

        Raises:
          InputError: another process has it.
        """
        with staging.locked(self.path, f"workdir {self.path}: another process trains there; wait, or take another"):
            yield


class ReferencesDir(_Folder):
    """What models are evaluated beside: the tuned baselines, and the evaluated references of each split."""

    argument = "references"

    def tuned(self, photons: float | None) -> Path:
        """The tuned baselines; of data of several doses those for one of them."""
        return self.path / ("baselines.json" if photons is None else f"baselines_{photons:.0f}.json")

    def split(self, split: str) -> Path:
        """The evaluated references of a split."""
        return self.path / f"{split}.json"

    def repeats(self, split: str) -> Path:
        """The repeated scans of some slices of a split."""
        return self.path / f"{split}_repeats.npz"


class ReportDir(_Folder):
    """What is made for readers."""

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir)
        self.figures = workdir / "figures"
        self.results_md = workdir / "results.md"
        self.report_html = workdir / "report.html"


class ReproductionDir(ReportDir):
    """The layout above several runs, one for each model and seed."""

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir)
        self.phantoms = workdir / "phantoms"
        self.data = workdir / "data"
        self.references = ReferencesDir(workdir / "references")
        self.results_json = workdir / "results.json"

    def model(self, name: str, repetition: int = 0) -> "RunDir":
        """The run of a model; a repetition with another seed stands beside the first one."""
        return RunDir(self.path / _repeated(name, repetition))

    def seeds_of(self, name: str) -> list["RunDir"]:
        """The runs of a model that are there, one for each seed."""
        runs = (self.model(name, repetition) for repetition in itertools.count())
        return list(itertools.takewhile(lambda run: run.config.is_file(), runs))


class StudyDir(_Folder):
    """The layout of a study under a work directory: a run for each variant and seed, and what they share."""

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir / "study")
        self.phantoms = self.path / "phantoms"
        self.results_json = self.path / "study.json"
        self.results_md = self.path / "study.md"

    def run(self, variant: str, repetition: int = 0) -> "RunDir":
        """The run of a variant; a repetition with another seed stands beside the first one."""
        return RunDir(self.path / _repeated(variant, repetition))

    def data(self, variant: str) -> Path:
        """The records of a variant, and of those that change nothing in them."""
        return self.path / "data" / variant

    def references(self, variant: str) -> ReferencesDir:
        """What is evaluated beside the runs on those records."""
        return ReferencesDir(self.path / "references" / variant)

    def on_other_data(self, variant: str, repetition: int = 0) -> "RunDir":
        """The evaluation of a variant's run on the records of the study's first one."""
        return RunDir(self.run(variant, repetition).path / "on_first_data")


class RelativesDir(_Folder):
    """The layout of the relatives' table under a work directory: a run for each row and seed, an evaluation a seed."""

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir / "relatives")
        self.costs = self.path / "costs.json"
        self.references = ReferencesDir(self.path / "references")
        self.results_json = self.path / "relatives.json"
        self.results_md = self.path / "relatives.md"

    def run(self, row: str, repetition: int = 0) -> "RunDir":
        """The run of a row; a repetition with another seed stands beside the first one."""
        return RunDir(self.path / _repeated(row, repetition))

    def evaluation(self, repetition: int) -> "RunDir":
        """Where all rows of a seed are evaluated together."""
        return RunDir(self.path / _repeated("evaluation", repetition))


def _repeated(name: str, repetition: int) -> str:
    return f"{name}-repetition-{repetition}" if repetition else name


def held_out_split(row: Mapping[str, object]) -> str:
    """The split of a row of metrics.jsonl that shows the result on other patients.

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

    def check_weights(self, weights: str, model: object) -> None:
        """Raises InputError where other weights than "raw" are asked of a model that is no run."""
        if weights != "raw" and not self.config.is_file():
            raise InputError(f"weights={weights}: only a run has several, and model {model} is none; leave it out")

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

    def stored(self) -> StoredRun:
        """The content of config.json.

        Raises:
          InputError: it is not a run's.
        """
        stored: StoredRun = read_json(self.config)
        if not isinstance(stored, dict) or not {"config", "data"} <= set(stored):
            raise InputError(f"{self.config}: not a run's config; remove it or take another workdir")
        return stored

    def rows(self) -> list[EpochRow]:
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

    def write_rows(self, rows: Sequence[EpochRow]) -> None:
        """Replaces metrics.jsonl."""
        write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in rows))

    def append_row(self, row: EpochRow) -> None:
        """Adds one row to metrics.jsonl."""
        with translate_errors(self.metrics), self.metrics.open("a") as file:
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
