"""A view in a few words, for places that run no script: an untrusted notebook, nbviewer, GitHub.

What comes in: the traits of a view and the name of its bundle. What goes out: a small piece of
HTML that says what is explained, the answer, and the numbers that matter most.

Guarantees:

- At most ``LIMIT`` bytes, whatever the state holds; what is left out of a text is said.
- No script, no class, no address; the few inline styles pass JupyterLab's sanitizer, and where
  all styles are dropped, bold and underlined still tell what raises from what lowers.
- Every text is HTML-escaped; what runs or failed when it was saved is said so.
- A state that is not ours gives a sentence rather than an error.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_interp_widgets import wire
from llm_interp_widgets.export._collected import collected
from llm_interp_widgets.export._fallback import unit_name
from llm_interp_widgets.export._summary import (
    Piece,
    inert,
    marked,
    paragraph,
    passage,
    table,
    text,
    token,
)
from llm_interp_widgets.words import retold, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIMIT = 10_000

_NOTHING = "An interactive view stood here. Run the cell to see it."
_QUEUED = "Waiting for its turn when this was saved."
_RUNNING = "Still running when this was saved: {done} of {total} done."
_BEGUN = "Still running when this was saved."
_CANCELLED = "Stopped before it was finished."
_FAILED = "Failed"
_LEGEND = "Bold (orange) raises, underlined (blue) lowers; the rest is weak, or its sign not sure."
_CUT = "{left} of {whole} characters are left out: this is what stands around the strongest."
_MORE = "{more} more are not shown."
_WHY = "Why {target}?"
_METHODS = "Compared: why {target}?"
_PIECE = "piece"
_OUTPUT = "output"
_STRONGEST = "strongest pieces"
_WORD = "word"
_GROUP = "group"
_PLACE = "place"
_NUMBER = "number"
_TENTH = "{from}–{to} % of the text"
_MEAN = "mean"
_MEAN_SIZE = "mean |…|"
_CORRELATION = "rank correlation"
_TEXTS = "texts"
_OF_TEXTS = "{title}: {count} texts"
_EACH = "each text’s own target"
_KIND = "kind of head"
_HIGHEST = "highest (layer.head)"
_STACK = "{layers} layers × {heads} heads"
_LOOKING = "{queries} × {keys} tokens"
_INTERACTIVE = "Run the cell for the interactive view."
ON_PAGE = "This view needs JavaScript."
"""The last sentence where there is no cell to run."""

_Z95 = 1.96
_ROWS = 8
_COLUMNS = 4
_MARKS = 24
_FAINT = 0.1  # of the strongest: too little to be marked
_ROOMS = (600, 300, 120, 40)  # characters of a prompt; the first that fits


def snapshot(state: Mapping[str, object], bundle_name: str, closing: str = _INTERACTIVE) -> str:
    """Return a view as a small piece of HTML without scripts.

    Args:
        state: Traits by name, as a view holds them.
        bundle_name: Of the view, e.g. ``"token_highlighter"``.
        closing: Last sentence: what a reader can do to see the view itself.

    Example:
        >>> snapshot({}, "token_highlighter")
        '<div><p>An interactive view stood here. Run the cell to see it.</p></div>'
    """
    for room in _ROOMS:
        html = ""
        with suppress(ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            html = _body(
                state, bundle_name, room, closing
            )  # a state of another version may lack something
        if html and len(html.encode()) <= LIMIT:
            return html
    nothing = _NOTHING if closing == _INTERACTIVE else closing
    return f"<div>{paragraph(inert(say(nothing)))}</div>"


def _body(state: Mapping[str, Any], bundle_name: str, room: int, closing: str) -> str:
    if bundle_name == "attention_browser":
        lines = _heads(state, room)
    elif bundle_name == "beeswarm":
        lines = _texts(state, room)
    elif bundle_name == "compare":
        lines = _compared(state, room)
    else:
        lines = _explained(state, room)
    lines.append(paragraph(f"<small>{inert(say(closing))}</small>"))
    return f"<div>{''.join(lines)}</div>"


# ── one text ──────────────────────────────────────────────────────────────────


class _Numbers:
    """What a snapshot's buffers hold: scores and half their 95 % intervals."""

    def __init__(self, snapshot: wire.Snapshot) -> None:
        subject = snapshot["subject"]
        self.inputs, self.outputs = subject["inputs"], subject["outputs"]
        shape = (len(self.outputs), len(self.inputs))
        scores = wire.unpack(snapshot["scores"], shape)
        errors = wire.unpack(snapshot["standard_error"], shape)
        self.scores = np.full(shape, np.nan) if scores is None else scores
        self.margins = np.full(shape, np.nan) if errors is None else _Z95 * errors

    def strongest(self, row: int) -> list[int]:
        """Return places of scores, the largest first."""
        size = np.abs(self.scores[row])
        order = np.argsort(-np.nan_to_num(size, nan=-1), kind="stable")
        return [int(i) for i in order if np.isfinite(size[i]) and size[i] > 0]

    def sure(self, row: int, place: int) -> bool:
        """Whether the 95 % interval leaves no doubt about the sign."""
        margin = self.margins[row, place]
        return not (margin > 0 and abs(self.scores[row, place]) < margin)

    def tints(self, row: int) -> dict[int, float]:
        """Return tints of the strongest pieces by place."""
        first = self.strongest(row)[:_MARKS]
        largest = abs(self.scores[row, first[0]]) if first else 1
        tints = {i: float(self.scores[row, i] / largest) for i in first if self.sure(row, i)}
        return {i: t for i, t in tints.items() if abs(t) >= _FAINT}


