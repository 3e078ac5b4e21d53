"""A saved notebook as one offline page: by the command line, then opened without a network."""

from __future__ import annotations

import os
import subprocess
import sys

import nbformat
import pytest
from screen import settled

import llm_interp_widgets as liw

EXPORTER = "llm_interp_widgets.export.notebook.LiwHTMLExporter"
VIEWS = """
import llm_interp_widgets as liw
import ipywidgets as W
r = liw.Attribution.load("result.npz")
make = [liw.bar, liw.waterfall, liw.force, liw.TokenHighlighter.of]
"""
NESTED = """
tabs = W.Tab([W.VBox([make[i](r), W.Label(f"label <{i}>")]) for i in range(3)])
tabs.titles = ["One", "<b>Two</b>", "Three"]
grid = W.GridBox([make[i % 4](r) for i in range(4)],
                 layout=W.Layout(grid_template_columns="1fr 1fr"))
W.VBox([
    W.HBox([make[0](r), make[1](r)]),
    W.HTML("<b>bold</b><img src=x onerror=alert(1)><script>alert(2)</script>"
           "<a href='javascript:alert(3)'>link</a>"),
    W.IntSlider(7, description="seven"),
    tabs,
    W.Accordion([grid], titles=["A grid"]),
    W.Stack([W.Label("first"), W.Label("second")], selected_index=1),
])
"""
FOREIGN = '''
import anywidget, traitlets
class Counter(anywidget.AnyWidget):
    _esm = """
    export default () => ({
      initialize({ model }) { model.set("ready", "yes"); },
      render({ model, el }) {
        const button = document.createElement("button");
        button.className = "counter";
        const show = () => { button.textContent = `${model.get("ready")} ${model.get("n")}`; };
        model.on("change:n", show);
        button.onclick = () => { model.set("n", model.get("n") + 1); model.save_changes(); };
        show();
        el.append(button);
      },
    });
    """
    _css = ".counter { color: rgb(1, 2, 3); }"
    n = traitlets.Int(5).tag(sync=True)
    ready = traitlets.Unicode("no").tag(sync=True)
Counter()
'''
ALL = "from IPython.display import display\nfor i in range(12): display(make[i % 4](r))"


@pytest.fixture(scope="module")
def notebook(tiny_lm, tmp_path_factory):
    """Return the path of an executed notebook with its widgets saved."""
    folder = tmp_path_factory.mktemp("notebook")
    result = liw.attribute(
        tiny_lm("bert"), "The film is terrible", ["sad", "glad"], evaluations="all"
    )
    result.save(folder / "result.npz")
    cells = [
        nbformat.v4.new_markdown_cell("# Many views\n\nA formula: $e^{i\\pi} + 1 = 0$"),
        *map(nbformat.v4.new_code_cell, [VIEWS, ALL, NESTED, FOREIGN]),
    ]
    path = folder / "many.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    convert(path, "notebook", "--execute", "--inplace")
    return path


def convert(path, to, *options):
    command = [sys.executable, "-m", "nbconvert", "--to", to, *options, str(path)]
    environment = os.environ | {"PYTHONWARNINGS": "default"}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr


def test_every_widget_is_live_in_boxes_too(notebook, offline, watch, record_property):
    convert(notebook, EXPORTER)
    path = notebook.with_suffix(".html")
    record_property("bytes of the notebook", notebook.stat().st_size)
    record_property("bytes of the page", path.stat().st_size)
    page = offline(path)
    page.locator(".liw").nth(20).wait_for(state="attached")
    seconds = page.evaluate("performance.now()") / 1000
    record_property("seconds until all are drawn", round(seconds, 2))
    print(notebook.stat().st_size, path.stat().st_size, seconds)
    assert page.locator(".liw").count() == 21
    assert page.title() == "many"
    assert page.locator("[data-liw-view] > p").count() == 0
    page.locator("h1").get_by_text("Many views").wait_for()
    assert "$e^{i\\pi} + 1 = 0$" in page.locator("main").inner_text()
    # ours answer
    page.get_by_role("radio", name="glad").first.check()
    page.get_by_role("heading", name="Why “glad”?").first.wait_for()
    # another's module and style run, too
    counter = page.locator(".counter")
    counter.click()
    assert counter.inner_text() == "yes 6"
    assert counter.evaluate("e => getComputedStyle(e).color") == "rgb(1, 2, 3)"
    # boxes
    summaries = page.locator(".liw-part > summary")
    assert summaries.all_inner_texts() == ["One", "<b>Two</b>", "Three", "A grid"]
    assert page.locator(".liw-part[open]").count() == 1
    summaries.nth(1).click()
    assert page.locator(".liw-part[open] > summary").inner_text() == "<b>Two</b>"
    assert page.get_by_text("label <1>").is_visible()
    assert page.get_by_text("second", exact=True).is_visible()
    assert page.get_by_text("first", exact=True).count() == 0
    assert page.get_by_text("seven: 7").is_visible()
    # what a state says in HTML runs nothing
    assert page.get_by_text("bold", exact=True).evaluate("e => e.tagName") == "B"
    assert page.locator("main img").count() == 0
    assert page.get_by_text("link", exact=True).get_attribute("href") is None
    page.wait_for_load_state("networkidle")
    settled(page)


def test_what_was_not_saved_leaves_its_summary(notebook, offline, tmp_path):
    found = nbformat.read(notebook, as_version=4)
    del found.metadata["widgets"]
    del found.cells[-1].outputs[0]["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
    path = tmp_path / "bare.ipynb"
    nbformat.write(found, path)
    convert(path, EXPORTER)
    page = offline(path.with_suffix(".html"))
    assert page.get_by_role("heading", name="Why “sad”?").count() == 12
    assert page.locator(".liw").count() == 0
    assert page.get_by_text("This widget was not saved with the notebook.").count() == 2


def test_no_accessibility_violation(notebook, offline, axe):
    convert(notebook, EXPORTER)
    page = offline(notebook.with_suffix(".html"))
    page.locator(".liw").nth(20).wait_for(state="attached")
    wrong = axe(page, "html")
    assert [one for one in wrong if not one.startswith("heading-order")] == []
