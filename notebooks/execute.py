"""Execute a teaching notebook in build/ and say what it printed.

Usage: ``python notebooks/execute.py quickstart [another …]``

Each notebook runs in this environment's own kernel with ``build/`` as its working directory, so
that whatever it writes lands there, beside the executed copy with its finished widgets.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build"
CELL_SECONDS = 600


def printed(notebook: nbformat.NotebookNode) -> str:
    """Return what the cells wrote to standard output."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


def execute(name: str) -> None:
    """Run ``notebooks/<name>.ipynb``; write, then report, what came of it."""
    started = time.time()
    notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(BUILD)}},
    )
    try:
        client.execute()
    finally:
        nbformat.write(notebook, BUILD / f"{name}.ipynb")
    for line in printed(notebook).splitlines():
        print(f"  {line}")
    print(f"\n{name}: {time.time() - started:.0f} s")
    for path in sorted(BUILD.glob(f"{name}.*")):
        if path.stat().st_mtime >= started:
            how = "open in a browser" if path.suffix == ".html" else "executed notebook"
            print(f"  {path}  {path.stat().st_size / 1e3:,.0f} kB, {how}")


def main() -> int:
    """Execute the notebooks named on the command line; 1 when a cell fails."""
    BUILD.mkdir(exist_ok=True)
    for name in sys.argv[1:] or ["quickstart"]:
        try:
            execute(Path(name).stem)
        except CellExecutionError as error:
            print(f"{name}: a cell failed; what ran so far is in {BUILD / name}.ipynb\n{error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