def _explained(state: Mapping[str, Any], room: int) -> list[str]:
    snapshot = state["snapshot"]
    numbers = _Numbers(snapshot)
    row = _row(state, numbers)
    subject = snapshot["subject"]
    lines = [
        _heading(say(_WHY, target=_target(subject, row))),
        *_answer(snapshot, numbers, row, room),
    ]
    if len(numbers.outputs) > 1:
        lines += _outputs(numbers, room)
    return [*lines, _scores(numbers, row, subject, room), _facts(snapshot["state"], room)]


def _answer(snapshot: wire.Snapshot, numbers: _Numbers, row: int, room: int) -> list[str]:
    subject, state = snapshot["subject"], snapshot["state"]
    said = state["sentences"][row] if row < len(state["sentences"]) else ""
    shown, note = _prompt(subject["prompt"], numbers, row, room)
    return [
        paragraph(text(said, 2 * room)),
        paragraph(_standing(state, room)),
        f'<p style="white-space:pre-wrap">{shown}</p>' if shown else "",
        paragraph(f"<small>{note}</small>" if note else ""),
        paragraph(text(subject["caution"], room)),
    ]


def _prompt(prompt: str, numbers: _Numbers, row: int, room: int) -> tuple[str, str]:
    tints = numbers.tints(row)
    if _in_order(numbers.inputs, len(prompt)):
        pieces = [
            Piece(one["start"], one["end"], tints.get(i, 0.0))
            for i, one in enumerate(numbers.inputs)
        ]
    else:  # pieces that are no parts of the prompt, one after the other
        pieces, prompt = _laid_out(numbers.inputs, tints)
    shown, left = passage(prompt, pieces, room)
    notes = [inert(say(_LEGEND))] if tints else []
    if left:
        notes.append(inert(_counted(_CUT, left=left, whole=len(prompt))))
    return shown, " ".join(notes)


def _in_order(inputs: Sequence[wire.TokenInfo], length: int) -> bool:
    ends = [0, *(token["end"] for token in inputs)]
    return all(
        before <= token["start"] <= token["end"] <= length
        for before, token in zip(ends, inputs, strict=False)
    )


def _laid_out(
    inputs: Sequence[wire.TokenInfo], tints: Mapping[int, float]
) -> tuple[list[Piece], str]:
    pieces, at = [], 0
    for i, one in enumerate(inputs):
        pieces.append(Piece(at, at + len(one["text"]), tints.get(i, 0.0)))
        at += len(one["text"])
    return pieces, "".join(one["text"] for one in inputs)


def _scores(numbers: _Numbers, row: int, subject: wire.Subject, room: int) -> str:
    rows = [
        [_name(numbers, row, i, room), _number(numbers.scores[row, i], numbers.margins[row, i])]
        for i in numbers.strongest(row)[:_ROWS]
    ]
    return table([inert(say(_PIECE)), text(unit_name(subject["unit"]), room)], rows)


def _name(numbers: _Numbers, row: int, place: int, room: int) -> str:
    return token(numbers.inputs[place]["text"], min(40, room)) + (
        "" if numbers.sure(row, place) else " ?"
    )


