"""Tiny data in the real file formats, made once a session."""

import dataclasses
import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import wgan_vgg  # noqa: F401, I001  # before TensorFlow, whose settings it makes

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tensorflow as tf

from data_prep import lodopab
from data_prep.config import DataConfig

# Two devices to try MirroredStrategy on; everything else runs on the first. Must precede TensorFlow's first operation.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

REPO = Path(__file__).parent.parent
# The modules of experiments/ that are commands: the others (flags, progress, ...) have no main.
SCRIPTS = sorted(path.stem for path in (REPO / "experiments").glob("*.py") if "\ndef main(" in path.read_text())


def write_part(folder: Path, part: str, images: np.ndarray, number: int = 0, ids: list[int] | None = None) -> Path:
    """Writes images (slices, height, width) as one LoDoPaB-CT file, and the part's ids if given."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / lodopab.ground_truth_name(part, number)
    with h5py.File(path, "w") as file:
        file["data"] = images
    if ids is not None:
        (folder / lodopab.patient_ids_name(part)).write_text("".join(f"{i}\n" for i in ids))
    return path


def smooth_images(count: int, side: int, seed: int) -> np.ndarray:
    """Blobs on air, float32 (count, side, side) in [0, 1]: enough structure to be denoised."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    images = np.zeros((count, side, side), np.float32)
    for image in images:
        for _ in range(6):
            cx, cy, rx, ry = *rng.uniform(-0.25, 0.25, 2), *rng.uniform(0.08, 0.3, 2)
            image[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = rng.uniform(0.15, 0.4)
    return images


def write_bodies(folder: Path, config: Any) -> Path:
    """Records, prepared with a config, of bodies that are even enough for lesions; 8 test slices of 4 patients."""
    from data_prep.prepare import prepare_lodopab

    y, x = np.mgrid[:40, :40] / 40 - 0.4875
    body = np.where(np.hypot(x, y) < 0.42, 0.25, 0.0) + smooth_images(8, 40, 0) * 0.02
    for part, first in (("train", 0), ("test", 10)):
        write_part(folder / "hdf5", part, body.astype(np.float32), ids=[first + i % 4 for i in range(8)])
    prepare_lodopab(folder / "hdf5", folder / "records", dataclasses.replace(config, validation_parts=()), seed=0)
    return folder / "records"


def records(data_dir: Path, split: str = "train") -> list[dict[str, Any]]:
    """The records of a split, as numpy values."""
    from wgan_vgg.input_pipeline import DataSet

    return list(DataSet.open(data_dir).records(split).as_numpy_iterator())


@pytest.fixture(scope="session")
def hdf5_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LoDoPaB's parts with 40x40 slices: 24 of 6 patients to train on, 6 of 2 to validate, 12 of 4 others to test."""
    folder = tmp_path_factory.mktemp("hdf5")
    write_part(folder, "train", smooth_images(24, 40, 1), ids=[i % 6 for i in range(24)])
    write_part(folder, "validation", smooth_images(6, 40, 3), ids=[20 + i % 2 for i in range(6)])
    write_part(folder, "test", smooth_images(12, 40, 2), ids=[10 + i % 4 for i in range(12)])
    return folder


@pytest.fixture(scope="session")
def data_dir(hdf5_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of `hdf5_dir` at 32x32 with noise of std .1."""
    from data_prep.prepare import prepare_lodopab

    folder = tmp_path_factory.mktemp("records") / "data"
    prepare_lodopab(hdf5_dir, folder, PREPARE, seed=0)
    return folder


@pytest.fixture(scope="session")
def written_mayo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients in the challenge's layout, not to be changed."""
    from dicom_files import write_patients

    return write_patients(tmp_path_factory.mktemp("dicom") / "mayo", ["L0", "L1", "L2"])


@pytest.fixture
def mayo(written_mayo: Path, tmp_path: Path) -> Path:
    """A copy of them for one test to spoil."""
    return shutil.copytree(written_mayo, tmp_path / "mayo")


@pytest.fixture
def zenodo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A running server of tiny LoDoPaB-CT archives, see zenodo_server."""
    from zenodo_server import served

    with served(monkeypatch) as server:
        yield server


PREPARE = DataConfig(
    image_size=32,
    num_train=0,
    num_validation=0,
    num_test=0,
    noise_std=0.1,
    noise_variance=None,
    projection_coarseness=8,
    shards=2,
)

# For folders without a validation part.
TWO_PARTS = dataclasses.replace(PREPARE, validation_parts=())


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a script's main as a user does: script("train", "--flag=value") -> (exit status, stdout, stderr)."""
    import importlib

    def run(name: str, *arguments: str) -> tuple[int, str, str]:
        main = importlib.import_module(f"experiments.{name}").main
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return exit_info.value.code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def reproduction(hdf5_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny models, trained, judged and reported by experiments.reproduce; to be read, not changed."""
    from test_reproduce import chain

    from experiments.reproduce import main

    folder = tmp_path_factory.mktemp("reproduction")
    windows = "--set=evaluation.windows=lung"
    with pytest.raises(SystemExit) as exit_info:
        main(chain(hdf5_dir, folder, "--models=generator-mse,wgan-mse", windows))
    assert exit_info.value.code == 0
    return folder


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose network gives back its input."""
    from deployed import identity_run

    return identity_run(tmp_path_factory.mktemp("identity")).path


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose network does not."""
    from deployed import write_run

    return write_run(tmp_path_factory.mktemp("network")).path


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The config of a network of 5x5 convolutions, registered for one test."""
    from small_networks import Wide

    from wgan_vgg.config import GeneratorConfig
    from wgan_vgg.config.networks import GENERATORS, Network

    monkeypatch.setitem(GENERATORS, "wide", Network(Wide, {"layers": 3, "filters": 4}))
    return GeneratorConfig(name="wide")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if executable is None:
        pytest.skip("no Chromium is installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any, reproduction: Path) -> Iterator[Callable[..., Any]]:
    """Opens report.html from disk; there must be no error in its console, and nothing else that it asks for."""
    complaints, address = [], (reproduction / "report.html").as_uri()

    def open_page(width: int = 1280, scheme: str = "light") -> Any:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if request.url != address else None)
        page.goto(address)
        page.wait_for_selector("#viewer:not([hidden])")
        return page

    yield open_page
    for context in browser.contexts:
        context.close()
    assert complaints == []
