"""experiments/quickstart.ipynb, run as Jupyter runs it."""

import os
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "experiments" / "quickstart.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Jupyter's own are not this project's
def test_the_notebook_denoises_a_slice(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(NOTEBOOK.parent.parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert "subprocess" not in NOTEBOOK.read_text()
    check = (
        "of = lambda image, truth: float(np.sqrt(np.mean((image - truth) ** 2)))\n"
        "print([of(low_dose, normal_dose), of(denoised, normal_dose)],"
        " [of(images[name], hu[1]) for name in ('low dose', 'denoised')], sep=',')"
    )
    notebook.cells.append(nbformat.v4.new_code_cell(check))
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    drawn = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(drawn) == 2
    for before, after in eval(notebook.cells[-1].outputs[0].text):
        assert after < 0.7 * before, "the shipped model on a real slice, and the one that was trained here"
