"""Coarser pieces: scores of tokens summed to words, sentences, turns or spans.

What comes in: the pieces that scores were computed for, and a granularity. What goes out: the
coarser pieces, and where each begins among the finer ones. Guarantees: every finer piece is
part of exactly one coarser piece; the coarser ones are those that attribution in that
granularity would have had.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from llm_interp_widgets.errors import ResultError
from llm_interp_widgets.text.features import pieces
from llm_interp_widgets.text.tokens import Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_interp_widgets.text.features import Granularity
    from llm_interp_widgets.text.tokens import Token

# What can be summed to what. Spans may be anything, so only what holds everything holds them.
_COARSER = {
    "token": ("token", "word", "sentence", "turn"),
    "word": ("word", "sentence", "turn"),
    "sentence": ("sentence", "turn"),
    "turn": ("turn",),
    "spans": ("turn",),
}


def grouped(
    text: str, parts: Sequence[Token], made_for: str, granularity: Granularity
) -> tuple[tuple[Token, ...], list[int]]:
    """Return the coarser pieces and the index of each one's first part.

    Args:
        text: The prompt's text.
        parts: Pieces that are there.
        made_for: Their granularity; ``"spans"`` for spans.
        granularity: What is wanted.

    Raises:
        ResultError: What is wanted is finer than what is there.
        ParameterError: Unknown granularity, or spans that leave the text.
    """
    # A special token without a name, as other libraries have them, must not look like a fragment.
    alone = tuple(
        replace(part, text=part.text or ("…" if part.special else ""), position=i, size=1)
        for i, part in enumerate(parts)
    )
    found = pieces(Prompt(text, alone), granularity)
    possible = _COARSER.get(made_for, _COARSER["spans"])
    if isinstance(granularity, str) and granularity not in possible:
        raise ResultError(
            f"These scores are of pieces by {made_for}; they can be summed by "
            f"{' or '.join(possible)} or by spans, not divided by {granularity}. Call "
            f"attribute(…, granularity={granularity!r})."
        )
    if not isinstance(granularity, str) and made_for != "token":
        _check_whole(parts, granularity, made_for)
    firsts = [group.position for group in found]
    return tuple(_joined(text, parts[i:j]) for i, j in pairwise([*firsts, len(parts)])), firsts


def _check_whole(parts: Sequence[Token], spans: Sequence[tuple[int, int]], made_for: str) -> None:
    """Refuse spans that begin or end within a piece of several tokens."""
    for part in parts:
        first = part.end - len(part.text.lstrip())
        last = part.start + len(part.text.rstrip())
        cuts = [edge for span in spans for edge in span if first < edge < last]
        if cuts and part.size > 1 and not part.special:
            raise ResultError(
                f"These scores are of pieces by {made_for}; a span cuts {part.text!r} at character "
                f"{cuts[0]}. Move it, or call attribute(…, granularity={list(spans)!r})."
            )


def _joined(text: str, parts: Sequence[Token]) -> Token:
    head, end = parts[0], parts[-1].end
    if len(parts) == 1:
        return head
    size = sum(part.size for part in parts)
    return replace(head, text=text[head.start : end], end=end, size=size)
