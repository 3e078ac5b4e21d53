"""Coarser pieces: scores of tokens summed to words, sentences, turns or spans.

What comes in: the pieces that scores were computed for, and a granularity. What goes out: the
coarser pieces, and which of the finer ones each is made of. Guarantees: every finer piece is
part of exactly one coarser piece; the coarser ones are those that attribution in that
granularity would have had.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from llm_interp_widgets.errors import ResultError
from llm_interp_widgets.text.features import pieces
from llm_interp_widgets.text.tokens import Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool
    from numpy import ndarray

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
) -> tuple[tuple[Token, ...], Bool[ndarray, "part group"]]:
    """Return the coarser pieces and which parts each is made of.

    Args:
        text: The prompt's text.
        parts: Pieces that are there.
        made_for: Their granularity; ``"spans"`` for spans.
        granularity: What is wanted.

    Raises:
        ResultError: What is wanted is finer than what is there.
        ParameterError: Unknown granularity, or spans that leave the text.
    """
    alone = tuple(replace(part, position=i, size=1) for i, part in enumerate(parts))
    found = pieces(Prompt(text, alone), granularity)
    possible = _COARSER.get(made_for, _COARSER["spans"])
    if isinstance(granularity, str) and granularity not in possible:
        raise ResultError(
            f"These scores are of pieces by {made_for}; they can be summed by "
            f"{' or '.join(possible)} or by spans, not divided by {granularity}. Call "
            f"attribute(…, granularity={granularity!r})."
        )
    made_of = np.zeros((len(parts), len(found)), dtype=bool)
    groups = []
    for g, group in enumerate(found):
        inside = slice(group.position, group.position + group.size)
        made_of[inside, g] = True
        size = sum(part.size for part in parts[inside])
        groups.append(replace(group, position=parts[group.position].position, size=size))
    return tuple(groups), made_of
