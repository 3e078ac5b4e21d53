"""A real JupyterLab, a real Chromium, and pages cut off from the network.

- ``lab``: one fresh notebook tab on a server that all tests share; see ``Lab``.
- ``offline``: opens a file under ``file://`` where every request fails and is recorded.
- ``axe``: accessibility violations of a part of a page.

A console error, an uncaught exception or a failed request fails the test that caused it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import BrowserContext, Dialog, Locator, Page, Route

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "js" / "node_modules" / "axe-core" / "axe.min.js"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder, before ``-m`` chooses."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Use the system's Chromium (pytest-playwright asks for this fixture)."""
    found = subprocess.run([ROOT / ".ci" / "chromium"], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.exit(found.stderr, returncode=1)
    return browser_type_launch_args | {"executable_path": found.stdout.strip(), "args": QUIET}


# ── What went wrong in a page ────────────────────────────────────────────────


@dataclass
class Watch:
    """Collects what a page complains about; ``allow`` names what a test expects."""

    problems: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        """Listen to a page from now on."""
        page.on("console", lambda m: m.type == "error" and self._note(f"{m.text} {m.location}"))
        page.on("pageerror", lambda error: self._note(f"uncaught {error}"))
        page.on("dialog", self._answer)
        page.on("response", lambda r: r.status >= 400 and self._note(f"{r.status} {r.url}"))

    def allow(self, *parts: str) -> None:
        """Expect complaints that contain one of these."""
        self.allowed += parts

    def _answer(self, dialog: Dialog) -> None:
        if dialog.type == "beforeunload":  # JupyterLab, when unsaved changes are left behind
            dialog.accept()
        else:
            self._note(f"dialog {dialog.type}: {dialog.message}")
            dialog.dismiss()

    def _note(self, problem: str) -> None:
        self.problems.append(problem)

    def check(self) -> None:
        """Fail on every complaint that was not expected."""
        rest = [p for p in self.problems if not any(part in p for part in self.allowed)]
        assert not rest, "the page complained:\n" + "\n".join(rest)


# ── JupyterLab ───────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Server:
    """A running JupyterLab and the folder it serves."""

    url: str
    root: Path
    log: Path

    def delete(self, kind: str) -> None:
        """Stop all ``sessions`` or ``kernels``."""
        for item in self.get(f"api/{kind}"):
            request = urllib.request.Request(f"{self.url}/api/{kind}/{item['id']}", method="DELETE")  # noqa: S310
            with contextlib.suppress(OSError):
                urllib.request.urlopen(request).close()  # noqa: S310

    def get(self, path: str) -> Any:
        """Return the server's JSON answer."""
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=5) as answer:  # noqa: S310
            return json.load(answer)


