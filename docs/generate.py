"""Writes the pages that follow from the code: docs/cli.md, and the picture in docs/architecture.md. Run by `make docs`.

python docs/generate.py
"""

import ast
import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from absl import flags

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

SCRIPTS = (
    *("prepare", "train", "evaluate", "export", "denoise", "reproduce", "report"),
    *("import_weights", "publish", "benchmark"),
)
# What the picture shows: packages, and the modules at the top of wgan_vgg in two boxes; the front door, which imports
# everything, is left out.
PACKAGES = ("data_prep", "experiments", "benchmark", "wgan_vgg")
BOXES = {
    **dict.fromkeys(("errors", "files", "seeds", "environment", "tensor_files"), "errors, files, seeds"),
    **dict.fromkeys(
        (
            "run_dir",
            "crops",
            "input_pipeline",
            "checkpoint_reader",
            "losses",
            "hu",
            "training_input",
            "noise_estimate",
            "shares",
            "split_images",
        ),
        "runs, records, losses",
    ),
}
FRONT_DOOR = ("__init__", "api")
BEGIN, END = "<!-- made by docs/generate.py -->", "<!-- end -->"


def cli_page() -> str:
    """docs/cli.md: every script with its flags, as --help lists them."""
    from experiments.launch import help_text

    parts = [
        "# The command line",
        "Each script is `python -m experiments.NAME`; installed, also `wgan-vgg-NAME`, with hyphens for underscores "
        "(`benchmark` needs the clone). A user's mistake is one line on stderr and exit status 2; all statuses "
        "are in [training.md](training.md). This page is made by `make docs` from the scripts themselves.",
    ]
    for name in SCRIPTS:
        script = importlib.import_module(f"experiments.{name}")
        values = flags.FlagValues()
        script.define(values)
        parts += [f"## {name}", f"```text\n{help_text(script.__doc__, values)}\n```"]
    return "\n\n".join(parts) + "\n"


def architecture_picture() -> str:
    """A Mermaid graph of which package imports which; an arrow goes from what is used to what uses it."""
    arrows = sorted({(used, user) for user, used in _imports() if user != used})
    names = {name for arrow in arrows for name in arrow}
    boxes = {name: f'{re.sub("[^a-z_]+", "_", name)}["{name}"]' for name in names}
    lines = [f"    {boxes[used]} --> {boxes[user]}" for used, user in _reduced(arrows)]
    return "\n".join(["```mermaid", "graph LR", *lines, "```"])


def _imports() -> Iterator[tuple[str, str]]:
    """(package, package it imports), for all modules."""
    for path in sorted(path for top in PACKAGES for path in (ROOT / top).rglob("*.py")):
        user = _package(".".join(path.relative_to(ROOT).with_suffix("").parts))
        nodes = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom))
        modules = (f"{node.module}.{alias.name}" for node in nodes for alias in node.names)
        for used in map(_package, modules):
            if user and used:
                yield user, used


def _package(module: str) -> str | None:
    """The box of a module of this project, or of a name in one; None for other modules and for the front door."""
    first, *rest = module.split(".")
    if first != "wgan_vgg" or not rest:
        return first if first in PACKAGES[:-1] else None
    if rest[0] in FRONT_DOOR:
        return None
    inner = ROOT / first / rest[0]
    return rest[0] if inner.is_dir() else BOXES.get(rest[0]) if inner.with_suffix(".py").is_file() else None


def _reduced(arrows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The arrows without those that a longer way implies."""
    after: dict[str, set[str]] = {}
    for used, user in arrows:
        after.setdefault(used, set()).add(user)

    def reaches(start: str, end: str, seen: frozenset[str]) -> bool:
        return any(
            step == end or (step not in seen and reaches(step, end, seen | {step})) for step in after.get(start, ())
        )

    return [
        (used, user)
        for used, user in arrows
        if not any(reaches(step, user, frozenset((used, step))) for step in after[used] - {user})
    ]


def with_picture(page: str) -> str:
    """A page with the picture between its two marks."""
    made = f"{BEGIN}\n{architecture_picture()}\n{END}"
    return re.sub(rf"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: made, page, flags=re.DOTALL)


def main() -> None:
    """Writes both pages."""
    os.environ.setdefault("COLUMNS", "100")
    (ROOT / "docs" / "cli.md").write_text(cli_page())
    page = ROOT / "docs" / "architecture.md"
    page.write_text(with_picture(page.read_text()))


if __name__ == "__main__":
    main()
