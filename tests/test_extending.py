"""docs/extending.md: its blocks run in order in one process."""

import os
import re
import subprocess
import sys

from conftest import REPO


def test_the_pages_example_runs(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (REPO / "docs" / "extending.md").read_text(), re.DOTALL)
    command = [sys.executable, "-W", "error::UserWarning", "-c", "\n".join(blocks)]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
