"""Views at size, by the browser's own clock: a beeswarm of 2,000 texts, a matrix of 512 x 64."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.results.result import ModelInfo
from llm_interp_widgets.text.tokens import Token

MOVES = 150
COLUMNS = (
    "view",
    "payload, kB",
    "file, kB",
    "first paint, ms",
    "drawn after, ms",
    "frames on hover; on drag: median / p95 / most, ms",
    "tasks over 50 ms",
)
RECORD = """() => {
  const record = { frames: [], tasks: [] };
  let last = performance.now();
  const tick = (now) => {
    record.frames.push(now - last);
    last = now;
    record.next = requestAnimationFrame(tick);
  };
  record.next = requestAnimationFrame((now) => { last = now; tick(now); });
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) record.tasks.push(duration);
  }).observe({ type: "longtask" });
  window.record = record;
}"""
STOP = "() => (cancelAnimationFrame(window.record.next), window.record)"
DRAWN = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(
  () => done(performance.now()))))"""


def attribution(rng, inputs, outputs):
    words = [f"w{k}" for k in rng.zipf(1.4, inputs) % 3000]
    tokens, at = [], 0
    for i, word in enumerate(words):
        tokens.append(Token(f" {word}", i, at, at + len(word) + 1, position=i))
        at += len(word) + 1
    scores = rng.normal(size=(outputs, inputs))
    return Attribution(
        scores=scores, inputs=tuple(tokens), base_values=np.zeros(outputs),
        outputs=tuple(Token(f" o{i}", i, at, at, position=inputs + i) for i in range(outputs)),
        output_values=scores.sum(1), completeness_gap=np.zeros(outputs),
        standard_error=np.full((outputs, inputs), 0.1), method="owen", title="Owen values",
        target="it", unit="log_prob", prompt="".join(token.text for token in tokens),
        model=ModelInfo("none", None, "float32", "cpu"), seed=0, seconds=1.0, evaluations=100,
        converged=True,
    )  # fmt: skip


def payload(widget):
    """Bytes of the buffers and the texts that a view gets from the kernel."""
    data = getattr(widget, "data", None) or widget.snapshot
    size = sum(len(value) for value in data.values() if isinstance(value, bytes))
    return size + sum(len(text.encode()) for text in data.get("texts", ()))


@pytest.fixture
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic"]
        yield playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chrome"), args=arguments
        )


def recorded(page, work):
    page.evaluate(RECORD)
    work()
    found = page.evaluate(STOP)
    frames = sorted(found["frames"])
    p95 = frames[int(0.95 * len(frames))]
    return f"{frames[len(frames) // 2]:.1f} / {p95:.1f} / {frames[-1]:.1f}", len(found["tasks"])


def test_views_at_size(browser, tmp_path, report):
    rng = np.random.default_rng(0)
    many = [attribution(rng, int(rng.integers(15, 45)), 1) for _ in range(2000)]
    made = {
        "beeswarm, 2,000 texts": (liw.beeswarm(many), ".liw-bee-box canvas:last-child"),
        "matrix, 512 x 64": (liw.generation(attribution(rng, 512, 64)), ".liw-matrix canvas"),
    }
    lines = [
        "\n### Views at size\n",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
    ]
    for name, (widget, selector) in made.items():
        path = widget.to_html(tmp_path / f"{len(lines)}.html")
        page = browser.new_page(viewport={"width": 900, "height": 900})
        page.goto(path.as_uri())
        page.locator(selector).wait_for()
        drawn = page.evaluate(DRAWN)
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        page.locator(selector).scroll_into_view_if_needed()
        box = page.locator(selector).bounding_box()

        def to(i, stride, box=box, page=page):
            x = box["x"] + 100 + (box["width"] - 110) * (i * stride % MOVES) / MOVES
            y = box["y"] + 70 + (box["height"] - 80) * (i * 11 % MOVES) / MOVES
            page.mouse.move(x, min(y, 890))

        hover, slow = recorded(page, lambda: [to(i, 37) for i in range(MOVES)])
        page.mouse.down()
        drag, slower = recorded(page, lambda: [to(i, 1) for i in range(MOVES)])
        page.mouse.up()
        lines.append(
            f"| {name} | {payload(widget) / 1e3:,.0f} | {path.stat().st_size / 1e3:,.0f} "
            f"| {paint:.0f} | {drawn:.0f} | {hover}; {drag} | {slow + slower} |"
        )
        page.close()
    report(lines)
