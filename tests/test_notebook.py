"""A notebook run without a reader: what it shows is finished when the run ends."""

from __future__ import annotations

import os
import subprocess
import sys

import nbformat
import pytest

CELLS = [
    "import llm_interp_widgets as liw\nlm = liw.load()",
    'liw.explain(lm, "The capital of France is", " Paris", evaluations=200, precision=None)',
]


@pytest.mark.slow
def test_nbconvert_leaves_finished_results(tmp_path):
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "in.ipynb")
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "nbconvert", "--to=notebook", "--execute", "in.ipynb"),
            "--output=out",
        ],
        cwd=tmp_path,
        env=os.environ | {"JUPYTER_PREFER_ENV_PATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    models = executed.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    (widget,) = (model for model in models.values() if "snapshot" in model["state"])
    assert widget["state"]["snapshot"]["state"]["status"] == "done"
    buffers = {tuple(buffer["path"]): buffer["data"] for buffer in widget["buffers"]}
    assert buffers["snapshot", "scores"]
