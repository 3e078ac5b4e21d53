"""What short, script-free summaries are made of: escaped text, tinted pieces, small tables.

Guarantees: every text is HTML-escaped; lone surrogates become U+FFFD; control characters and
those that turn the direction of text around are spelled out, so that they do nothing; styles are
few, inline, without fixed text colours, and nothing is said by them alone.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from llm_interp_widgets.export._fallback import well_formed

if TYPE_CHECKING:
    from collections.abc import Sequence

RAISES = (231, 117, 22)
LOWERS = (58, 120, 226)
STRENGTH = 0.45
"""Opacity of the strongest tint: text stays readable on it, on white and on black."""

_NEAR = 60
_CELL = "padding:1px 14px 1px 0;text-align:left;vertical-align:top"
_INERT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Piece(NamedTuple):
    """A part of a text: ``t`` from -1 to 1 is its tint; 0 for none."""

    start: int
    end: int
    t: float


def text(value: object, most: int) -> str:
    """Return text as HTML, cut to so many characters."""
    words = str(value)
    cut = words if len(words) <= most else words[: max(1, most - 1)] + "…"
    return inert(cut)


def inert(words: str) -> str:
    """Return text as HTML in which nothing but ink is left."""
    plain = _INERT.sub(lambda found: f"\\u{ord(found[0]):04x}", words.replace("\r\n", "\n"))
    return escape(well_formed(plain), quote=False).replace("\n", "<br>")


def token(value: str, most: int) -> str:
    """Return a token as HTML, in quotation marks and without the space before it."""
    bare = value.strip() or value.replace("\n", "↵").replace("\t", "⇥").replace(" ", "␣")
    return f"“{text(bare.replace(chr(10), '↵'), most)}”"


def paragraph(html: str) -> str:
    """Return a paragraph, or nothing."""
    return f"<p>{html}</p>" if html else ""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of HTML cells; nothing without rows."""
    if not rows:
        return ""
    head = "".join(f'<th style="{_CELL}">{cell}</th>' for cell in heads)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def marked(words: str, t: float) -> str:
    """Return text with its tint; bold if it raises, underlined if it lowers."""
    if not t or not words.strip():
        return inert(words)
    red, green, blue = RAISES if t > 0 else LOWERS
    style = f"background-color:rgba({red}, {green}, {blue}, {STRENGTH * min(1, abs(t)):.2f})"
    ink = words.lstrip()
    name = "b" if t > 0 else "ins"  # GitHub drops <u>
    lead = inert(words[: len(words) - len(ink)])
    return f'{lead}<{name} style="{style}">{inert(ink)}</{name}>'


def passage(prompt: str, pieces: Sequence[Piece], room: int) -> tuple[str, int]:
    """Return a text with its pieces tinted, cut around the strongest of them.

    Args:
        prompt: The text.
        pieces: In their order, without overlap.
        room: Characters that may be shown.

    Returns:
        HTML, and how many characters of the text were left out.
    """
    kept = [(0, len(prompt))] if len(prompt) <= room else _around(prompt, pieces, room)
    out: list[str] = []
    at = 0
    for first, last in kept:
        if first > at:
            out.append("… " if not out else " … ")
        out.append(_inside(prompt, pieces, first, last))
        at = last
    if at < len(prompt):
        out.append(" …")
    shown = sum(last - first for first, last in kept)
    return "".join(out), len(prompt) - shown


def _around(prompt: str, pieces: Sequence[Piece], room: int) -> list[tuple[int, int]]:
    """Return the parts of a text that are nearest to its strongest pieces, in their order."""
    strongest = sorted((piece for piece in pieces if piece.t), key=lambda piece: -abs(piece.t))
    near = min(_NEAR, room // 4)
    kept: list[tuple[int, int]] = []
    for piece in strongest:
        first = max(0, piece.start - near)
        last = min(len(prompt), min(piece.end, piece.start + room // 2) + near)
        wider = _merged([*kept, (first, last)])
        if sum(end - start for start, end in wider) > room:
            break
        kept = wider
    return kept or [(0, room)]


def _merged(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(parts):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def _inside(prompt: str, pieces: Sequence[Piece], first: int, last: int) -> str:
    out, at = [], first
    for piece in pieces:
        start, end = max(piece.start, at), min(piece.end, last)
        if not piece.t or start >= end:
            continue
        out += [inert(prompt[at:start]), marked(prompt[start:end], piece.t)]
        at = end
    return "".join([*out, inert(prompt[at:last])])
