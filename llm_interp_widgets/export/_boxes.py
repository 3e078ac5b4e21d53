"""The widgets of a saved notebook, as HTML and models.

What comes in: the widget state of a notebook. What goes out: for each widget that an output shows,
HTML; and the models and modules that make anywidgets in it live.

Guarantees: boxes, tabs, accordions, stacks, labels and HTML of ipywidgets become plain HTML that
needs no script; every anywidget, ours or another's, keeps its own module, each once; a widget that
is neither says its value in words, a password none of it. HTML from a state is let through a list
of what is harmless.
"""

from __future__ import annotations

import base64
import hashlib
import re
from copy import deepcopy
from html import escape
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from llm_interp_widgets.export._fallback import well_formed
from llm_interp_widgets.export.bundles import bundle
from llm_interp_widgets.words import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VIEW = "application/vnd.jupyter.widget-view+json"
_TAB = "Part {number}"
_LOST = "This widget was not saved with the notebook. Run its cell and save again."
_AGAIN = "A widget that holds itself is shown once."

_BROWSER = "llm_interp_widgets.widgets.attention_browser.AttentionBrowser"
_REFERENCE = "IPY_MODEL_"
_SECRET = "••••"  # for every password, however long it is
_HARMLESS = frozenset(
    "a abbr b blockquote br caption cite code dd del div dl dt em figcaption figure h1 h2 h3 h4 "
    "h5 h6 hr i img ins kbd li mark ol p pre q s samp small span strong sub sup table tbody td "
    "tfoot th thead tr u ul var".split()
)
_LAYOUTS = {
    "HBox": "liw-row",
    "VBox": "liw-column",
    "Box": "liw-column",
    "GridBox": "liw-grid",
    "Stack": "liw-column",
    "Output": "liw-column",
}
_VOID = frozenset({"br", "hr", "img"})
_DROPPED = frozenset({"script", "style", "template", "iframe", "object", "svg", "math", "noscript"})
_ATTRIBUTES = frozenset({"title", "colspan", "rowspan", "alt", "width", "height", "lang", "dir"})
_LINK = re.compile(r"(https?://|mailto:|#)", re.IGNORECASE)
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*")
# What fetches nothing, and stays inside its element.
_STYLE = re.compile(
    r"\s*(?:margin(?:-[a-z]+)?\s*:[\w\s%.]+|"
    r"(?:color|background(?:-color)?|font(?:-[a-z]+)?|(?:padding|border)(?:-[a-z]+)*"
    r"|text-(?:align|decoration|transform|indent)|(?:min-|max-)?(?:width|height)|line-height"
    r"|letter-spacing|white-space|vertical-align|opacity|display|gap|align-items|justify-content"
    r"|flex(?:-[a-z]+)?|list-style-type|overflow(?:-[a-z]+)?)\s*:[\w\s#%.,()+-]+)",
    re.IGNORECASE,
)
_FETCHES = re.compile("url|image|expression", re.IGNORECASE)


class Boxes:
    """Widgets of one notebook.

    Args:
        state: ``metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]``.
        of_output: Makes HTML of an output that an Output widget caught.
    """

    def __init__(
        self, state: Mapping[str, Any], of_output: Callable[[Mapping[str, Any]], str]
    ) -> None:
        self._state = state
        self._of_output = of_output
        self._open: list[str] = []
        self.models: dict[str, dict[str, Any]] = {}
        self.bundles: dict[str, str] = {}

    def has(self, name: str) -> bool:
        """Whether a model was saved."""
        return name in self._state

    def html(self, name: str, summary: str = "") -> str:
        """Return HTML of a widget.

        Args:
            name: Of its model.
            summary: HTML for readers without scripts.
        """
        if name not in self._state:
            return f"<p>{escape(say(_LOST))}</p>"
        if name in self._open:
            return f"<p>{escape(say(_AGAIN))}</p>"
        self._open.append(name)
        try:
            return self._drawn(name, self._state[name], summary)
        except (AttributeError, LookupError, TypeError, ValueError):  # not as Jupyter saves it
            return f"<p>{_text(say(_LOST))}</p>"
        finally:
            self._open.pop()

    def _drawn(self, name: str, model: Mapping[str, Any], summary: str) -> str:
        state = model.get("state", {})
        if isinstance(state.get("_esm"), str):
            return self._live(name, model, summary)
        kind = str(model.get("model_name", "")).removesuffix("Model")
        children = [
            self.html(child.removeprefix(_REFERENCE))
            for child in state.get("children", [])
            if isinstance(child, str)
        ]
        at = state.get("selected_index")
        if kind in ("Tab", "Accordion"):
            return _parts(children, _titles(state), at, name if kind == "Tab" else "")
        if kind == "Stack":
            children = children[at : at + 1] if isinstance(at, int) and at >= 0 else []
        if kind == "Output":
            children = [self._caught(one) for one in state.get("outputs", [])]
        if kind in _LAYOUTS:
            return _box(children, _LAYOUTS[kind], self._columns(state))
        return _leaf(kind, state)

    def _caught(self, output: Mapping[str, Any]) -> str:
        """Return an output that an Output widget caught; of a widget, that widget."""
        shown = output.get("data", {}).get(VIEW, {}).get("model_id", "")
        return self.html(shown) if self.has(shown) else self._of_output(output)

    def _live(self, name: str, model: Mapping[str, Any], summary: str) -> str:
        """Keep an anywidget as it is, with its module under the hash of its text."""
        state = deepcopy(dict(model["state"]))
        source = state.pop("_esm")
        key = f"esm-{hashlib.sha256(source.encode('utf-8', 'replace')).hexdigest()[:16]}"
        self.bundles[key] = source
        for buffer in model.get("buffers", []):
            _put(state, buffer)
        kind = str(state.get("_anywidget_id", ""))
        kernel = ""
        if kind == _BROWSER:  # what a kernel would hand over and answer
            kernel = "attention_kernel"
            self.bundles |= {part: bundle(part) for part in ("attention_head", kernel)}
        self.models[name] = {"id": name, "bundle": key, "kernel": kernel, "state": state}
        label = _text(f"{kind.rpartition('.')[2] or 'widget'} {len(self.models)}")
        place = f'class="view" aria-label="{label}" data-liw-view="{_text(name)}"'
        return f"<section {place}><noscript>{summary}</noscript></section>"

    def _columns(self, state: Mapping[str, Any]) -> str:
        layout = str(state.get("layout", "")).removeprefix(_REFERENCE)
        columns = self._state.get(layout, {}).get("state", {}).get("grid_template_columns")
        safe = isinstance(columns, str) and re.fullmatch(r"[\w\s%.,()-]+", columns)
        return f"grid-template-columns:{columns}" if safe else ""


