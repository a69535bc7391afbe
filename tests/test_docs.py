"""README and docs: every command's flags are real, every Python block runs, every link leads somewhere."""

import importlib
import re
import shlex
import subprocess
import sys

import pytest
from absl import flags
from conftest import REPO

PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))]
CARDS = sorted((REPO / "wgan_vgg" / "pretrained").glob("*.md"))
COMMAND = re.compile(r"(?:\.venv/bin/)?python -m experiments\.(\w+)((?: --\S+| \"[^\"]*\")*)")
SERVED = ":predict"  # the client of a server, which test_serving runs
ONE_PROCESS = "extending.md"  # whose blocks test_extending runs, each after the one before


def commands():
    found = []
    for page in (*PAGES, *CARDS):
        if page.name != "cli.md":
            text = page.read_text().replace("\\\n", " ")
            found += [(page.name, match[1], match[2]) for match in COMMAND.finditer(text) if match[2].strip()]
    return found


def python_blocks():
    return [
        (page.name, number, block)
        for page in PAGES
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
    ]


@pytest.mark.parametrize(("page", "script", "arguments"), commands())
def test_the_flags_of_every_command_are_the_scripts_own(page, script, arguments):
    from experiments.config_flags import read_config

    values = flags.FlagValues()
    importlib.import_module(f"experiments.{script}").define(values)
    rest = values(["script", *shlex.split(arguments.replace("`", ""))])[1:]
    assert rest == [], f"{page}: not flags"
    if "preset" in values and "set" in values:
        read_config(values)


@pytest.mark.parametrize(("page", "number", "block"), python_blocks())
def test_every_python_block_is_python(page, number, block):
    compile(block, f"{page}, block {number}", "exec")


SEPARATE = [one for one in python_blocks() if SERVED not in one[2] and one[0] != ONE_PROCESS]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "number", "block"), SEPARATE)
def test_every_python_block_runs(page, number, block, tmp_path, network):
    if "runs/saved_model" in block:
        from wgan_vgg.exporters.export import export_saved_model
        from wgan_vgg.run_dir import RunDir

        export_saved_model(RunDir(network), tmp_path / "runs" / "saved_model")
    environment = {"PYTHONPATH": str(REPO), "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3", "HOME": str(tmp_path)}
    command = [sys.executable, "-W", "error::UserWarning", "-c", block]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_project_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"[a-z]+:|#", target):
            path, _, anchor = target.partition("#")
            assert (page.parent / path).exists(), f"{page.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", (page.parent / path).read_text(), re.MULTILINE)
                slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
                assert anchor in slugs, f"{page.name}: {target}"


def test_every_page_is_in_the_index():
    index = (REPO / "docs" / "index.md").read_text()
    for page in (REPO / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index, page.name


def test_the_pages_that_follow_from_the_code_are_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(str(REPO / "docs"))
    generate = importlib.import_module("generate")
    assert (REPO / "docs" / "cli.md").read_text() == generate.cli_page(), "run `make docs`"
    page = (REPO / "docs" / "architecture.md").read_text()
    assert generate.with_picture(page) == page, "run `make docs`"


def test_the_picture_has_no_circle(monkeypatch):
    monkeypatch.syspath_prepend(str(REPO / "docs"))
    generate = importlib.import_module("generate")
    arrows = {(used, user) for user, used in generate._imports() if user != used and "wgan_vgg" not in (user, used)}
    order: list[str] = []
    rest = {name for arrow in arrows for name in arrow}
    while rest:
        free = sorted(name for name in rest if not any(user == name and used in rest for used, user in arrows))
        assert free, f"packages import each other: {sorted(rest)}"
        order += free
        rest -= set(free)


def test_readme_is_short():
    not_prose = re.compile(r"```.*?```|^ {4}[^\n]*$|^\|[^\n]*$|!\[.*?\]\(.*?\)", re.DOTALL | re.MULTILINE)
    text = not_prose.sub("", (REPO / "README.md").read_text())
    assert len(re.findall(r"\w+", text)) <= 600
