"""The browser of heads at length: in JupyterLab, as a file, and beside bertviz and CircuitsVis.

Everything is seen by one real Chromium. ``BENCH_TOKENS=64,256`` chooses the lengths;
``OMP_NUM_THREADS=2`` gives the kernel two threads, 1 is the default of the tests.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import statistics
import sys
import time
from collections import Counter
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Error
from playwright.sync_api import TimeoutError as TooLateError

import llm_interp_widgets as liw
from llm_interp_widgets.export._payload import islands
from llm_interp_widgets.models.visits import attention, untouched

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"


def loaded(path):
    """Return a file as a module: tests are not a package."""
    name = f"_bench_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


frames, peers = loaded(HERE / "_frames.py"), loaded(HERE / "_peers.py")
views = loaded(HERE / "bench_views.py")
_browser = loaded(HERE.parent / "browser" / "conftest.py")
browser_type_launch_args, server = _browser.browser_type_launch_args, _browser.server
lab, open_host = _browser.lab, _browser.open_host
watch, offline = _browser.watch, _browser.offline

SIZES = sorted(map(int, os.environ.get("BENCH_TOKENS", "64,256,512,2048").split(",")))
EXPORTED = [size for size in SIZES if size <= 512]
BESIDE = sorted({64, *SIZES})  # the shortest tells what memory a longer one will need
PATIENCE = 120  # seconds that a page of a peer has
OPENED, LAYERS, HEADS = 10, 30, 9
OVERVIEW = ".liw-heads-overview canvas"
MATRIX = ".liw-heads-matrix canvas"
LEFT = 26  # of the overview's first column, as overview.tsx draws it

LOAD = """import json, time
import llm_interp_widgets as liw
lm = liw.load()
ids = json.load(open("{}"))
"""
ATTEND = """begun = time.time()
b = liw.attend(lm, ids)
returned = time.time()
b"""
MARK = """([selector, layers]) => {
  const marks = (window.marks = {});
  const look = () => {
    const { drawn = 0, exact = 0 } = document.querySelector(selector)?.dataset ?? {};
    const are = { first: drawn >= 1, sampled: drawn >= layers, exact: exact >= layers };
    for (const [name, is] of Object.entries(are)) {
      if (!is || name in marks) continue;
      marks[name] = 0;
      requestAnimationFrame(() => (marks[name] = Date.now()));
    }
    if (!marks.exact) requestAnimationFrame(look);
  };
  look();
}"""
CLICKED = """(drawn) => {
  window.opened = new Promise((done) => {
    setTimeout(() => done(Infinity), 30_000);
    const begin = () => {
      const begun = performance.now();
      const look = () => requestAnimationFrame(() => {
        if (!document.querySelector(drawn)) look();
        else requestAnimationFrame(() => done(performance.now() - begun));
      });
      look();
    };
    document.addEventListener("click", begin, { capture: true, once: true });
  });
}"""
FCP = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
SEEN = """() => {
  if (DRAWN && window.seen === undefined) {
    window.seen = 0;
    requestAnimationFrame(() => requestAnimationFrame(() => (window.seen = performance.now())));
  }
  return window.seen;
}"""


# ── what all tables share ─────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def table(report, browser):
    """Return ``table(title, columns)``, which returns ``row(cells)``; written at the end."""
    packages = ("torch", "transformers", "jupyterlab", "anywidget", "playwright")
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    tables = {}

    def start(title, columns):
        lines = tables.setdefault(
            title, [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        )

        def row(*cells):
            lines.append(f"| {' | '.join(map(str, cells))} |")
            print(lines[-1], flush=True)

        return row

    yield start
    machine = (
        f"{model[1] if model else platform.processor()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} thread(s) for the kernel; Python {platform.python_version()}, "
        f"Chromium {browser.version}, {', '.join(f'{name} {version(name)}' for name in packages)}. "
        f"SmolLM2-135M, {LAYERS} × {HEADS} heads; the README, repeated. Load: tasks that wanted a "
        "core in the last minute, these included."
    )
    report(["\n## The browser of heads\n", machine])
    for title, lines in tables.items():
        report([f"\n### {title}\n", *lines])


@pytest.fixture(scope="module")
def ids_of(lm):
    text = list(lm.encode(README.read_text(encoding="utf-8")).ids)
    return lambda tokens: list(islice(cycle(text), tokens))


def megabytes(size):
    return f"{size / 1e6:,.2f}" if size < 1e8 else f"{size / 1e6:,.0f}"


def load():
    return f"{os.getloadavg()[0]:.1f}"


def opened(page):
    """Click heads in the overview; return milliseconds until each one's matrix is drawn."""
    page.locator(OVERVIEW).scroll_into_view_if_needed()
    taken = []
    for i in range(OPENED):
        layer, head = (3 * i + 1) % LAYERS, (2 * i + 1) % HEADS
        name = f"Layer {layer}, head {head}:"
        page.evaluate(CLICKED, f"{MATRIX}[data-missing='0'][aria-label^='{name}']")
        box = page.locator(OVERVIEW).bounding_box()
        step = (box["width"] - LEFT) / LAYERS
        page.mouse.click(box["x"] + LEFT + (layer + 0.5) * step, box["y"] + (head + 0.5) * step)
        taken.append(page.evaluate("window.opened"))
    return f"{statistics.median(taken):.0f} ({max(taken):.0f})"


