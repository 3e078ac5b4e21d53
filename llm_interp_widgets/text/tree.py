"""A text as a binary tree: token, word, phrase, sentence, line, turn, whole.

What comes in: a prompt's pieces and its text. What goes out: a ``TextTree`` whose leaves are the
features in order, in the layout of ``scipy.cluster.hierarchy`` (children before parents).

Guaranteed: every node covers neighbouring features; no sentence is joined to another before it is
complete itself, and likewise on every other level; inside of a level the splits are as balanced as
its units allow. Linear in the text, n log n in the features.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import regex

from llm_interp_widgets.text.boundaries import sentence_boundaries, word_boundaries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from jaxtyping import Float64, Int
    from numpy import ndarray

    from llm_interp_widgets.text.tokens import Token

LEVELS = ("token", "word", "phrase", "sentence", "line", "turn")

# A mark ends a phrase where a space or a quotation mark follows: not in 3,500 or 10:30. Those of
# scripts without spaces always do. An opening bracket begins one.
_PHRASE_CUT = regex.compile(
    r"""
    [,;:–—…)\]}»”]++ ["'’]*+ (?=\s)
    | [、，；：）」』】]++
    | (?<!\s) (?=\s+[(\[{«“])
    | (?=[（「『【])
    """,
    regex.VERBOSE,
)
_LINE_END = regex.compile(r"\s*\n")


@dataclass(frozen=True, slots=True)
class TextTree:
    """A binary tree over features 0 … n-1; its inner nodes are n … 2n-2, the last one the root.

    Attributes:
        children: Left and right child of each inner node; both have smaller numbers.
        spans: First and one past the last feature of every node, leaves included.
        levels: What each inner node is made of: an index into ``LEVELS``, so that 1 is a phrase
            of words and 0 is a word of tokens.
    """

    children: Int[ndarray, "inner 2"]
    spans: Int[ndarray, "node 2"]
    levels: Int[ndarray, " inner"]

    @property
    def features(self) -> int:
        """How many leaves."""
        return len(self.children) + 1

    @property
    def sizes(self) -> Int[ndarray, " node"]:
        """How many features each node holds."""
        sizes: ndarray = self.spans[:, 1] - self.spans[:, 0]
        return sizes

    @property
    def depths(self) -> Int[ndarray, " node"]:
        """How many splits lie above each node."""
        n = self.features
        depths = np.zeros(2 * n - 1, dtype=np.int64)
        for inner in range(n - 2, -1, -1):
            depths[self.children[inner]] = depths[n + inner] + 1
        return depths

    def linkage(self) -> Float64[ndarray, "inner 4"]:
        """Return it as SciPy and shap have it: two children, a height, a size.

        The height is the size over that of the root, as shap's text masker has it.
        """
        sizes = self.sizes[self.features :].astype(float)
        return np.column_stack([self.children, sizes / self.features, sizes])


def text_tree(pieces: Sequence[Token], text: str) -> TextTree:
    """Return the tree over the features among a prompt's pieces.

    Two neighbours are told apart by the strongest thing that ends between them: a chat turn (or
    a text of a pair), a line, a sentence, a phrase (at punctuation), a word, or nothing. Special
    pieces are no leaves.

    Args:
        pieces: Pieces of a prompt in order; at least one is not special.
        text: The prompt's text, in which the pieces' characters count.

    Returns:
        The tree; with one feature it has no inner node.

    Example:
        >>> from llm_interp_widgets.text.tokens import align
        >>> raw = [(0, 2), (2, 6), (6, 7), (7, 11), (11, 18)]
        >>> prompt = align("unable, cat sleeps", list(range(5)), raw, [False] * 5, names=[""] * 5)
        >>> text_tree(prompt.tokens, prompt.text).children.tolist()
        [[0, 1], [3, 4], [5, 2], [7, 6]]
    """
    features = [piece for piece in pieces if not piece.special]
    return _build(_gaps(features, text))


def phrase_boundaries(text: str) -> AbstractSet[int]:
    """Return where phrases end: at punctuation inside of a sentence.

    Args:
        text: Any text.

    Returns:
        Positions between phrases, without those where only sentences end.

    Example:
        >>> sorted(phrase_boundaries("Hot, cold (or 3,5) and so on"))
        [0, 4, 9, 18, 28]
    """
    return {0, len(text), *(match.end() for match in _PHRASE_CUT.finditer(text))}


def _gaps(features: Sequence[Token], text: str) -> Int[ndarray, " gap"]:
    """Return how strongly each feature is parted from the one after it: an index of LEVELS."""
    ends = (
        word_boundaries(text),
        phrase_boundaries(text),
        sentence_boundaries(text),
        {match.end() for match in _LINE_END.finditer(text)},
    )
    gaps = np.zeros(max(len(features) - 1, 0), dtype=np.int64)
    for i, (left, right) in enumerate(pairwise(features)):
        between = _between(left, right, text)
        for level, cuts in enumerate(ends, start=1):
            if any(position in cuts for position in between):
                gaps[i] = level
        if left.role != right.role:
            gaps[i] = len(LEVELS) - 1
    return gaps


def _between(left: Token, right: Token, text: str) -> range:
    """Return the positions from one feature's last visible character to the next one's first.

    Special pieces may lie in between, and spaces at either side: tokenizers that drop line breaks
    leave them at the head of the token that follows. What ends inside a blank feature ends after
    it.
    """
    last, first = text[left.start : left.end], text[right.start : right.end]
    start = min(left.start + max(1, len(last.rstrip())), left.end)
    stop = right.start + (len(first) - len(first.lstrip()) if first.strip() else 0)
    return range(start, max(start, stop) + 1)


def _build(gaps: Int[ndarray, " gap"]) -> TextTree:
    """Split at the strongest gap, of several the one nearest the middle, until none is left."""
    n = len(gaps) + 1
    nodes = [(0, n)]
    cuts: list[int] = []
    for low, high in nodes:  # grows while it is walked: parents first
        if high - low > 1:
            cut = _cut(gaps, low, high)
            cuts.append(cut)
            nodes += [(low, cut), (cut, high)]
    inner = [span for span in nodes if span[1] - span[0] > 1][::-1]  # children first
    number = {span: n + k for k, span in enumerate(inner)} | {(i, i + 1): i for i in range(n)}
    children = [
        (number[low, cut], number[cut, high])
        for (low, high), cut in zip(inner, cuts[::-1], strict=True)
    ]
    return TextTree(
        children=np.array(children, dtype=np.int64).reshape(n - 1, 2),
        spans=np.array([*((i, i + 1) for i in range(n)), *inner], dtype=np.int64),
        levels=gaps[np.array(cuts[::-1], dtype=np.int64) - 1],
    )


def _cut(gaps: Int[ndarray, " gap"], low: int, high: int) -> int:
    inside = gaps[low : high - 1]
    strongest = np.flatnonzero(inside == inside.max()) + low + 1
    return int(strongest[np.abs(2 * strongest - low - high).argmin()])
