"""Where each widget shows each text, and what must stand there.

What comes in: a result as ``hostile_views.everywhere`` makes it. What goes out: for each widget, a
``Slot`` for every place on screen that holds one of its texts, with the texts wanted there.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from xml.etree import ElementTree as ET

from hostile import in_csv, in_xml, quoted, spoken, trimmed, visible
from hostile_views import three

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llm_interp_widgets.results.attribution import Attribution
    from llm_interp_widgets.text.tokens import Token

MINUS = "\N{MINUS SIGN}"
csv.field_size_limit(1 << 24)
SVG = {
    f"{{http://www.w3.org/2000/svg}}{name}"
    for name in "svg title defs linearGradient stop pattern path rect text g circle image".split()
}


@dataclass(frozen=True)
class Slot:
    """One place.

    Attributes:
        name: What it holds.
        selector: Of the elements, within a view.
        wanted: What must stand there.
        attribute: That is read; the text by default.
        how: ``"same"``: in all of them, in this order. ``"has"``: in one of them.
            ``"edges"``: in one of them, at its beginning and its end.
    """

    name: str
    selector: str
    wanted: list[str]
    attribute: str | None = None
    how: Literal["same", "has", "edges"] = "same"

    def problem(self, found: Sequence[str]) -> str:
        """Return what is wrong with what was read; empty if nothing is."""
        if self.how == "same":
            good = list(found) == self.wanted
        elif self.how == "has":
            good = all(one in found for one in self.wanted)
        else:
            first, last = self.wanted
            good = any(one.startswith(first) and one.endswith(last) for one in found)
        return "" if good else f"{self.name}: wanted {self.wanted!r:.300}, found {found!r:.300}"


def heading_of(a: Attribution) -> str:
    """Return what is explained, as the heading says it."""
    return quoted(a.target) if len(a.outputs) == 1 else quoted(a.outputs[0].text, always=True)


def _names(inputs: Iterable[Token]) -> list[str]:
    return [visible(token.text) for token in inputs]


def _frame(a: Attribution, state: dict) -> list[Slot]:
    """Return what every view of an attribution has around its picture."""
    facts = [fact for fact in state["facts"] if fact["label"] != "preview"]
    error = state["error"]
    outputs = [visible(one.text.removeprefix(" ")) for one in a.outputs]
    return [
        Slot("method title", ".liw-eyebrow", [a.title or a.method]),
        Slot("heading", ".liw-title bdi", [heading_of(a)]),
        Slot("sentence", ".liw-sentence", [state["sentences"][0]]),
        Slot("fact", ".liw-facts dd bdi", [fact["value"] for fact in facts]),
        Slot("fact's label", ".liw-facts dt", [fact["label"] for fact in facts]),
        Slot("caution", ".liw-caution", [a.caution] if a.caution else []),
        Slot("error's name", ".liw-failure strong", [error["name"]] if error else []),
        Slot("error's message", ".liw-failure span", [error["message"]] if error else []),
        Slot("output", ".liw-output bdi", outputs if len(outputs) > 1 else []),
        Slot("table", ".liw-table tbody th[scope=row] bdi", _names(a.inputs)),
    ]


def _running_text(a: Attribution) -> list[Slot]:
    role = a.inputs[1].role or ""
    way = "raises" if a.scores[0, 1] > 0 else "lowers"
    shown = [visible(t.text) if t.special else t.text for t in a.inputs]
    first = f"“{spoken(a.inputs[1].text)}”, second token of the {role} turn, "
    tokens = ".liw-text:first-of-type [data-index]"
    return [
        Slot("token", tokens, shown),
        Slot(
            "token's sentence", tokens, [first, f", {way} {heading_of(a)}"], "aria-label", "edges"
        ),
        Slot("role", ".liw-turn .liw-role", ["system", role]),
        Slot("role's turn", ".liw-turn", ["system turn", f"{role} turn"], "aria-label"),
    ]


def _pinned(a: Attribution) -> Slot:
    return Slot("pinned token", ".liw-pinned .liw-tip-token", [visible(a.inputs[1].text)])


def _highlighter(a: Attribution, state: dict) -> list[Slot]:
    legend = Slot("legend", ".liw-legend-unit bdi", [heading_of(a)])
    return [*_frame(a, state), *_running_text(a), _pinned(a), legend]


def _waterfall(a: Attribution, state: dict) -> list[Slot]:
    unit = Slot("scale", ".liw-wf-unit", [f"log-probability of {heading_of(a)}"])
    names = Slot("step", "bdi.liw-wf-name", _names(a.inputs[:3]), how="has")
    way = "raises" if a.scores[0, 1] > 0 else "lowers"
    heard = f", second token, {way} {heading_of(a)}"
    told = Slot("step's sentence", ".liw-wf-steps .liw-hidden", [heard], how="has")
    return [*_frame(a, state), unit, names, told, _pinned(a)]


def _force(a: Attribution, state: dict) -> list[Slot]:
    way = "raises" if a.scores[0, 1] > 0 else "lowers"
    score = "+" if a.scores[0, 1] > 0 else MINUS
    edges = [f"{visible(a.inputs[1].text)} {score}", f", second token, {way} {heading_of(a)}"]
    return [
        *_frame(a, state),
        Slot("unit", ".liw-force-unit bdi", [heading_of(a)]),
        Slot("segment", ".liw-force-name", _names(a.inputs[:3]), how="has"),
        Slot("segment's sentence", ".liw-force-track button", edges, "aria-label", "edges"),
        _pinned(a),
    ]


def _bar(a: Attribution, state: dict) -> list[Slot]:
    legend = f"log-probability of {heading_of(a)}; left of zero lowers it, right raises it"
    return [
        *_frame(a, state),
        Slot("bar", ".liw-rank-token", _names(a.inputs[:3]), how="has"),
        Slot("legend", ".liw-legend", [legend]),
        _pinned(a),
    ]


def _compare(a: Attribution, state: dict) -> list[Slot]:
    given = [slot for slot in _frame(a, state) if slot.name in ("heading", "caution", "output")]
    pieces, label = [t for t in a.inputs if not t.special], a.title
    text = pieces[1].text
    worst = next((f for f in state["facts"] if f["level"] != "plain"), None)
    facts = [f"converged, {worst['label']} {worst['value']}" if worst else "converged"]
    bare = visible(text) if not trimmed(text) else trimmed(text)
    return [
        *given,
        Slot("label of a strip", ".liw-cmp-line:first-of-type tbody th", [label, "other"]),
        Slot("label of a correlation", ".liw-cmp-rho th", [label, "other"]),
        Slot("label of a column", ".liw-table .liw-sort", ["piece↑", label, "other"]),
        Slot("label of a fact", ".liw-facts dt", [label, "other"]),
        Slot("fact", ".liw-facts dd bdi", facts, how="has"),
        Slot("piece", ".liw-cmp-line th bdi", [brief(bare, 40)], how="has"),
        Slot("table", ".liw-table tbody th bdi", _names(pieces)),
        Slot("values", ".liw-pinned", [f"“{visible(text)}”: {label} ", ""], how="edges"),
    ]


def _generation(a: Attribution, state: dict) -> list[Slot]:
    frame = [slot for slot in _frame(a, state) if slot.name != "output"]
    text, said = a.inputs[1].text, a.outputs[0].text
    near = visible(a.target if not trimmed(a.target) else trimmed(a.target))
    pair = f"“{spoken(text)}” → “{spoken(said)}”: "
    written = ".liw-gen .liw-text:last-of-type [data-index]"
    return [
        *frame,
        *_running_text(a),
        Slot("written", written, [token.text for token in a.outputs]),
        Slot("nearly written", ".liw-gen-candidates bdi", [spoken(said), near, "near"]),
        Slot("pinned pair", ".liw-pinned", [pair, ""], how="edges"),
    ]


def _lime(a: Attribution, state: dict) -> list[Slot]:
    fits = " · ".join(f"{trimmed(token.text)} 0.700" for token in a.outputs)
    masked = "".join(token.text for token in a.inputs if not token.special)
    unit = f"log-probability of {heading_of(a)} per piece"
    return [
        *_frame(replace(a, method="lime"), state),
        Slot("fit", ".liw-lime-fit .liw-muted", [f" R² of each: {fits}"]),
        Slot("weights", ".liw-lime-head .liw-muted", [unit], how="has"),
        Slot("bar", ".liw-rank-token", _names(a.inputs[:3]), how="has"),
        Slot("masked text", ".liw-table .liw-lime-text", [masked] * 12),
        _pinned(a),
    ]


def _beeswarm(a: Attribution, _state: dict) -> list[Slot]:
    """Texts that were asked about; a nameless one of several outputs goes by its number."""
    many = three(a)
    facts = [value for label, value, _ in many.facts if label != "preview"]
    outputs = [visible(name.removeprefix(" ")) for name in many.outputs]
    text = [t.text for t in a.inputs if not (t.special and t.start == t.end)]
    return [
        Slot("method title", ".liw-eyebrow", [a.title or a.method]),
        Slot("caution", ".liw-caution", [a.caution] if a.caution else []),
        Slot("output", ".liw-output bdi", outputs),
        Slot("fact", ".liw-facts dd bdi", facts),
        Slot("text", ".liw-text [data-index]", text),
        Slot("row", ".liw-table tbody th bdi", [group.name for group in many.groups(least=1)]),
    ]


SLOTS: dict[str, Callable[[Attribution, dict], list[Slot]]] = {
    "token_highlighter": _highlighter,
    "shap_waterfall": _waterfall,
    "shap_force": _force,
    "shap_bar": _bar,
    "compare": _compare,
    "generation_view": _generation,
    "lime_view": _lime,
    "beeswarm": _beeswarm,
}
# What is pointed at, and where the view then tells of it.
POINTED = {"token_highlighter": (".liw-text [data-index='1']", ".liw-tip-token")}


def brief(text: str, most: int) -> str:
    """Return the beginning of a text, counted as a browser counts."""
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * most:
        return text
    cut = units[: 2 * (most - 1)].decode("utf-16-le", "surrogatepass")
    half = "\ud800" <= cut[-1] <= "\udbff"
    return (cut[:-1] if half else cut) + "…"


# ── Copies ───────────────────────────────────────────────────────────────────


def problems_of_svg(svg: str, a: Attribution) -> list[str]:
    """Return what is wrong with a picture: it must be XML, ours, and hold the texts."""
    root = ET.fromstring(svg)  # noqa: S314 - no entities: ours, or the test fails
    problems = [f"<{e.tag}> in a picture" for e in root.iter() if e.tag not in SVG]
    problems += [
        f"{name} in a picture"
        for e in root.iter()
        for name in e.attrib
        if name.startswith("on")
        or (name.endswith("href") and not e.attrib[name].startswith("data:image/png"))
    ]
    titles = [e.text or "" for e in root if e.tag.endswith("title")]
    wanted = in_xml(f"Why {heading_of(a)}?")
    if titles and titles[0] != wanted and "texts" not in titles[0]:
        problems.append(f"title: wanted {wanted!r:.200}, found {titles!r:.200}")
    return problems


def cells(text: str) -> list[list[str]]:
    """Return a copied table, as a spreadsheet reads it."""
    return list(csv.reader(io.StringIO(text, newline="")))


def problems_of_csv(text: str, wanted: Sequence[str]) -> list[str]:
    """Return which texts a copied table lacks."""
    found = {cell for row in cells(text) for cell in row}
    return [f"CSV lacks {one!r:.100}" for one in wanted if in_csv(one) not in found]