def harmless(html: str) -> str:
    """Return HTML in which only elements, attributes and links that run nothing are left."""
    reader = _Harmless()
    try:
        reader.feed(html)
        reader.close()
    except AssertionError:  # "<![x[": older versions of Python know no such section
        return _text(html)
    return reader.result()


class _Harmless(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._out: list[str] = []
        self._open: list[str] = []
        self._dropped: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED:
            self._dropped.append(tag)
        if self._dropped or tag not in _HARMLESS:
            return
        kept = {name: value or "" for name, value in attrs if _may(tag, name, value or "")}
        if style := _quiet(dict(attrs).get("style") or ""):
            kept["style"] = style
        if tag == "img" and "src" not in kept:
            return
        given = "".join(f' {name}="{_text(value)}"' for name, value in kept.items())
        self._out.append(f"<{tag}{given}>")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._dropped:
            if tag == self._dropped[-1]:
                self._dropped.pop()
            return
        if tag in self._open:
            while (last := self._open.pop()) != tag:
                self._out.append(f"</{last}>")
            self._out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._dropped:
            self._out.append(_text(data))

    def result(self) -> str:
        """Return what is left, every element closed."""
        return "".join([*self._out, *(f"</{tag}>" for tag in reversed(self._open))])


def _may(tag: str, name: str, value: str) -> bool:
    if name == "href":
        return tag == "a" and _LINK.match(value.strip()) is not None
    if name == "src":
        return tag == "img" and _PICTURE.fullmatch(value) is not None
    return name in _ATTRIBUTES


def _quiet(style: str) -> str:
    """Return of a style what neither fetches anything nor covers what is not its own."""
    known = (one.strip() for one in style.split(";") if _STYLE.fullmatch(one))
    return "; ".join(one for one in known if not _FETCHES.search(one))


def _leaf(kind: str, state: Mapping[str, Any]) -> str:
    if kind == "Label":
        return f"<p>{_text(state.get('value', ''))}</p>"
    if kind in ("HTML", "HTMLMath"):
        return f"<div>{harmless(str(state.get('value', '')))}</div>"
    return f"<p>{_text(_words(kind, state))}</p>"


def _box(children: list[str], layout: str, style: str = "") -> str:
    more = f' style="{_text(style)}"' if style else ""
    return f'<div class="{layout}"{more}>{"".join(children)}</div>'


def _parts(children: list[str], titles: list[str], shown: object, group: str) -> str:
    """Return parts that open and close; of a group, one at a time."""
    name = f' name="{_text(group)}"' if group else ""
    parts = []
    for i, child in enumerate(children):
        title = titles[i] if i < len(titles) and titles[i] else say(_TAB, number=i + 1)
        opened = " open" if i == shown or (shown is None and group and i == 0) else ""
        summary = f"<summary>{_text(title)}</summary>"
        parts.append(f'<details class="liw-part"{name}{opened}>{summary}{child}</details>')
    return "".join(parts)


def _titles(state: Mapping[str, Any]) -> list[str]:
    """Return titles as ipywidgets 8 keeps them, or 7."""
    if isinstance(state.get("titles"), list):
        return [str(title) for title in state["titles"]]
    old = state.get("_titles", {})
    return [str(old.get(str(i), "")) for i in range(len(state.get("children", [])))]


def _words(kind: str, state: Mapping[str, Any]) -> str:
    name = str(state.get("description") or kind or "widget").rstrip(":")
    if kind == "Password" or state.get("_view_name") == "PasswordView":
        return f"{name}: {_SECRET}"
    options = state.get("_options_labels")
    value = state.get("value")
    if isinstance(options, list) and isinstance(index := state.get("index"), int):
        value = options[index] if 0 <= index < len(options) else None
    return f"{name}: {value}" if isinstance(value, str | int | float) else f"[{name}]"


def _put(state: dict[str, Any], buffer: Mapping[str, Any]) -> None:
    """Put bytes back where they were taken from."""
    data = buffer["data"]
    whole = bytes.fromhex(data) if buffer.get("encoding") == "hex" else base64.b64decode(data)
    place: Any = state
    for key in buffer["path"][:-1]:
        place = place[key]
    place[buffer["path"][-1]] = whole


def _text(value: object) -> str:
    return escape(well_formed(str(value)))
