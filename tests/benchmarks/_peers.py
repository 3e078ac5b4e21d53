"""bertviz and CircuitsVis, which are not in the environment: fetched, run and watched.

They live in ``build/peers``: the Python packages without what they depend on, and from npm the
scripts that their pages ask CDNs for, so that the pages work without a network. Run as a program,
``python _peers.py CALL WEIGHTS PAGE`` makes one page and prints what that took.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

HOME = Path(__file__).parents[2] / "build" / "peers"
PYTHON = HOME / "python"
SCRIPTS = HOME / "node_modules"
PACKAGES = ("bertviz==1.4.1", "circuitsvis==1.43.3", "importlib_metadata==8.7.1", "zipp==3.23.0")
NPM = ("requirejs@2.3.6", "d3@5.7.0", "jquery@2.1.0")
SERVED = {
    "/require.min.js": "requirejs/require.js",
    "/d3.min.js": "d3/dist/d3.min.js",
    "/jquery.min.js": "jquery/dist/jquery.min.js",
}
MEMORY = 8e9
IMPORTS = 0.3e9  # what a process has before it begins


CDN = re.compile("^https?:")
_LINES = "!!document.querySelector('svg line')"
_INK = """[...document.querySelectorAll("canvas")].slice(0, 1).some((canvas) =>
  canvas.width && canvas.getContext("2d").getImageData(
    canvas.width / 10, canvas.height * 0.9, 1, 1).data[3] > 0)"""
_FROM_CDN = "require.js 2.3.6, d3 5.7.0, jQuery 2.1.0 (2.0.0 is not on npm)"


@dataclass(frozen=True)
class Peer:
    """A peer's view of heads, and what is so on its page once a picture is drawn."""

    call: str
    drawn: str
    served: str


PEERS = {
    "bertviz model_view": Peer("bertviz.model_view", _LINES, _FROM_CDN),
    "bertviz head_view": Peer("bertviz.head_view", _LINES, _FROM_CDN),
    "CircuitsVis attention_heads": Peer(
        "circuitsvis.attention_heads", _INK, "nothing: its bundle is in the page"
    ),
}


def fetch():
    """Install the peers and their scripts; return why that was not possible, or nothing."""
    if not (PYTHON / "circuitsvis").exists():
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q")
        said = _run(*pip, "--no-deps", "--target", str(PYTHON), *PACKAGES)
        if said:
            return said
    if not (SCRIPTS / "jquery").exists():
        npm = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
        return _run(*npm, "--prefix", str(HOME), *NPM)
    return ""


def _run(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{command[0]}: {error}"
    return done.returncode and f"{command[0]}: {done.stderr.strip()[-300:]}"


def serve(route):
    """Answer a page's request for a script with the file from npm."""
    for ending, path in SERVED.items():
        if route.request.url.endswith(ending):
            route.fulfill(path=SCRIPTS / path, content_type="text/javascript")
            return
    route.abort()


def run(peer, weights, page):
    """Make a page in a process of its own; return seconds, bytes and peak, or what it said."""
    environment = os.environ | {"PYTHONPATH": str(PYTHON)}
    command = (sys.executable, __file__, peer.call, str(weights), str(page))
    with (
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
        Memory(lambda: [psutil.Process(process.pid)]) as memory,
    ):
        out, problems = process.communicate()
    if memory.stopped:
        return f"stopped at {MEMORY / 1e9:.0f} GB"
    if process.returncode:
        return (problems.strip().splitlines() or [f"exit {process.returncode}"])[-1]
    return json.loads(out) | {"peak": memory.most}


class Memory:
    """The most memory that some processes have together; at the limit, the largest is ended."""

    def __init__(self, processes):
        self._processes, self.most, self.stopped = processes, 0, False
        self._done, self._watch = threading.Event(), threading.Thread(target=self._look)

    def __enter__(self):
        self._watch.start()
        return self

    def _look(self):
        while not self._done.wait(0.2):
            try:
                sizes = [(p.memory_info().rss, p.pid, p) for p in self._processes()]
                self.most = max(self.most, sum(size for size, *_ in sizes))
                if self.most > MEMORY and not self.stopped:
                    self.stopped = True
                    max(sizes)[-1].kill()
            except psutil.Error:  # it ended meanwhile
                continue

    def __exit__(self, *_):
        self._done.set()
        self._watch.join()


def chromium():
    """Return the processes of the browsers that this process started."""
    return [p for p in psutil.Process().children(recursive=True) if "chrom" in p.name()]


def _html(call, attention, tokens):
    """Return HTML for attention (layer, head, query, key), as a page without a network needs it."""
    if call == "circuitsvis.attention_heads":
        from circuitsvis.attention import attention_heads

        layers, heads = attention.shape[:2]
        names = [f"{layer}.{head}" for layer in range(layers) for head in range(heads)]
        return attention_heads(attention.flatten(0, 1), tokens, names).local_src
    import bertviz

    view = getattr(bertviz, call.split(".")[1])
    layers = [layer[None] for layer in attention]  # (1, head, query, key) each
    return view(layers, tokens, html_action="return").data


def _main(call, weights, page):
    import torch

    given = torch.load(weights)
    started = time.perf_counter()
    html = _html(call, given["attention"], given["tokens"])
    with Path(page).open("w", encoding="utf-8") as file:
        file.write('<!doctype html><meta charset="utf-8"><body>')
        file.write(html)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "bytes": Path(page).stat().st_size}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