# ── 1. JupyterLab ─────────────────────────────────────────────────────────────


class Traffic:
    """Bytes that a page gets from its kernel, by what they are for."""

    def __init__(self, page):
        self.bytes = Counter()
        page.on("websocket", self._follow)

    def _follow(self, socket):
        if "/channels" in socket.url:
            socket.on("framereceived", self._receive)

    def _receive(self, frame):
        kind, code = "rest", 0
        if isinstance(frame, bytes):
            count = int.from_bytes(frame[:8], "little")  # v1.kernel.websocket.jupyter.org
            ends = [int.from_bytes(frame[8 * i : 8 * i + 8], "little") for i in range(1, count + 1)]
            data = json.loads(frame[ends[4] : ends[5]]).get("data", {})
            state, message = data.get("state"), data.get("content", {}).get("type")
            if message == "part":
                kind = "code"
            elif state is not None:
                kind, code = "traits", len(json.dumps(state.get("_esm", "")))
            elif message in ("drawn", "scored"):
                kind = "pictures"
            elif message == "answer":
                kind = "the first head"
        self.bytes["code"] += code
        self.bytes[kind] += len(frame) - code


@pytest.mark.parametrize("tokens", SIZES)
def test_in_jupyterlab(lab, table, ids_of, tokens):
    name = f"ids-{tokens}.json"
    (lab.server.root / name).write_text(json.dumps(ids_of(tokens)))
    lab.server.delete("sessions")  # a kernel of its own
    traffic = Traffic(lab.page)
    lab.open(LOAD.format(name), ATTEND, run=False)
    lab.command("notebook:run-cell-and-select-next")
    lab.until("print('ids' in globals())", "True", 120)
    lab.page.evaluate(MARK, [OVERVIEW, LAYERS])
    traffic.bytes.clear()
    lab.command("notebook:run-cell-and-select-next")
    lab.page.wait_for_function("() => window.marks.exact", timeout=600_000)
    received = Counter(traffic.bytes)
    begun, returned = map(float, lab.python("print(begun, returned)").split())
    marks = lab.page.evaluate("window.marks")
    after = [marks[name] / 1e3 - returned for name in ("first", "sampled", "exact")]
    lab.page.locator(f"{MATRIX}[data-missing='0']").wait_for()
    table(
        "In JupyterLab: until the overview is complete, and until a head is open",
        ("tokens", "MB received", "of it", "attend, s", "first pictures after, s",
         "all sampled, s", "all exact, s", "a head open, ms: median of 10 (longest)", "load"),
    )(
        f"{tokens:,}", megabytes(received.total()),
        ", ".join(f"{kind} {megabytes(size)}" for kind, size in received.most_common()),
        f"{returned - begun:.2f}", *(f"{seconds:.2f}" for seconds in after), opened(lab.page),
        load(),
    )  # fmt: skip
    row = table(
        "Its matrix while it moves: median / p95 / longest, ms (between frames, a display of "
        "60 Hz shows nothing below 16.7)",
        ("tokens", "what", "between frames", "tasks over 50 ms", "main thread busy a frame",
         "of it CPU", "frames", "load"),
    )  # fmt: skip
    for what, work in {"zoom": frames.zoom, "drag": frames.drag}.items():
        between, slow = views.recorded(lab.page, lambda work=work: work(lab.page))
        wall, cpu = frames.worked(lab.page, work)
        row(
            f"{tokens:,}",
            what,
            between,
            slow,
            frames.spread(wall),
            frames.spread(cpu),
            len(wall),
            load(),
        )


