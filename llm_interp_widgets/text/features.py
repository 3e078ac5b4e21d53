"""Features: what is switched on and off together, made of whole tokens.

Guaranteed for every prompt and granularity: the pieces cover all model positions, in order, each
exactly once; none mixes special and ordinary tokens, or two chat roles; none cuts a character
that a reader sees as one (an emoji of nine byte tokens is one piece). A piece is a *feature*
exactly if it is not special.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from llm_interp_widgets.errors import EmptyPromptError, ParameterError, nearest
from llm_interp_widgets.text.boundaries import (
    grapheme_boundaries,
    sentence_boundaries,
    word_boundaries,
)
from llm_interp_widgets.text.tokens import Token

if TYPE_CHECKING:
    from llm_interp_widgets.text.tokens import Prompt

Granularity: TypeAlias = str | Sequence[tuple[int, int]]

GRANULARITIES = ("token", "word", "sentence", "turn")


def pieces(prompt: Prompt, granularity: Granularity = "token") -> tuple[Token, ...]:
    """Merge a prompt's tokens into the pieces that are shown and switched as one.

    Special tokens and chat markup stay single under every granularity.

    Args:
        prompt: The prompt.
        granularity: ``"token"``, ``"word"``, ``"sentence"``, ``"turn"`` (one piece a chat turn or
            text of a pair; a prompt without turns is one piece), or character spans
            ``(start, end)`` of the prompt's text, each a feature; what lies between them makes
            features of its own. A token belongs to the first span that holds one of its
            characters other than a space.

    Returns:
        Pieces that cover all model positions in order.

    Raises:
        ParameterError: Unknown granularity; spans that are empty, overlap, leave the text or hold
            no token.

    Example:
        >>> from llm_interp_widgets.text.tokens import align
        >>> raw = [(0, 2), (2, 6), (6, 10)]
        >>> prompt = align("unable cat", [1, 2, 3], raw, [False] * 3, names=[""] * 3)
        >>> [piece.text for piece in pieces(prompt, "word")]
        ['unable', ' cat']
    """
    atoms = _merge(prompt, _readable(prompt))
    if granularity == "token":
        return atoms
    if isinstance(granularity, str):
        groups = _named_groups(prompt.text, atoms, granularity)
    else:
        groups = _span_groups(atoms, _checked_spans(prompt.text, granularity))
    keep_apart = [
        i == 0
        or atom.special
        or atoms[i - 1].special
        or atom.role != atoms[i - 1].role
        or groups[i] != groups[i - 1]
        for i, atom in enumerate(atoms)
    ]
    starts = [False] * len(prompt.tokens)
    for atom, is_start in zip(atoms, keep_apart, strict=True):
        starts[atom.position] = is_start
    return _merge(prompt, starts)


def require_features(pieces: Iterable[Token]) -> tuple[Token, ...]:
    """Return the features among pieces: the border every method's input passes.

    Args:
        pieces: Pieces of a prompt.

    Returns:
        The pieces that are not special, in order; at least one.

    Raises:
        EmptyPromptError: There is none.
    """
    found = tuple(piece for piece in pieces if not piece.special)
    if not found:
        raise EmptyPromptError(
            "The prompt holds only special tokens and chat markup, which are never switched off. "
            "Give at least one word of text."
        )
    return found


def _readable(prompt: Prompt) -> list[bool]:
    """Return which tokens may begin a piece so that no visible character is cut."""
    clusters = grapheme_boundaries(prompt.text)
    starts, first = [True] * len(prompt.tokens), 0
    for i, (last, token) in enumerate(pairwise(prompt.tokens), start=1):
        if (last.special, last.role) == (token.special, token.role):
            is_fragment = token.start == token.end and not token.text
            is_blank_so_far = prompt.tokens[first].start == last.end and not last.special
            starts[i] = not (is_fragment or is_blank_so_far or token.start not in clusters)
        first = i if starts[i] else first
    return starts


def _merge(prompt: Prompt, starts: Sequence[bool]) -> tuple[Token, ...]:
    firsts = [i for i, is_start in enumerate(starts) if is_start]
    return tuple(_merged(prompt, i, j) for i, j in pairwise([*firsts, len(prompt.tokens)]))


def _merged(prompt: Prompt, first: int, stop: int) -> Token:
    head, end = prompt.tokens[first], prompt.tokens[stop - 1].end
    if stop - first == 1:
        return head
    return Token(
        text=prompt.text[head.start : end],
        id=head.id,
        start=head.start,
        end=end,
        special=head.special,
        role=head.role,
        position=head.position,
        size=stop - first,
    )


def _named_groups(text: str, atoms: Sequence[Token], granularity: str) -> list[int]:
    if granularity == "turn":
        return [0] * len(atoms)
    if granularity not in GRANULARITIES:
        raise ParameterError(
            f"Unknown granularity {granularity!r}. {nearest(granularity, GRANULARITIES)} "
            "Or give character spans: [(0, 4), (5, 9)]."
        )
    boundaries = (word_boundaries if granularity == "word" else sentence_boundaries)(text)
    groups, group = [], 0
    for atom in atoms:
        # a token may begin with the spaces or line breaks that end what was before it
        group += any(at in boundaries for at in range(atom.start, _first_visible(atom) + 1))
        groups.append(group)
    return groups


def _checked_spans(text: str, spans: object) -> list[tuple[int, int]]:
    if not isinstance(spans, Iterable):
        raise ParameterError(
            f"{spans!r} is no granularity: give one of {', '.join(GRANULARITIES)}, or character "
            "spans, as in [(0, 4), (5, 9)]."
        )
    checked = []
    for span in spans:
        try:
            start, end = map(operator.index, span)
        except (TypeError, ValueError):
            raise ParameterError(
                f"{span!r} is no character span: give pairs of integers, as in [(0, 4), (5, 9)], "
                f"or one of {', '.join(GRANULARITIES)}."
            ) from None
        if not 0 <= start < end <= len(text):
            problem = "is empty" if start >= end else "leaves the text"
            raise ParameterError(
                f"Span ({start}, {end}) {problem}: spans need 0 ≤ start < end ≤ {len(text)}, "
                "the length of the prompt's text."
            )
        checked.append((start, end))
    checked.sort()
    if not checked:
        raise ParameterError("No span is given: name at least one, as in [(0, 4)].")
    for (start, end), (following, last) in pairwise(checked):
        if following < end:
            raise ParameterError(
                f"Spans ({start}, {end}) and ({following}, {last}) overlap: "
                "a character can belong to one feature only."
            )
    return checked


def _span_groups(atoms: Sequence[Token], spans: Sequence[tuple[int, int]]) -> list[int]:
    """Return a group per atom: even between spans, odd inside the k-th one (2 k + 1)."""
    groups, k = [], 0
    for atom in atoms:
        while k < len(spans) and spans[k][1] <= _first_visible(atom):
            k += 1
        inside = (
            k < len(spans)
            and spans[k][0] < atom.end
            and _is_visible(atom, spans[k])
            and not atom.special
        )
        groups.append(2 * k + inside)
    for k, (start, end) in enumerate(spans):
        if 2 * k + 1 not in groups:
            holders = [a.text for a in atoms if a.start < end and start < a.end]
            raise ParameterError(
                f"Span ({start}, {end}) holds no token of its own: its characters belong to "
                f"{', '.join(map(repr, holders))}. Features are made of whole tokens that are not "
                "special: widen the span, or drop it."
            )
    return groups


def _first_visible(atom: Token) -> int:
    stripped = atom.text.lstrip()
    return atom.end - len(stripped) if stripped else atom.start


def _is_visible(atom: Token, span: tuple[int, int]) -> bool:
    if not atom.text.strip():
        return span[0] <= atom.start < span[1]
    low, high = max(atom.start, span[0]) - atom.start, min(atom.end, span[1]) - atom.start
    return bool(atom.text[low:high].strip())
