"""Where people read notebooks, as tests drive them: JupyterLab, Notebook 7, Voila and marimo.

What comes in: code cells. What goes out: a browser tab in which they run, and a way to ask the
Python behind it.
"""

from __future__ import annotations

import contextlib
import textwrap
import time
import urllib.request
from typing import TYPE_CHECKING, ClassVar

import nbformat
from servers import jupyter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Locator, Page
    from servers import Server, Watch


class Host:
    """One notebook, open in a browser tab."""

    outputs: ClassVar[str]
    """Where a host draws what cells give out."""
    inside: ClassVar[object]
    """Our part of that, for axe."""

    def __init__(self, page: Page, server: Server, watch: Watch, name: str) -> None:
        self.page, self.server, self.watch = page, server, watch
        self.name = "".join(c if c.isalnum() else "-" for c in name).strip("-")
        self.path = server.root / f"{self.name}.ipynb"

    def open(self, *cells: str) -> None:
        """Write a notebook of these cells, open and run it, without waiting for the cells."""
        raise NotImplementedError

    def reload(self) -> None:
        """Load the page again; what was not saved is lost."""
        raise NotImplementedError

    def python(self, code: str) -> str:
        """Run code in the notebook's process, beside its cells; return what it printed."""
        raise NotImplementedError

    def save(self) -> object:
        """Save the notebook, where its reader can."""

    def theme(self, name: str) -> None:
        """Switch the host to ``"light"`` or ``"dark"``, and wait until it is."""
        raise NotImplementedError

    def close(self) -> None:
        """Leave the notebook, and stop what runs it."""
        self.page.close()

    def output(self, selector: str = "*") -> Locator:
        """Find something inside the cells' outputs."""
        return self.page.locator(f"{self.outputs} {selector}")

    def until(self, code: str, wanted: str, seconds: float = 30) -> None:
        """Repeat Python code in the notebook's process until it prints what is wanted."""
        deadline = time.monotonic() + seconds
        while (got := self.python(code)) != wanted:
            assert time.monotonic() < deadline, f"{code} gave {got!r}, not {wanted!r}"
            time.sleep(0.1)

    def _write(self, cells: tuple[str, ...]) -> None:
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={
                "kernelspec": {
                    "name": "python3",
                    "display_name": "Python 3",
                    "language": "python",
                }
            },
        )
        nbformat.write(notebook, self.path)


# Importing torch and transformers is most of a short test's time. What a kernel has imported and
# loaded stays; names, jobs and widgets go.
EMPTY = """
import gc
import sys
if "llm_interp_widgets" in sys.modules:
    import llm_interp_widgets.jobs as jobs
    jobs.cancel_all()
    for job in jobs.live():
        job.wait()
    sys.modules["llm_interp_widgets.words"].language("en")
if "ipywidgets" in sys.modules:
    sys.modules["ipywidgets"].Widget.close_all()
get_ipython().reset(new_session=True)
gc.collect()
"""