# ── 2. the file ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tokens", EXPORTED)
def test_exported(lm, offline, tmp_path, table, ids_of, tokens):
    widget = liw.attend(lm, ids_of(tokens))
    widget.wait()
    begun = time.perf_counter()
    path = widget.to_html(tmp_path / "heads.html")
    seconds = time.perf_counter() - begun
    page = offline(path)
    drawn = seen(page, f"!!document.querySelector('{OVERVIEW}[data-exact=\"{LAYERS}\"]')")
    page.locator(f"{MATRIX}[data-missing='0']").wait_for()
    kept = islands(path.read_text())[0]["models"][0]["state"]["kept"][0]
    table(
        "As one file, opened under file:// with the network cut",
        ("tokens", "MB", "to export, s", "first paint, ms", "overview drawn, ms",
         "a head open, ms: median of 10 (longest)", "largest error", "left out", "load"),
    )(
        f"{tokens:,}", megabytes(path.stat().st_size), f"{seconds:.1f}",
        f"{page.evaluate(FCP):.0f}", f"{drawn:.0f}", opened(page), f"{kept['error_max']:.1e}",
        kept["left_out"] or "–", load(),
    )  # fmt: skip
    widget.close()


def seen(page, condition, patience=PATIENCE):
    """Return milliseconds from the page's start until something was so, and drawn."""
    script = SEEN.replace("DRAWN", condition)
    return page.wait_for_function(script, timeout=1e3 * patience).json_value()


# ── 3. the peers ──────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def before():
    """What each peer took at the last length: tokens, bytes, peak of Python's memory."""
    return {}


@pytest.fixture(scope="module")
def fetched():
    return peers.fetch()


@pytest.mark.parametrize("tokens", BESIDE)
@pytest.mark.parametrize("name", peers.PEERS)
def test_peer(
    lm, browser_type, browser_type_launch_args, tmp_path, table, ids_of, before, fetched,
    name, tokens,
):  # fmt: skip
    peer = peers.PEERS[name]
    row = table(
        f"Beside peers: the same weights; at most {PATIENCE} s and {peers.MEMORY / 1e9:.0f} GB",
        ("view", "tokens", "MB", "to make, s", "Python, GB", "first paint, s", "a picture, s",
         "Chromium, GB", "where it breaks", "served from npm"),
    )  # fmt: skip
    if fetched:
        row(name, f"{tokens:,}", *["–"] * 6, f"not installed: {fetched}", "–")
        return
    if name in before:
        known, size, peak = before[name]
        size *= (tokens / known) ** 2
        peak = peers.IMPORTS + (peak - peers.IMPORTS) * (tokens / known) ** 2
        if peak > peers.MEMORY:
            row(name, f"{tokens:,}", f"≈ {megabytes(size)}", "–", f"≈ {peak / 1e9:.0f}", "–", "–",
                "–", "not tried: Python alone needs more", peer.served)  # fmt: skip
            return
    weights = tmp_path / "weights.pt"
    ids = ids_of(tokens)
    with untouched(lm.model), torch.no_grad(), attention(lm.model, "eager"):
        out = lm.model(input_ids=torch.tensor([ids]), output_attentions=True)
    words = lm.tokenizer.convert_ids_to_tokens(ids)
    torch.save({"attention": torch.cat(out.attentions), "tokens": words}, weights)
    path = tmp_path / "page.html"
    made = peers.run(peer, weights, path)
    if isinstance(made, str):
        row(name, f"{tokens:,}", *["–"] * 6, f"in Python: {made}", peer.served)
        return
    before[name] = tokens, made["bytes"], made["peak"]
    others = peers.chromium()
    browser = browser_type.launch(**browser_type_launch_args)
    with peers.Memory(lambda: set(peers.chromium()) - set(others)) as memory:
        paint, picture, problem = shown(browser, path, peer)
    browser.close()
    if memory.stopped:
        problem = f"stopped at {peers.MEMORY / 1e9:.0f} GB, nothing drawn"
    row(name, f"{tokens:,}", megabytes(made["bytes"]), f"{made['seconds']:.1f}",
        f"{made['peak'] / 1e9:.1f}", paint, picture, f"{memory.most / 1e9:.1f}", problem,
        peer.served)  # fmt: skip
    path.unlink()


def shown(browser, path, peer):
    """Open a peer's page; return first paint, first picture, and what went wrong."""
    page = browser.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)[:120]))
    page.route(peers.CDN, peers.serve)
    paint = picture = "–"
    try:
        page.goto(path.as_uri(), wait_until="commit", timeout=1e3 * PATIENCE)
        picture = f"{seen(page, peer.drawn) / 1e3:.1f}"
        painted = page.evaluate(FCP)
        paint = "–" if painted is None else f"{painted / 1e3:.1f}"
    except TooLateError:
        problems.append(f"nothing drawn in {PATIENCE} s")
    except Error as error:
        problems.append(str(error).splitlines()[0])
    return paint, picture, "; ".join(problems) or "–"