def _settings(folder: Path) -> None:
    """Write user settings: nothing fetched from outside, widgets saved with the notebook."""
    for name, values in {
        "@jupyterlab/apputils-extension/notification": {
            "fetchNews": "false",
            "checkForUpdates": False,
        },
        "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
    }.items():
        path = folder / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab in folders of its own, with this environment's kernel."""
    home = tmp_path_factory.mktemp("jupyter")
    root = home / "notebooks"
    root.mkdir()
    _settings(home / "settings")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    log = home / "server.log"
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"),
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={root}",
        "--ServerApp.password=",
        "--ServerApp.disable_check_xsrf=True",
        "--IdentityProvider.token=",
        "--LabApp.expose_app_in_browser=True",
    ]
    with (
        log.open("w") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process,
    ):
        running = Server(f"http://127.0.0.1:{port}", root, log)
        try:
            _wait_until_up(running, process)
            yield running
            running.delete("sessions")
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_up(server: Server, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            server.get("api/status")
            return
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{server.log.read_text()}")


class Lab:
    """One notebook, open in JupyterLab in a browser tab."""

    THEMES = ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast")

    def __init__(self, page: Page, server: Server, watch: Watch, name: str) -> None:
        self.page, self.server, self.watch = page, server, watch
        self.path = server.root / f"{name}.ipynb"

    def open(self, *cells: str, run: bool = True) -> None:
        """Write a notebook of these cells, open it, wait for its kernel, and run it.

        Running does not wait for the cells to finish; see ``idle``.
        """
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(notebook, self.path)
        self.visit()
        if run:
            self.run_all()

    def visit(self, path: Path | None = None) -> None:
        """Open a notebook that is there, and wait until its kernel is idle."""
        self.path = path or self.path
        self.page.goto(f"{self.server.url}/lab/tree/{self.path.name}?reset")
        self.idle()

    def reload(self) -> None:
        """Load the page again; the kernel lives on. What was not saved is lost."""
        self.page.reload()
        self.ready()

    def run_all(self) -> None:
        """Run all cells, without waiting for them."""
        self.command("notebook:run-all-cells")

    def command(self, name: str, **arguments: object) -> None:
        """Execute one of JupyterLab's commands, without waiting for what it does."""
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

    def until(self, code: str, wanted: str, seconds: float = 20) -> None:
        """Repeat Python code in the kernel until it prints what is wanted."""
        deadline = time.monotonic() + seconds
        while (got := self.python(code)) != wanted:
            assert time.monotonic() < deadline, f"{code} gave {got!r}, not {wanted!r}"
            time.sleep(0.1)

    def output(self, selector: str = "*") -> Locator:
        """Find something inside the cells' outputs."""
        return self.page.locator(f".jp-OutputArea-output {selector}")

    def interrupt(self) -> None:
        """Press the stop button of the notebook."""
        self.command("notebook:interrupt-kernel")

    def save(self) -> nbformat.NotebookNode:
        """Save, wait until the file is on disk, and return it."""
        before = self.path.stat().st_mtime_ns
        self.command("docmanager:save")
        deadline = time.monotonic() + 20
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
        """Switch to one of ``THEMES`` and wait until it is there."""
        self.command("apputils:change-theme", theme=name)
        self.page.wait_for_function(
            "name => document.body.dataset.jpThemeName === name", arg=name, timeout=20_000
        )


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Complaints of this test's pages; anything unexpected fails the test."""
    watching = Watch()
    yield watching
    watching.check()


@pytest.fixture
def lab(page: Page, server: Server, watch: Watch, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A browser tab for one notebook; its kernel is stopped afterwards."""
    watch.follow(page)
    page.set_viewport_size({"width": 1200, "height": 900})
    name = "".join(c if c.isalnum() else "-" for c in request.node.name).strip("-")
    yield Lab(page, server, watch, name)
    page.close()
    server.delete("sessions")


# ── Exported files ───────────────────────────────────────────────────────────


@pytest.fixture
def offline(
    new_context: Callable[..., BrowserContext], watch: Watch
) -> Iterator[Callable[[Path], Page]]:
    """Return ``open(path)``: the file in a tab where the network is cut and requests are noted."""
    requested: list[str] = []

    def note(route: Route) -> None:
        if route.request.url.startswith(("file:", "blob:", "data:")):
            route.continue_()
        else:
            requested.append(route.request.url)
            route.abort()

    def visit(path: Path) -> Page:
        context = new_context(offline=True)
        context.route("**/*", note)
        page = context.new_page()
        watch.follow(page)
        page.goto(path.resolve().as_uri())
        return page

    yield visit
    assert not requested, f"the file asked for {requested}"


# ── Accessibility ────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def axe() -> Callable[[Page, str], list[str]]:
    """Return ``axe(page, selector)``: WCAG 2.2 AA violations in it, one line each."""
    source = AXE.read_text()

    def check(page: Page, selector: str) -> list[str]:
        page.evaluate(source)
        found = page.evaluate(
            """selector => axe.run(selector, { runOnly: [
              "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice",
            ] })""",
            selector,
        )
        return [
            f"{violation['id']}: {violation['help']} – {node['html']} {node['failureSummary']}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    return check