class _JupyterApp(Host):
    """What JupyterLab and Notebook 7 have in common: both are a ``jupyterapp`` in the page."""

    outputs = ".jp-OutputArea-output"
    inside = ".jp-OutputArea-output:has(.liw)"
    address: ClassVar[str]
    themes: ClassVar[dict[str, str]] = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

    def open(self, *cells: str, run: bool = True) -> None:
        """Write a notebook of these cells, open it, wait for its kernel, and run it.

        Running does not wait for the cells to finish; see ``idle``.
        """
        self._write(cells)
        self.visit()
        if run:
            self.run_all()

    def visit(self, path: Path | None = None) -> None:
        """Open a notebook that is there, and wait until its kernel is idle."""
        self.path = path or self.path
        self.server.pass_on(self.path.name)
        self.page.goto(f"{self.server.url}/{self.address.format(self.path.name)}")
        self.idle()

    def reload(self) -> None:
        """Load the page again; the kernel lives on. What was not saved is lost."""
        self.page.reload()
        self.ready()

    def close(self) -> None:
        """Leave the notebook; its kernel, emptied, is the next one's, unless it does not answer."""
        super().close()
        if not self.server.run(EMPTY, seconds=10):
            self.server.delete("sessions")

    def run_all(self) -> None:
        """Run all cells, without waiting for them."""
        self.command("notebook:run-all-cells")

    def command(self, name: str, **arguments: object) -> None:
        """Execute one of the application's commands, without waiting for what it does."""
        self.page.evaluate(
            "([name, args]) => { void jupyterapp.commands.execute(name, args); }", [name, arguments]
        )

    def ready(self, seconds: float = 60) -> None:
        """Wait until the notebook has a kernel, busy or not."""
        self._wait("['idle', 'busy'].includes(kernel?.status)", seconds)

    def idle(self, seconds: float = 60) -> None:
        """Wait until the kernel has nothing to do."""
        self._wait("kernel?.status === 'idle'", seconds)

    def _wait(self, condition: str, seconds: float) -> None:
        self.page.wait_for_function(
            "() => { const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext"
            f"?.session?.kernel; return {condition}; }}",
            timeout=seconds * 1000,
        )

    def python(self, code: str) -> str:
        """Run code in the notebook's kernel, beside its cells; return what it printed."""
        return self.page.evaluate(
            """async (code) => {
              const { kernel } = jupyterapp.shell.currentWidget.sessionContext.session;
              const future = kernel.requestExecute({ code, store_history: false });
              let text = "";
              future.onIOPub = ({ content, header }) => {
                if (header.msg_type === "stream") text += content.text;
                if (header.msg_type === "error") text += `${content.ename}: ${content.evalue}`;
              };
              await future.done;
              return text.trim();
            }""",
            code,
        )

    def interrupt(self) -> None:
        """Press the stop button of the notebook."""
        self.command("notebook:interrupt-kernel")

    def save(self) -> nbformat.NotebookNode:
        """Save, wait until the file is on disk, and return it."""
        before = self.path.stat().st_mtime_ns
        self.command("docmanager:save")
        deadline = time.monotonic() + 30
        while True:
            assert time.monotonic() < deadline, "the notebook was not saved"
            self.page.wait_for_timeout(50)
            if self.path.stat().st_mtime_ns == before:
                continue
            with contextlib.suppress(
                nbformat.reader.NotJSONError
            ):  # the server has not written all of it
                return nbformat.read(self.path, as_version=4)

    def theme(self, name: str) -> None:
        """Switch to a theme, by its name or as light or dark, and wait until it is there."""
        name = self.themes.get(name, name)
        self.command("apputils:change-theme", theme=name)
        self.page.wait_for_function(
            "name => document.body.dataset.jpThemeName === name", arg=name, timeout=30_000
        )


class Lab(_JupyterApp):
    """One notebook, open in JupyterLab in a browser tab."""

    THEMES = ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast")
    address = "lab/tree/{}?reset"
    command_line = staticmethod(jupyter("jupyterlab", "--LabApp.expose_app_in_browser=True"))


class Notebook7(_JupyterApp):
    """One notebook, open in Notebook 7 in a browser tab."""

    address = "notebooks/{}"
    command_line = staticmethod(
        jupyter("notebook", "--JupyterNotebookApp.expose_app_in_browser=True")
    )

    def visit(self, path: Path | None = None) -> None:
        """Open a notebook that is there, and wait until its kernel is idle."""
        # While it starts, it reads the schema of a plugin that is not there.
        self.watch.allow("uncaught Cannot read properties of undefined (reading 'schema')")
        super().visit(path)


DOOR = """
import http.server, io, pathlib, threading

class Door(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        code = self.rfile.read(int(self.headers["Content-Length"])).decode()
        said = io.StringIO()
        tell = lambda *words: print(*words, file=said)
        try:
            exec(code, globals() | {"print": tell})
        except Exception as error:
            tell(f"{type(error).__name__}: {error}")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said.getvalue().encode())

    def log_message(self, *_):
        pass

door = http.server.HTTPServer(("127.0.0.1", 0), Door)
threading.Thread(target=door.serve_forever, daemon=True).start()
written = pathlib.Path("PLACE").write_text(str(door.server_port))
"""


