"""setup.py: that an installed copy has every package and every file that the code reads."""

import ast
import itertools
import re
import runpy
import sys
from fnmatch import fnmatch

import pytest
import setuptools
from conftest import REPO, SCRIPTS

SHIPPED = ("data_prep", "experiments", "wgan_vgg")
# Where the package that is imported has another name than the one that is installed.
INSTALLED_AS = {"PIL": "Pillow", "absl": "absl-py", "pywt": "PyWavelets", "skimage": "scikit-image"}


@pytest.fixture
def settings(monkeypatch):
    """What setup.py gives to setuptools."""
    given = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    monkeypatch.chdir(REPO)
    runpy.run_path(str(REPO / "setup.py"))
    return given


def test_every_package_is_shipped_and_the_benchmark_is_not(settings):
    folders = [path.parent for name in SHIPPED for path in (REPO / name).rglob("__init__.py")]
    assert sorted(settings["packages"]) == sorted(".".join(path.relative_to(REPO).parts) for path in folders)
    for path in (path for name in SHIPPED for path in (REPO / name).rglob("*.py")):
        assert path.parent in folders, f"{path} lies in no package"


def test_every_other_file_of_a_package_is_shipped(settings):
    for package in settings["packages"]:
        folder = REPO.joinpath(*package.split("."))
        patterns = settings["package_data"].get(package, [])
        inside = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        own = [
            path for path in inside if not any((parent / "__init__.py").is_file() for parent in _between(path, folder))
        ]
        for path in own:
            name = path.relative_to(folder).as_posix()
            shipped = path.suffix in (".py", ".ipynb") or any(fnmatch(name, pattern) for pattern in patterns)
            assert shipped, f"{path} is in no pattern of package_data"


def _between(path, folder):
    """The folders from a file up to a package, without it."""
    return [parent for parent in path.parents if folder in parent.parents]


def test_the_console_scripts_are_those_of_the_folder(settings):
    names = {line.split(" = ")[1] for line in settings["entry_points"]["console_scripts"]}
    assert names == {f"experiments.{name}:main" for name in SCRIPTS if name != "benchmark"}


def test_what_is_imported_is_declared(settings):
    """Fails where a package is there only since another one happens to bring it."""
    requirements = itertools.chain(settings["install_requires"], *settings["extras_require"].values())
    declared = {re.match(r"[\w-]+", requirement)[0].lower() for requirement in requirements}
    own = {*SHIPPED, "benchmark"}
    for path in (path for name in own for path in (REPO / name).rglob("*.py")):
        packages = {name.partition(".")[0] for name in _imported(ast.parse(path.read_text()))}
        for package in packages - own - sys.stdlib_module_names:
            assert INSTALLED_AS.get(package, package).lower() in declared, f"{path} imports {package}"


def _imported(tree):
    """The names of all modules that are imported, in functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
