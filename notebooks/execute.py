"""Execute teaching notebooks in build/ and say what they printed.

Usage: ``python notebooks/execute.py [--jobs=2] quickstart [another …]``

Each notebook runs in this environment's own kernel with ``build/`` as its working directory, so
that whatever it writes lands there, beside the executed copy with its finished widgets. With
``--jobs``, several run side by side, each on its share of the cores; what one says is printed
together, as soon as it is done.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build"
CELL_SECONDS = 600


def printed(notebook: nbformat.NotebookNode) -> str:
    """Return what the cells wrote to standard output."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


def _kernel(folder: str) -> AsyncKernelManager:
    """Return a kernel to be: those that start at one moment may be given the same ports."""
    if os.name != "posix":
        return AsyncKernelManager(kernel_name="python3")
    return AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{folder}/kernel")


def execute(name: str) -> None:
    """Run ``notebooks/<name>.ipynb``; write, then report, what came of it."""
    started = time.time()
    notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            km=_kernel(folder),
            timeout=CELL_SECONDS,
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


def executed(name: str) -> int:
    """Execute one notebook in this process; 1 when a cell fails."""
    try:
        execute(name)
    except CellExecutionError as error:
        print(f"{name}: a cell failed; what ran so far is in {BUILD / name}.ipynb\n{error}")
        return 1
    return 0


def beside(names: list[str], jobs: int) -> int:
    """Execute several notebooks, each in a process of its own; 1 when a cell fails in any."""
    threads = max(1, (os.cpu_count() or 1) // jobs)
    environment = {"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"} | os.environ

    def run(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, __file__, name],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    status = 0
    with ThreadPoolExecutor(jobs) as pool:
        for done in as_completed([pool.submit(run, name) for name in names]):
            print(done.result().stdout, flush=True)
            status |= done.result().returncode
    return status


def main() -> int:
    """Execute the notebooks named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=1, help="how many run side by side")
    parser.add_argument("names", nargs="*", default=["quickstart"])
    given = parser.parse_args()
    BUILD.mkdir(exist_ok=True)
    names = [Path(name).stem for name in given.names]
    jobs = min(given.jobs, len(names))
    return beside(names, jobs) if jobs > 1 else max(map(executed, names))


if __name__ == "__main__":
    sys.exit(main())
