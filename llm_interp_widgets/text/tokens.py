"""Token and Prompt: a text, the model's tokens for it, and exact character spans.

Guaranteed for every prompt: one token per model position, in order; spans never go back; and
the texts of all tokens that are not ``added`` join to the text, whatever the tokenizer dropped,
normalised or broke into bytes on its way.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from llm_interp_widgets.errors import EmptyPromptError
from llm_interp_widgets.text.boundaries import grapheme_boundaries

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Token:
    """One token, or several neighbours merged into one piece.

    Attributes:
        text: The characters it covers, exactly as in the prompt; the name of an added
            special token (``"[CLS]"``), which covers none.
        id: Vocabulary id (of the first token of a merged piece).
        start: First character of the prompt.
        end: One past the last character of the prompt.
        special: Special token or chat markup: shown, but never switched off.
        role: Chat role of the turn it belongs to; ``"first"`` or ``"second"`` in a pair.
        position: First position in the model's input. Position, never text, is the key.
        size: Number of model positions it covers.
    """

    text: str
    id: int
    start: int
    end: int
    special: bool = False
    role: str | None = None
    position: int = 0
    size: int = 1

    @property
    def added(self) -> bool:
        """Whether the tokenizer added it: a special token that covers none of the text."""
        return self.special and self.start == self.end and bool(self.text)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text and its tokens, one per model position, in order.

    Attributes:
        text: The text; of a pair, both texts with a line break between them.
        tokens: Its tokens.
        segments: Which text of a pair each token belongs to, as the tokenizer numbers them;
            ``None`` where all are of one type.
    """

    text: str
    tokens: tuple[Token, ...]
    segments: tuple[int, ...] | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """Vocabulary ids, one per model position."""
        return tuple(token.id for token in self.tokens)


def align(
    text: str,
    ids: Sequence[int],
    offsets: Sequence[tuple[int, int]],
    special: Sequence[bool],
    *,
    names: Sequence[str],
    roles: Sequence[str | None] | None = None,
) -> Prompt:
    """Turn a tokenizer's raw offsets into exact spans.

    A character that no token covers (stripped space, dropped control character) goes to the
    following token, or to the preceding one where it continues that one's last character (a
    combining mark) or nothing follows. Of several tokens that share characters (byte fragments),
    the first has them all and the others have an empty span.

    Args:
        text: The prompt.
        ids: Vocabulary ids, one per model position.
        offsets: Raw character spans, one per id; ``(0, 0)`` for added special tokens.
        special: Whether each id is a special token.
        names: What an added special token is called, one per id.
        roles: Chat role of each token.

    Returns:
        The prompt with one token per id.

    Raises:
        EmptyPromptError: No token covers any of the text.

    Example:
        >>> ids, raw = (101, 7592, 2088, 102), ((0, 0), (0, 2), (3, 5), (0, 0))
        >>> names, special = ("[CLS]", "hi", "yo", "[SEP]"), (True, False, False, True)
        >>> [t.text for t in align("hi yo ", ids, raw, special, names=names).tokens]
        ['[CLS]', 'hi', ' yo ', '[SEP]']
    """
    added = [mark and start >= end for mark, (start, end) in zip(special, offsets, strict=True)]
    spans = _exact_spans(text, offsets, special, added)
    tokens = tuple(
        Token(
            text=names[i] if added[i] else text[start:end],
            id=ids[i],
            start=start,
            end=end,
            special=special[i],
            role=roles[i] if roles else None,
            position=i,
        )
        for i, (start, end) in enumerate(spans)
    )
    return Prompt(text, tokens)


def _exact_spans(
    text: str,
    offsets: Sequence[tuple[int, int]],
    special: Sequence[bool],
    added: Sequence[bool],
) -> list[tuple[int, int]]:
    covering = [i for i, is_added in enumerate(added) if not is_added]
    if text and not covering:
        raise EmptyPromptError(
            f"The tokenizer keeps no character of the prompt {text[:40]!r}: the model would see "
            "only its own special tokens. Give a prompt with at least one word."
        )
    clusters = grapheme_boundaries(text)
    run_ends: dict[int, int] = {}
    cursor, head = 0, covering[0] if covering else 0
    for i, following in zip_longest(covering, covering[1:]):
        start, end = offsets[i]
        shares_a_character = start < min(end, cursor) and special[i] == special[head]
        if start < end and not shares_a_character:
            head = i
        cursor = max(cursor, min(end, len(text)))
        gap = len(text) if following is None else offsets[following][0]
        while cursor < gap and cursor not in clusters and not special[i]:
            cursor += 1
        run_ends[head] = len(text) if following is None else cursor
    spans, cursor = [], 0
    for i in range(len(offsets)):
        end = run_ends.get(i, cursor)
        spans.append((cursor, end))
        cursor = end
    return spans
