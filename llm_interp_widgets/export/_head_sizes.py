"""How fine heads can be kept within so many characters.

What comes in: pieces, which of them are wanted most, and the room. What goes out: parts that fit.

Guarantees: the finest corrections with which all heads fit, as far as sizes can be foreseen from
some rows; what room is left lowers the sum of errors; heads are left out only where even the
coarsest do not fit.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from llm_interp_widgets.export._head_parts import (
    JSON,
    Basis,
    corrections,
    encode,
    modulo,
    on_page,
    popular,
    side_by_side,
    written,
)
from llm_interp_widgets.export._head_rules import Exact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int
    from numpy import ndarray

    from llm_interp_widgets.export._head_parts import Part
    from llm_interp_widgets.export._head_rules import Piece

FINE = 254  # 256 steps must be wider than all weights: a correction is kept modulo 256
LEVELS = (FINE, 214, 180, 151, 127, 107, 90, 76, 64, 54, 45, 38, 32, 27, 23, 19, 16)
# Root mean square errors of scores that are tried; None is to say only how much each key gets.
OPTIONS: tuple[float | None, ...] = (None, 0.8, 0.4, 0.2, 0.1, 0.05)
_HOPELESS = 1.5  # rough scores save no more than a third of sparse tables
_MARGIN = 1.03  # sizes are foreseen to 3 %
_SAMPLE = 48  # rows that sizes are estimated on


class Fineness:
    """Finds how rough scores and how fine corrections may be."""

    def __init__(self, pieces: Sequence[Piece], pinned: Sequence[bool], left: int) -> None:
        self.pieces, self.pinned, self.left = pieces, pinned, left
        self._known: dict[int, Float[ndarray, " piece"]] = {}

    def fit(self) -> tuple[int, list[Part | None]]:
        """Return levels and parts."""
        if self._sparse(FINE).sum() <= _HOPELESS * self.left:
            guesses = side_by_side(lambda piece: _guess(piece, FINE, OPTIONS), self.pieces)
            sizes, errors = (np.array(one) for one in zip(*guesses, strict=True))
            found = self._spend(sizes, errors)
            if found is not None:
                return FINE, [*found]
        return self._coarsen()

    def _sparse(self, levels: int) -> Float[ndarray, " piece"]:
        """Estimate sizes of sparse tables."""
        if levels not in self._known:
            sizes = side_by_side(lambda p: _guess(p, levels, [None])[0][0], self.pieces)
            self._known[levels] = np.array(sizes)
        return self._known[levels]

    def _spend(
        self, sizes: Float[ndarray, "piece option"], errors: Float[ndarray, "piece option"]
    ) -> list[Part] | None:
        """Give each piece the scores that lower the sum of errors most for their bytes."""
        made: dict[tuple[int, int], Part] = {}
        left = float(self.left)
        while True:
            chosen = _allocated(sizes, errors, left)
            missing = [pair for pair in enumerate(chosen.tolist()) if pair not in made]
            parts = side_by_side(
                lambda pair: encode(self.pieces[pair[0]], OPTIONS[pair[1]], FINE), missing
            )
            made |= zip(missing, parts, strict=True)
            for number, option in enumerate(chosen.tolist()):
                sizes[number, option] = on_page(made[number, option].data)
            found = [made[pair] for pair in enumerate(chosen.tolist())]
            over = sum(on_page(part.data) for part in found) / self.left
            if over <= 1:
                return found
            if (chosen == sizes.argmin(1)).all():
                return None
            left *= 0.995 / over

    def _coarsen(self) -> tuple[int, list[Part | None]]:
        """Take the finest steps with which all heads fit; else leave heads out."""
        ratio, at = _MARGIN, 0
        while True:
            room = self.left / ratio
            at = bisect_left(LEVELS, -room, at, key=lambda n: -self._sparse(n).sum())
            if at == len(LEVELS):
                return LEVELS[-1], self._chosen(LEVELS[-1])
            sparsely = partial(encode, noise=None, levels=LEVELS[at])
            found: list[Part | None] = [*side_by_side(sparsely, self.pieces)]
            total = sum(on_page(part.data) for part in found if part)
            if total <= self.left:
                return LEVELS[at], found
            ratio = max(ratio, total / self._sparse(LEVELS[at]).sum())
            at += 1

    def _chosen(self, levels: int) -> list[Part | None]:
        """Return what fits, those that were asked for first, then as many as possible."""
        sizes, room = self._sparse(levels), self.left
        found: list[Part | None] = [None] * len(self.pieces)
        for number in sorted(range(len(sizes)), key=lambda n: (not self.pinned[n], sizes[n])):
            if sizes[number] * 0.9 > room:
                continue
            part = encode(self.pieces[number], None, levels)
            if on_page(part.data) <= room:
                room -= on_page(part.data)
                found[number] = part
        return found


def _guess(
    piece: Piece, levels: int, options: Sequence[float | None]
) -> tuple[Float[ndarray, " option"], Float[ndarray, " option"]]:
    """Estimate characters and the mean error from some rows."""
    exact = Exact(piece)
    basis = None if piece.whole or len(options) == 1 else Basis(exact)
    rows = piece.some(_SAMPLE)
    low, high = piece.rule.columns(rows)
    cells = piece.rule.cells(rows, low, high)
    count = max(1, int(cells.sum()))
    weights = [exact.weights(h, rows, low, high) for h in range(piece.heads)]
    sizes, errors = np.full(len(options), np.inf), np.zeros(len(options))
    for number, noise in enumerate(options):
        if noise is None:
            rough = popular(exact, levels)
        elif basis:
            rough = basis.rounded(noise)
        else:
            break
        bits = 0.0
        for head, exactly in enumerate(weights):
            guess = piece.rule.softmax(
                rough.scores(head, rows, low, high), piece.head + head, rows, low
            )
            said, steps = corrections(exactly, guess, levels)
            bits += _bits(written(np.flatnonzero(said[cells])))
            bits += _bits(modulo(steps[said]))
            errors[number] += np.abs(exactly - guess)[~said].sum() / count
        bits *= piece.rule.starts[-1] / count
        step = max(1, piece.rule.keys // 256)
        for x in (*rough.q[:, ::step], rough.k[::step]):
            bits += step * _bits(x) + 100 * x.shape[1]
        sizes[number] = bits / 8 * 4 / 3 + JSON
    return sizes, errors


def _allocated(
    sizes: Float[ndarray, "piece option"], errors: Float[ndarray, "piece option"], left: float
) -> Int[ndarray, " piece"]:
    """Return options with the smallest sum of errors that fit, by bisection on a price."""
    at = np.arange(len(sizes))
    low, high = -30.0, 30.0
    best = sizes.argmin(1)
    scale = sizes.min(1).mean()
    for _ in range(60):
        price = (low + high) / 2
        chosen = (sizes + np.exp(price) * errors * scale).argmin(1)
        if sizes[at, chosen].sum() <= left:
            best, low = chosen, price
        else:
            high = price
    return np.asarray(best)


def _bits(x: Int[ndarray, "number ..."]) -> float:
    """Return the entropy of all numbers together, each dimension with a code of its own."""
    if not x.size:
        return 0.0
    x = x.reshape(len(x), -1).astype(np.int64)
    x -= x.min(0)
    width = x.max(0) + 1
    counts = np.bincount((x + np.cumsum(width) - width).ravel())
    counts = counts[counts > 0]
    return float(x.size * np.log2(len(x)) - (counts * np.log2(counts)).sum())
