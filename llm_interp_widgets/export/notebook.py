"""A saved notebook as one offline page: ``jupyter nbconvert --to liw_html notebook.ipynb``.

What comes in: a notebook whose widget state was saved. What goes out: one HTML file with its
text, code and outputs, in which our views and any other anywidget are live.

Guarantees:

- The page asks the network for nothing, and its content security policy forbids it to: there is
  neither require.js nor MathJax in it, and formulas stand as they were written.
- Each module stands in the file once, however many widgets use it.
- A widget that was not saved leaves its summary, or a sentence.

This is the only file that knows nbconvert, which is not needed for anything else.
"""

from __future__ import annotations

from copy import deepcopy
from html import escape
from typing import TYPE_CHECKING, Any

from nbconvert.exporters.html import HTMLExporter
from pygments.formatters import HtmlFormatter

from llm_interp_widgets.export._boxes import VIEW, Boxes
from llm_interp_widgets.export._payload import encode
from llm_interp_widgets.export.bundles import bundle
from llm_interp_widgets.export.page import document
from llm_interp_widgets.words import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbformat import NotebookNode

_STATE = "application/vnd.jupyter.widget-state+json"
_LOST = "This widget was not saved with the notebook. Run its cell and save again."
_UNTITLED = "Notebook"
_STYLE = """
:is(main, footer) { max-width: 960px; }
main { padding-top: clamp(20px, 5vw, 56px); }
.prompt, .jp-Collapser, .anchor-link { display: none; }
main :is(h1, h2, h3, h4) { margin: 1.2em 0 .4em; border: 0; padding: 0; color: inherit; }
main h1 { font-size: 28px; font-weight: 600; line-height: 1.25; }
main :is(.input_area, .output_area) { margin: 8px 0; }
main pre { font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; }
main .input_area .highlight { background: none; }
.input_area { background: light-dark(#f6f7f8, #1d1f24); border-radius: 6px; padding: 2px 12px; }
main img { max-width: 100%; height: auto; }
.output_area { overflow-x: auto; }
.view { min-height: 0; margin: 8px 0 24px; flex: 1 1 320px; min-width: 0; }
.liw-row { display: flex; flex-wrap: wrap; gap: 8px 24px; align-items: flex-start; }
.liw-row > * { flex: 1 1 320px; min-width: 0; }
.liw-grid { display: grid; gap: 8px 24px; }
.liw-part { border-top: 1px solid light-dark(#1b1d2124, #e6e7ea24); padding: 4px 0; }
.liw-part > summary { cursor: pointer; font-weight: 600; }
"""
_HIGHLIGHT = """
@media not print {{ @media (prefers-color-scheme: dark) {{
{dark}
}} }}
"""


class LiwHTMLExporter(HTMLExporter):
    """One offline HTML file in which widgets are live."""

    export_from_notebook = "HTML with live widgets"

    @property
    def default_config(self) -> Any:  # noqa: ANN401 - as nbconvert has it
        """The plainest template: the page around it is ours."""
        config = super().default_config
        config.LiwHTMLExporter.template_name = "basic"
        config.LiwHTMLExporter.embed_images = True
        return config

    def from_notebook_node(  # type: ignore[override]  # nbconvert's says NotebookNode, means str
        self,
        nb: NotebookNode,
        resources: dict[str, Any] | None = None,
        **kw: Any,  # noqa: ANN401
    ) -> tuple[str, dict[str, Any]]:
        """Return the page of a notebook, and nbconvert's resources.

        Args:
            nb: A notebook of format 4.
            resources: As nbconvert hands them on.
            **kw: Likewise.
        """
        notebook = deepcopy(nb)
        # nbconvert would look for widgets, too, and load their manager from the network.
        boxes = Boxes(_saved(notebook.metadata.pop("widgets", None)), _plain)
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                if VIEW in output.get("data", {}):
                    output["data"] = _shown(output["data"], boxes)
        body, found = super().from_notebook_node(notebook, resources, **kw)
        name = found.get("metadata", {}).get("name") or say(_UNTITLED)
        title = str(nb.metadata.get("title") or name)
        # A box may hold a widget that another output shows, too: every model is there once.
        island = encode([*boxes.models.values()], boxes.bundles)
        page = document(
            title, body, island, [bundle("host")], style=_STYLE + _colours(), header=False
        )
        return page, found


def _saved(widgets: object) -> Mapping[str, Any]:
    """Return the widgets of a notebook; of what is not as Jupyter saves it, none."""
    found = widgets
    for key in (_STATE, "state"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _shown(data: Mapping[str, Any], boxes: Boxes) -> dict[str, str]:
    """Return an output that shows a widget as one that shows HTML."""
    name = data[VIEW].get("model_id", "")
    summary = _joined(data.get("text/html", ""))
    if boxes.has(name):
        return {"text/html": boxes.html(name, summary)}
    return {"text/html": summary or f"<p>{escape(say(_LOST))}</p>"}


def _plain(output: Mapping[str, Any]) -> str:
    """Return an output that a widget caught, as text."""
    words = output.get("text") or output.get("data", {}).get("text/plain") or ""
    if output.get("output_type") == "error":
        words = f"{output.get('ename', '')}: {output.get('evalue', '')}"
    return f"<pre>{escape(_joined(words))}</pre>"


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _colours() -> str:
    """Return colours of code, in light and in dark."""
    light = HtmlFormatter(style="default").get_style_defs(".highlight pre")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight pre")
    return str(light) + _HIGHLIGHT.format(dark=dark)