class _Doored(Host):
    """A host whose page cannot run Python: its first cell opens a door for tests."""

    def _place(self) -> Path:
        return self.path.with_suffix(".door")

    def door(self) -> str:
        """Return the cell that lets tests in."""
        return DOOR.replace("PLACE", str(self._place()))

    def close(self) -> None:
        """Leave the notebook, and stop what it still computes."""
        if not self.page.is_closed():
            super().close()
        self._stop()

    def _stop(self) -> None:
        with contextlib.suppress(OSError):  # there is nobody behind the door, or no door yet
            self.python("from llm_interp_widgets import jobs\njobs.cancel_all()")

    def python(self, code: str) -> str:
        """Run code in the notebook's process, beside its cells; return what it printed."""
        url = f"http://127.0.0.1:{self._place().read_text()}"
        with urllib.request.urlopen(url, textwrap.dedent(code).encode(), timeout=60) as answer:
            return answer.read().decode().strip()


class Voila(_Doored):
    """One notebook, served by Voila as a page without code."""

    outputs = "#rendered_cells .jp-OutputArea-output"
    inside = ".jp-OutputArea-output:has(.liw)"
    command_line = staticmethod(
        lambda port, root: [
            *("voila", str(root), "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"),
            "--Voila.port_retries=0",
            "--VoilaConfiguration.allow_theme_override=YES",
            "--VoilaConfiguration.show_tracebacks=True",
        ]
    )

    def open(self, *cells: str) -> None:
        """Write a notebook of these cells and open it; Voila shows it when all have run."""
        self.watch.allow(
            "cdn.jsdelivr.net/npm/@fortawesome",  # icons, which it does without
            '{"shareKey":"@jupyterlab/docregistry"}',  # it loads Notebook 7's extension, in vain
            "/voila/api/shutdown/",  # and may not stop a kernel that it leaves
        )
        self._write((self.door(), *cells))
        self._visit("light")

    def reload(self) -> None:
        """Load the page again, which runs the notebook again in a kernel of its own."""
        self._stop()
        self.page.reload(timeout=120_000)

    def theme(self, name: str) -> None:
        """Open the page in another theme, which runs the notebook again."""
        if not self.page.url.endswith(f"theme={name}"):
            self._stop()
            self._visit(name)

    def _visit(self, theme: str) -> None:
        url = f"{self.server.url}/voila/render/{self.path.name}?theme={theme}"
        self.page.goto(url, timeout=120_000)


BLANK = "import marimo\n\napp = marimo.App()\n"


def _marimo(mode: str) -> Callable[[int, Path], list[str]]:
    """Return the command of ``marimo run`` or ``edit``, for ``serve``."""

    def command(port: int, root: Path) -> list[str]:
        for number in range(20):  # it serves the files that are there when it starts
            (root / f"app{number:02}.py").write_text(BLANK)
        return ["marimo", mode, str(root), "--headless", "--no-token", "--port", str(port)]

    return command


class Marimo(_Doored):
    """One notebook, served by ``marimo run`` as an app without code."""

    outputs = "#root"
    inside: ClassVar = {"fromShadowDom": ["marimo-anywidget", ".liw"]}
    command_line = staticmethod(_marimo("run"))

    def open(self, *cells: str) -> None:
        """Write a notebook of these cells and open it, which runs them."""
        files = sorted(self.server.root.glob("app*.py"))
        self.path = next(file for file in files if file.read_text() == BLANK)
        body = "".join(
            f"@app.cell\ndef _():\n{textwrap.indent(cell.strip(), '    ')}\n    return\n\n\n"
            for cell in (self.door(), *cells)
        )
        self.path.write_text(f"{BLANK}\n\n{body}")
        self.page.goto(f"{self.server.url}/?file={self.path.name}")

    def reload(self) -> None:
        """Load the page again, which runs the app again in a session of its own."""
        self._stop()
        self.page.reload()

    def theme(self, name: str) -> None:
        """Let the system be light or dark, which marimo follows here."""
        self.page.emulate_media(color_scheme=name)
        self.page.wait_for_function(
            "name => document.body.classList.contains(name)", arg=name, timeout=30_000
        )


class MarimoEditor(Marimo):
    """One notebook, open in ``marimo edit``."""

    command_line = staticmethod(_marimo("edit"))

    def reload(self) -> None:
        """Load the page again, which takes up its session."""
        self.page.reload()
