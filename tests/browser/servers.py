"""Servers of notebooks, each a process in folders of its own, and what their pages complain about.

What comes in: a command. What goes out: a running server with a folder to put notebooks in.
Guarantees: nothing of the user's is read or written; the server ends with the ``with`` block.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client import BlockingKernelClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Dialog, Page

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


# ── Servers ──────────────────────────────────────────────────────────────────

# As Jupyter, Voila and uvicorn say that somebody else took the port meanwhile.
_TAKEN = re.compile(
    r"port \d+ is (?:already in use|not available)|address already in use"
    r"|no available port",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Server:
    """A running server and the folder it serves."""

    url: str
    root: Path
    log: Path

    def delete(self, kind: str) -> None:
        """Stop all ``sessions`` or ``kernels`` of a Jupyter server."""
        for item in self.get(f"api/{kind}"):
            with contextlib.suppress(OSError):
                self._ask("DELETE", f"api/{kind}/{item['id']}")

    def pass_on(self, notebook: str) -> None:
        """Let a notebook that will be opened have the kernel that runs already, if one does."""
        for session in self.get("api/sessions"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                self._ask("PATCH", f"api/sessions/{session['id']}", {"path": notebook})

    def run(self, code: str, seconds: float) -> bool:
        """Run code in the kernel of a Jupyter server's only session; return whether that went."""
        try:
            (session,) = self.get("api/sessions")
            kernel = session["kernel"]["id"]
            file = self.root.parent / "runtime" / f"kernel-{kernel}.json"
            client = BlockingKernelClient(connection_file=str(file))
            client.load_connection_file()
            client.start_channels()
            try:
                client.wait_for_ready(timeout=seconds)
                reply = client.execute_interactive(
                    code, silent=True, timeout=seconds, output_hook=lambda _: None
                )
            finally:
                client.stop_channels()
        except (ValueError, TypeError, LookupError, OSError, RuntimeError, queue.Empty):
            return False
        return reply["content"]["status"] == "ok"

    def _ask(self, method: str, path: str, body: object = None) -> None:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, method=method)  # noqa: S310
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310

    def get(self, path: str) -> Any:
        """Return the server's JSON answer; asked twice, for it may be busy with a kernel."""
        try:
            return self._json(path)
        except OSError:
            return self._json(path)

    def _json(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=30) as answer:  # noqa: S310
            return json.load(answer)


@contextlib.contextmanager
def serve(home: Path, command: Callable[[int, Path], list[str]], up: str) -> Iterator[Server]:
    """Run a server until the block ends.

    Args:
        home: Everything it reads and writes of its user lies here.
        command: Makes the command from a free port and the folder to serve.
        up: Path that answers as soon as it is up.
    """
    root = home / "notebooks"
    root.mkdir()
    _settings(home)
    for again in (True, True, False):
        with _started(home, root, command) as (running, process):
            if _is_up(running, process, up):
                yield running
                return
            said = running.log.read_text()
            if not again or not _TAKEN.search(said):
                pytest.fail(f"the server did not start:\n{said}")


@contextlib.contextmanager
def _started(
    home: Path, root: Path, command: Callable[[int, Path], list[str]]
) -> Iterator[tuple[Server, subprocess.Popen[bytes]]]:
    """Start a server on a port that was free a moment ago; stop it when the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = home / "server.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-m", *command(port, root)],
            cwd=root,
            env=os.environ | _folders(home),
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            yield Server(f"http://127.0.0.1:{port}", root, log), process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def _folders(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "XDG_CONFIG_HOME": str(home / "config"),
    }


def _settings(home: Path) -> None:
    """Write user settings: no news, widgets are saved, marimo is dark where the system is."""
    for name, values in {
        "@jupyterlab/apputils-extension/notification": {
            "fetchNews": "false",
            "checkForUpdates": False,
        },
        "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
    }.items():
        path = home / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    marimo = home / "config" / "marimo" / "marimo.toml"
    marimo.parent.mkdir(parents=True)
    marimo.write_text('[display]\ntheme = "system"\n[runtime]\nauto_instantiate = true\n')


def _is_up(server: Server, process: subprocess.Popen[bytes], up: str, seconds: float = 60) -> bool:
    """Wait until a server answers; return whether it does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{server.url}/{up}", timeout=5).close()  # noqa: S310
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        else:
            return True
        time.sleep(0.1)
    return False


def jupyter(app: str, *options: str) -> Callable[[int, Path], list[str]]:
    """Return the command of a Jupyter server, for ``serve``."""
    return lambda port, root: [
        *(app, "--no-browser", "--allow-root", f"--port={port}"),
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={root}",
        "--ServerApp.password=",
        "--ServerApp.disable_check_xsrf=True",
        "--IdentityProvider.token=",
        *options,
    ]
