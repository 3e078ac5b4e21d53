"""A notebook of 20 widgets in a real JupyterLab: bytes saved and exported, time until all react."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path

WIDGETS = 20
SETUP = """import llm_interp_widgets as liw
from IPython.display import display
lm = liw.load()
texts = ["The capital of France is", "The opposite of hot is", "Two and two is",
         "A day has twenty-four"]
made = []
def show(widget):
    made.append(widget)
    return widget"""
EXPLAINED = [f"show(liw.explain(lm, texts[{i}]))" for i in range(4)]
PLOTTED = [
    f"show(liw.{plot}(made[{i}]))" for i in range(3) for plot in ("waterfall", "force", "bar")
]
OTHERS = [
    "show(liw.compare([made[0], made[0]]))",
    "show(liw.lime(liw.attribute(lm, texts[0], None, 'lime', evaluations=120)))",
    "show(liw.beeswarm([one.result() for one in made[:4]]))",
    "show(liw.generate(lm, texts[0], 3, 'occlusion'))",
    "show(liw.generate(lm, texts[1], 3, 'occlusion'))",
    "show(liw.attend(lm, texts[0]))",
    "show(liw.attend(lm, texts[0] + ' Paris, and ' + texts[1]))",
]
CELLS = [*EXPLAINED, *PLOTTED, *OTHERS]
# A view reacts once something in it can be reached by keyboard; script-free summaries have none.
REACTING = """() => [...document.querySelectorAll(".liw")].filter(
  (one) => one.querySelector("[tabindex='0'], button, select, input")).length"""


def _browser_tests():
    """Return what the browser's tests share; they are no package."""
    place = Path(__file__).parents[1] / "browser" / "conftest.py"
    spec = importlib.util.spec_from_file_location("browser_conftest", place)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_shared = _browser_tests()
browser_type_launch_args = _shared.browser_type_launch_args
server, watch, open_host = _shared.server, _shared.watch, _shared.open_host
lab, offline = _shared.lab, _shared.offline


def until_all_react(page, began, seconds=240):
    failed = "document.querySelector('.jp-RenderedText[data-mime-type*=error]')?.textContent"
    page.wait_for_function(
        f"count => ({REACTING})() >= count || {failed}", arg=WIDGETS, timeout=1000 * seconds
    )
    assert not (said := page.evaluate(failed)), said
    return time.perf_counter() - began


def test_a_notebook_of_twenty_widgets(lab, offline, tmp_path, report):
    assert len(CELLS) == WIDGETS
    file = tmp_path / "twenty.html"
    lab.open(SETUP, *CELLS)
    began = time.perf_counter()
    live = until_all_react(lab.page, began)
    lab.until("from llm_interp_widgets import jobs; print(jobs.live())", "[]", 600)
    done = time.perf_counter() - began
    lab.page.wait_for_timeout(2000)
    notebook = lab.save()
    saved = lab.path.stat().st_size
    state = len(json.dumps(notebook.metadata.get("widgets", {})))
    exported = lab.python(f"import os; p = liw.save_html({str(file)!r}, made); "
                          "print(os.path.getsize(p))")  # fmt: skip
    lab.server.delete("sessions")
    began = time.perf_counter()
    lab.visit()
    again = until_all_react(lab.page, began)
    began = time.perf_counter()
    page = offline(file)
    opened = until_all_react(page, began, 60)
    report([
        f"\n### A notebook of {WIDGETS} widgets\n",
        "| what | |",
        "|---|---|",
        f"| saved notebook | {saved / 1e6:.2f} MB, of which widgets' state {state / 1e6:.2f} MB |",
        f"| exported page | {int(exported) / 1e6:.2f} MB |",
        (f"| run all cells until all {WIDGETS} react | {live:.1f} s (model loaded, all computed "
        f"after {done:.1f} s) |"),
        (f"| saved notebook opened until all {WIDGETS} react | {again:.1f} s (JupyterLab and a "
        "kernel started within) |"),
        f"| exported page opened until all {WIDGETS} react | {opened:.2f} s |",
    ])  # fmt: skip
    assert saved < 20e6
