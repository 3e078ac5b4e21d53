"""Real hosts of notebooks, a real Chromium, and pages cut off from the network.

- ``lab``, ``notebook7``, ``voila``, ``marimo``: one fresh notebook tab on a server that all tests
  share; see ``hosts``.
- ``offline``: opens a file under ``file://`` where every request fails and is recorded.
- ``axe``: accessibility violations of a part of a page.

A console error, an uncaught exception or a failed request fails the test that caused it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hosts import Host, Lab, Marimo, MarimoEditor, Notebook7, Voila
from servers import Watch, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import BrowserContext, Page, Route
    from servers import Server

H = TypeVar("H", bound=Host)

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


# ── Hosts ────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab, with this environment's kernel."""
    with serve(tmp_path_factory.mktemp("lab"), Lab.command_line, "api/status") as running:
        yield running
        running.delete("sessions")


@pytest.fixture(scope="session")
def notebook7_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Notebook 7, with this environment's kernel."""
    with serve(tmp_path_factory.mktemp("nb7"), Notebook7.command_line, "api/status") as running:
        yield running
        running.delete("sessions")


@pytest.fixture(scope="session")
def voila_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Voila, with this environment's kernel."""
    with serve(tmp_path_factory.mktemp("voila"), Voila.command_line, "voila/static/voila.js") as up:
        yield up


@pytest.fixture(scope="session")
def marimo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``marimo run`` of a folder of apps."""
    with serve(tmp_path_factory.mktemp("marimo"), Marimo.command_line, "health") as running:
        yield running


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Complaints of this test's pages; anything unexpected fails the test."""
    watching = Watch()
    yield watching
    watching.check()


@pytest.fixture
def open_host(page: Page, watch: Watch, request: pytest.FixtureRequest) -> Iterator[Callable]:
    """Return ``open_host(kind, server)``: a tab for one notebook, left when the test ends."""
    opened: list[Host] = []

    def enter(kind: type[H], server: Server) -> H:
        watch.follow(page)
        page.set_viewport_size({"width": 1200, "height": 900})
        opened.append(kind(page, server, watch, request.node.name))
        return opened[-1]

    yield enter
    for host in opened:
        host.close()


@pytest.fixture
def lab(open_host: Callable, server: Server) -> Lab:
    """A browser tab for one notebook; its kernel is stopped afterwards."""
    return open_host(Lab, server)


@pytest.fixture
def notebook7(open_host: Callable, notebook7_server: Server) -> Notebook7:
    """The same in Notebook 7."""
    return open_host(Notebook7, notebook7_server)


@pytest.fixture
def voila(open_host: Callable, voila_server: Server) -> Voila:
    """A browser tab for one notebook as Voila shows it."""
    return open_host(Voila, voila_server)


@pytest.fixture
def marimo(open_host: Callable, marimo_server: Server) -> Marimo:
    """A browser tab for one app in marimo."""
    return open_host(Marimo, marimo_server)


@pytest.fixture
def marimo_editor(
    open_host: Callable, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MarimoEditor]:
    """A browser tab for one notebook in ``marimo edit``, with a server of its own."""
    folder = tmp_path_factory.mktemp("marimo-edit")
    with serve(folder, MarimoEditor.command_line, "health") as running:
        host = open_host(MarimoEditor, running)
        yield host
        host.close()  # before its server


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
def axe() -> Callable[[Page, object], list[str]]:
    """Return ``axe(page, context)``: WCAG 2.2 AA violations in it, one line each.

    The context is a selector, or what else axe takes to look into shadow roots.
    """
    source = AXE.read_text()

    def check(page: Page, context: object) -> list[str]:
        page.evaluate(source)
        found = page.evaluate(
            """context => axe.run(context, { runOnly: [
              "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice",
            ] })""",
            context,
        )
        return [
            f"{violation['id']}: {violation['help']} – {node['html']} {node['failureSummary']}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    return check