def _outputs(numbers: _Numbers, room: int) -> list[str]:
    """What pushed each of several outputs, as of written tokens or of labels."""
    most = min(24, room)
    rows = []
    for row, output in enumerate(numbers.outputs[: 2 * _ROWS]):
        tints = numbers.tints(row)
        first = list(tints)[:3]
        cells = [
            marked(_ink(numbers.inputs[i]["text"], most), 1 if tints[i] > 0 else -1) for i in first
        ]
        rows.append([token(output["text"], most), ", ".join(cells) or "–"])
    more = len(numbers.outputs) - len(rows)
    return [
        table([inert(say(_OUTPUT)), inert(say(_STRONGEST))], rows),
        paragraph(inert(_counted(_MORE, more=more)) if more else ""),
    ]


def _ink(value: str, most: int) -> str:
    """Return a token's ink, cut; plain text."""
    bare = value.strip().replace("\n", "↵") or "␣"
    return bare if len(bare) <= most else bare[: most - 1] + "…"


def _compared(state: Mapping[str, Any], room: int) -> list[str]:
    """Several explanations of one text, side by side."""
    snapshot = state["snapshot"]
    numbers = _Numbers(snapshot)
    row = _row(state, numbers)
    subject = snapshot["subject"]
    others = [one for one in state.get("others", []) if one.get("subject")]
    labels = [*state.get("labels", [])]
    same = [numbers] + [
        other for other in map(_Numbers, others) if other.scores.shape == numbers.scores.shape
    ]
    names = [*labels, *(one["subject"]["method_title"] for one in [snapshot, *others])]
    names = labels if len(labels) == len(others) + 1 else names[len(labels) :]
    heads = [inert(say(_PIECE)), *(text(name, min(40, room)) for name in names[:_COLUMNS])]
    rows = [
        [
            token(numbers.inputs[i]["text"], min(40, room)),
            *(_number(one.scores[row, i], one.margins[row, i]) for one in same[:_COLUMNS]),
        ]
        for i in numbers.strongest(row)[:_ROWS]
    ]
    more = len(others) + 1 - len(heads[1:])
    return [
        _heading(say(_METHODS, target=_target(subject, row))),
        *_answer(snapshot, numbers, row, room),
        *(
            paragraph(f"{text(name, min(40, room))}: {standing}")
            for name, one in zip(names[1:_COLUMNS], others, strict=False)
            if (standing := _standing(one["state"], room // 2))
        ),
        table(heads, rows)
        if len(same) == len(others) + 1
        else _scores(numbers, row, subject, room),
        paragraph(inert(_counted(_MORE, more=more)) if more > 0 else ""),
        _facts(snapshot["state"], room),
    ]


def _standing(state: wire.JobState, room: int) -> str:
    match state["status"]:
        case "queued":
            return inert(say(_QUEUED))
        case "running":
            done = _counted(_RUNNING, done=state["done"], total=state["total"])
            return inert(done if state["total"] else say(_BEGUN))
        case "cancelled":
            return inert(say(_CANCELLED))
        case "failed":
            error = state["error"] or {"name": "", "message": ""}
            return text(f"{say(_FAILED)}: {error['name']}: {error['message']}", room)
    return ""


def _target(subject: wire.Subject, row: int) -> str:
    if len(subject["outputs"]) > 1:
        return f"“{subject['outputs'][row]['text'].strip()}”"
    return subject["target"]


def _row(state: Mapping[str, Any], numbers: _Numbers) -> int:
    row = state.get("output", 0)
    return row if isinstance(row, int) and 0 <= row < len(numbers.outputs) else 0


# ── many texts ────────────────────────────────────────────────────────────────


def _texts(state: Mapping[str, Any], room: int) -> list[str]:
    data: wire.CollectionData = state["data"]
    by = state.get("by") or {"kind": "word", "groups": {}}
    row = state.get("output", 0)
    groups = collected(data).groups(
        by["groups"] or by["kind"], output=row, least=state.get("least", 1)
    )
    value = by["kind"] == "value"
    rows = [
        [
            token(group.name, min(40, room))
            if by["kind"] == "word"
            else text(retold(group.name, _TENTH), min(40, room)),
            _number(group.correlation if value else group.mean, np.nan),
            *([] if value else [_unsigned(group.mean_size, group.margin)]),
            f"{len(group.texts):,}",
        ]
        for group in groups[: 2 * _ROWS]
    ]
    kinds = {
        "word": say(_WORD), "group": say(_GROUP), "position": say(_PLACE), "value": say(_NUMBER),
    }  # fmt: skip
    means = [f"{say(_MEAN)}, {unit_name(data['unit'])}", say(_MEAN_SIZE)]
    heads = [kinds[by["kind"]], *([say(_CORRELATION)] if value else means), say(_TEXTS)]
    more = len(groups) - len(rows)
    return [
        _heading(_counted(_OF_TEXTS, title=data["method_title"], count=len(data["texts"]))),
        paragraph(text(data["outputs"][row] or say(_EACH), room)),
        table([text(head, room) for head in heads], rows),
        paragraph(inert(_counted(_MORE, more=more)) if more else ""),
        paragraph(text(data["caution"], room)),
        _facts({"facts": data["facts"]}, room),
    ]


# ── heads ─────────────────────────────────────────────────────────────────────


def _heads(state: Mapping[str, Any], room: int) -> list[str]:
    subject: wire.AttentionSubject = state["subject"]
    names = [stack["name"] for stack in subject["stacks"]]
    shown = names.index(state["stack"]) if state.get("stack") in names else 0
    stack, overview = subject["stacks"][shown], state["overviews"][shown]
    queries, keys = (len(subject["texts"][stack[side]]["tokens"]) for side in ("queries", "keys"))
    size = _counted(_STACK, layers=stack["layers"], heads=stack["heads"])
    looking = _counted(_LOOKING, queries=queries, keys=keys)
    tokens = subject["texts"][stack["queries"]]["tokens"]
    words, left = passage("".join(tokens), [], room // 2)
    unfinished = {"queued": say(_QUEUED), "cancelled": say(_CANCELLED), "failed": say(_FAILED)}
    status = overview["status"]
    drawn = overview["stages"]
    known = sum(stage > 0 for stage in drawn)
    standing = (
        _counted(_RUNNING, done=known, total=len(drawn))
        if status == "running"
        else unfinished.get(status, "")
    )
    return [
        _heading(subject["title"]),
        paragraph(text(f"{stack['title']}: {size}, {looking}.", room)),
        paragraph(inert(standing)),
        paragraph(words),
        paragraph(f"<small>{inert(_counted(_CUT, left=left, whole=len(''.join(tokens))))}</small>")
        if left
        else "",
        table([inert(say(_KIND)), inert(say(_HIGHEST))], _kinds(overview, stack)),
        paragraph(text(subject["caution"], room)),
        _facts({"facts": stack["facts"]}, room),
    ]


def _kinds(overview: wire.AttentionOverview, stack: wire.AttentionStack) -> list[list[str]]:
    names = overview["names"]
    shape = (len(names), stack["layers"], stack["heads"])
    scores = wire.unpack(overview["scores"], shape)
    rows = []
    for name, of in zip(names, () if scores is None else scores, strict=False):
        flat = of.ravel()
        order = [i for i in np.argsort(-np.nan_to_num(flat, nan=-np.inf)) if np.isfinite(flat[i])]
        cells = [f"{i // shape[2]}.{i % shape[2]}: {flat[i]:.2f}" for i in order[:3]]
        if cells:
            rows.append([text(say(name.replace("_", " ")), 40), inert(" · ".join(cells))])
    return rows


# ── shared ────────────────────────────────────────────────────────────────────


def _counted(template: str, **values: object) -> str:
    """Return a template in the language in force, whole numbers in groups of three."""
    return say(template, **{n: f"{v:,}" if isinstance(v, int) else v for n, v in values.items()})


def _heading(words: str) -> str:
    return f"<h3>{text(words, 120)}</h3>"


def _number(score: Any, margin: Any) -> str:  # noqa: ANN401 - numpy scalars
    if not np.isfinite(score):
        return "–"
    sign = "+" if score > 0 else "\N{MINUS SIGN}" if score < 0 else ""
    more = f" ± {margin:.3g}" if np.isfinite(margin) else ""
    return f"{sign}{abs(score):.3g}{more}"


def _unsigned(size: float, margin: float) -> str:
    return f"{size:.3g}" + (f" ± {margin:.3g}" if np.isfinite(margin) else "")


def _facts(state: Mapping[str, Any], room: int) -> str:
    facts = [f"{fact['label']}: {fact['value']}" for fact in state["facts"]]
    return paragraph(f"<small>{text(' · '.join(facts), 2 * room)}</small>" if facts else "")
