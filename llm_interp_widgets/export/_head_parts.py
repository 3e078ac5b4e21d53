"""One part of a page's heads: written, and read again as the browser reads it.

What comes in: a piece, and how fine. What goes out: its bytes (``wire.KeptPart``); and weights
from such bytes.

Guarantees: deflate that a browser opens by itself; with corrections, every weight is right to half
a step of 1/levels, rounding aside.
"""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from llm_interp_widgets.export._head_rules import CELLS, Exact, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from jaxtyping import Bool, Float, Int, UInt8
    from numpy import ndarray

    from llm_interp_widgets import wire
    from llm_interp_widgets.export._head_rules import Piece, Rule

T = TypeVar("T")
R = TypeVar("R")
EXACT = 65535
_WORTH = 2.0  # a dimension is kept if it adds more to the scores' variance than its own noise …
_DEAD = 0.42  # … and a number is rounded up from 1 - this: zeros are cheap
_ROUNDS = 6
_NONE = 1e-6
_MOST = 2.0  # times its rough weight a cell may get of what is left of its row
_POLLED = 64  # rows that say how much each key gets …
_PRIOR = 0.3  # … as if there were so many that say: as much as others
_GRAIN = 0.3  # rounding of its log
JSON = 160  # characters a buffer takes besides its bytes


def on_page(data: bytes) -> int:
    return 4 * -(-len(data) // 3) + JSON


@dataclass(frozen=True, slots=True)
class Part:
    """One piece as bytes."""

    rank: int
    data: bytes


def tables(pieces: Sequence[Piece], left: int) -> list[Part | None] | None:
    """Return all weights in steps of 1/65535; ``None`` if they do not fit."""
    cells = sum(int(p.rule.starts[-1]) * p.heads for p in pieces)
    if cells > left:  # even at one character a weight
        return None
    found: list[Part | None] = []
    for piece in pieces:
        exact, whole = Exact(piece), []
        for head in range(piece.heads):
            for rows in piece.blocks():
                low, high = piece.rule.columns(rows)
                weights = exact.weights(head, rows, low, high)
                kept = weights[piece.rule.cells(rows, low, high)]
                whole.append(np.rint(kept * EXACT).clip(0, EXACT).astype(np.uint16))
        planes = np.concatenate(whole).astype("<u2").view(np.uint8)
        part = Part(0, _deflate([planes[1::2], planes[::2]]))
        left -= on_page(part.data)
        if left < 0:
            return None
        found.append(part)
    return found


@dataclass(frozen=True, eq=False, slots=True)
class Rough:
    """Whole numbers whose product is nearly the scores: σ · q · k, summed over dimensions."""

    sigma: Float[ndarray, " dim"]
    q: Int[ndarray, "head query dim"]
    k: Int[ndarray, "key dim"]

    def scores(
        self, head: int, rows: Int[ndarray, " row"], low: int, high: int
    ) -> Float[ndarray, "row column"]:
        """Return some of the scores."""
        if not len(self.sigma):
            return np.zeros((len(rows), high - low), np.float32)
        q = self.q[head, rows].astype(np.float32) * self.sigma
        found: Float[ndarray, "row column"] = q @ self.k[low:high].astype(np.float32).T
        return found

    def sections(self) -> list[UInt8[ndarray, " byte"]]:
        """Return dimension after dimension, high bytes only where there are any."""
        found = []
        for dim in range(len(self.sigma)):
            both = np.concatenate([self.q[..., dim].ravel(), self.k[:, dim]])
            found += list(both.astype("<i2").view(np.uint8).reshape(-1, 2).T[: 1 + _wide(both)])
        return found


def _wide(numbers: Int[ndarray, " number"]) -> bool:
    return bool(len(numbers)) and (numbers.min() < -128 or numbers.max() > 127)


def popular(exact: Exact, levels: int) -> Rough:
    """Return scores that only say how much each key gets on the whole, a dimension a head.

    The log of what it gets from some queries over what it would get if all scores were 0; what
    will be corrected anyway counts as one step.
    """
    piece = exact.piece
    rows = piece.some(_POLLED)
    low, high = piece.rule.columns(rows)
    cells = piece.rule.cells(rows, low, high)[:, : high - low]
    many = cells.sum(1, keepdims=True)
    k = np.zeros((piece.rule.keys, piece.heads), np.int16)
    zeros = np.zeros((len(rows), high - low), np.float32)
    for head in range(piece.heads):
        weights = exact.weights(head, rows, low, high)[:, : high - low]
        even = piece.rule.softmax(zeros, piece.head + head, rows, low)[:, : high - low]
        gets, would = ((w * many).sum(0) for w in (np.minimum(weights, 1 / levels), even))
        ratio = np.log((gets + _PRIOR) / (would + _PRIOR))
        k[low:high, head] = np.rint(ratio / _GRAIN)
    q = np.repeat(np.eye(piece.heads, dtype=np.int16)[:, None], piece.queries, 1)
    return Rough(np.full(piece.heads, _GRAIN, np.float32), q, k)


class Basis:
    """Queries and keys of a piece, turned so that dimensions are independent and balanced.

    With E[qq'] = S and E[kk'] = T, the singular value decomposition √S √T = U Λ V' gives
    q √S⁻¹ U √Λ and k √T⁻¹ V √Λ: the same products, and Λ is the mean square of both. An error of
    one side counts as much as the other side is large, so the same step serves both, √(1/λ) of it:
    every dimension then adds the same noise to the scores (reverse water-filling), and those with
    less to say are dropped.
    """

    def __init__(self, exact: Exact) -> None:
        if exact.q is None or exact.k is None:
            raise ValueError("there are weights only")
        q, k, rule = exact.q, exact.k, exact.piece.rule
        if rule.softcap is None and rule.sinks is None:
            k = k - k.mean(0)  # adds the same to all scores of a query
        heads, queries, d = q.shape
        flat = q.reshape(-1, d)
        root_q, back_q = _root(flat)
        root_k, back_k = _root(k)
        u, self.energy, v = np.linalg.svd(root_q @ root_k)
        self.q = (flat @ (back_q @ u * np.sqrt(self.energy)).astype(np.float32)).reshape(
            heads, queries, d
        )
        self.k = k @ (back_k @ v.T * np.sqrt(self.energy)).astype(np.float32)

    def rounded(self, noise: float) -> Rough:
        """Return numbers that give scores with so much error: the root of the mean square."""
        share = noise**2 / len(self.energy)
        some = self.energy**2 > _WORTH * share
        step = np.sqrt(6 * share / self.energy[some]).astype(np.float32)
        q, k = (_round(x[..., some] / step) for x in (self.q, self.k))
        return Rough(step**2, q, k)


def _root(x: Float[ndarray, "token d"]) -> tuple[Float[ndarray, "d d"], Float[ndarray, "d d"]]:
    """Return the root of the mean of xx', and its inverse."""
    x = x.astype(np.float64)
    square = x.T @ x / max(1, len(x))
    values, vectors = np.linalg.eigh(square)
    root = np.sqrt(np.maximum(values, max(values.max() * 1e-12, 1e-30)))
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T


def _round(x: Float[ndarray, "*token dim"]) -> Int[ndarray, "*token dim"]:
    near = np.abs(x) < 1  # only these may become zero
    sign = np.where(x < 0, -1, 1).astype(np.int16)
    up = np.where(near, np.abs(x) + np.float32(_DEAD), np.abs(x) + np.float32(0.5))
    found: Int[ndarray, "*token dim"] = np.minimum(up, 32767).astype(np.int16) * sign
    return found


def corrections(
    weights: Float[ndarray, "row column"],
    rough: Float[ndarray, "row column"],
    levels: int,
) -> tuple[Bool[ndarray, "row column"], Float[ndarray, "row column"]]:
    """Return which cells are corrected, and by how many steps.

    What is left of a row's weight is shared out among the others as the rough scores say; that
    may put one off that was right before, so look again.
    """
    step = np.float32(1 / levels)
    steps = (weights - rough) * np.float32(levels)
    said = steps > np.float32(0.5)  # too much somewhere is often what is missing elsewhere
    steps = np.rint(steps)
    rows: Any = slice(None)
    for turn in range(_ROUNDS):
        here, guess = said[rows], rough[rows]
        value = np.where(here, guess + steps[rows] * step, 0)
        more = np.abs(_shared(guess, value, here) - weights[rows]) > step / 2
        more &= ~here
        bad = more.any(1)
        if not bad.any():
            break
        here |= more | (guess > 0 if turn == _ROUNDS - 1 else False)
        rows = np.arange(len(said))[rows][bad]
        said[rows] = here[bad]
    return said, steps


def _shared(
    rough: Float[ndarray, "row column"],
    value: Float[ndarray, "row column"],
    said: Bool[ndarray, "row column"],
) -> Float[ndarray, "row column"]:
    """Return the rough weights, times what makes rows with the corrected ones sum to 1."""
    total = rough.sum(1)
    rest = np.maximum(total - value.sum(1), 0)
    base = total - np.einsum("ij,ij->i", said, rough)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(base > _NONE, np.minimum(rest / base, _MOST), 0).astype(np.float32)
    return rough * factor[:, None]


def modulo(steps: Float[ndarray, " said"]) -> UInt8[ndarray, " said"]:
    return steps.astype(np.int16).astype(np.uint8)


def written(at: Int[ndarray, " said"]) -> UInt8[ndarray, " byte"]:
    """Return the distances between cells, less 1; 255 means: and more."""
    gaps = np.diff(at, prepend=-1) - 1
    more = gaps // 255
    found = np.full(len(gaps) + int(more.sum()), 255, np.uint8)
    found[np.cumsum(more + 1) - 1] = gaps % 255
    return found


def _deflate(sections: Iterable[UInt8[ndarray, " byte"]]) -> bytes:
    """Compress; what has its own statistics gets its own code.

    Nothing but runs repeats here: looking for more takes ten times as long for 1 %.
    """
    made = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
    found, pending = [], 0
    for section in sections:
        found.append(made.compress(section.tobytes()))
        pending += len(section)
        if pending > 1 << 12:  # a code of its own takes some sixty bytes
            found.append(made.flush(zlib.Z_BLOCK))
            pending = 0
    return b"".join([*found, made.flush()])


def rough_scores(exact: Exact, noise: float | None, levels: int) -> Rough:
    """Return rough scores: with so much error; or only how much each key gets, at ``None``."""
    return popular(exact, levels) if noise is None else Basis(exact).rounded(noise)


def encode(piece: Piece, noise: float | None, levels: int) -> Part:
    """Write a piece.

    Args:
        piece: What to write.
        noise: See ``rough_scores``.
        levels: A correction is a step of 1/levels.
    """
    exact = Exact(piece)
    rough = rough_scores(exact, noise, levels)
    gaps, steps = [], []
    for head in range(piece.heads):
        at, by = [], []
        for rows in piece.blocks():
            low, high = piece.rule.columns(rows)
            guess = piece.rule.softmax(
                rough.scores(head, rows, low, high), piece.head + head, rows, low
            )
            said, step = corrections(exact.weights(head, rows, low, high), guess, levels)
            at.append(piece.rule.places(said, rows, low))
            by.append(modulo(step[said]))
        gaps.append(written(np.concatenate(at)))
        steps.append(np.concatenate(by))
    sections = rough.sections()
    wide = [_wide(rough.q[..., dim]) or _wide(rough.k[:, dim]) for dim in range(len(rough.sigma))]
    counts = np.array([[len(g), len(s)] for g, s in zip(gaps, steps, strict=True)], "<u4")
    head_of = [
        rough.sigma.astype("<f4").view(np.uint8),
        counts.ravel().view(np.uint8),
        np.array(wide, np.uint8),
    ]
    data = _deflate([np.concatenate(head_of), *sections, *gaps, *steps])
    return Part(len(rough.sigma), data)


class Opened:
    """A part, decompressed: what ``local.ts`` does, for checks."""

    def __init__(self, kept: wire.KeptHeads, part: wire.KeptPart, rule: Rule) -> None:
        self.kept, self.part, self.rule = kept, part, rule
        self.starts = self.rule.starts
        raw = Reader(zlib.decompress(part["data"]))
        heads, queries, keys = part["heads"], kept["queries"], kept["keys"]
        if kept["encoding"] == "tables":
            planes = raw.take("u1", 2 * heads * int(self.starts[-1])).reshape(2, heads, -1)
            self.table = planes[0] * np.float32(256) + planes[1]
            return
        sigma = raw.take("<f4", part["rank"])
        counts = raw.take("<u4", 2 * heads).reshape(heads, 2)
        wide = raw.take("u1", part["rank"])
        both = np.zeros((part["rank"], heads * queries + keys), np.int16)
        for dim in range(part["rank"]):
            low = raw.take("i1" if not wide[dim] else "u1", both.shape[1])
            both[dim] = low
            if wide[dim]:
                both[dim] += raw.take("i1", both.shape[1]).astype(np.int16) * 256
        cut = heads * queries
        q = np.moveaxis(both[:, :cut].reshape(-1, heads, queries), 0, -1)
        self.rough = Rough(sigma, q, both[:, cut:].T)
        self.said = []
        for gaps, _ in counts:
            written = raw.take("u1", int(gaps)).astype(np.int64)
            ends = written < 255
            self.said.append(np.cumsum(written)[ends] + np.arange(int(ends.sum())))
        self.steps = [raw.take("u1", int(steps)) for _, steps in counts]

    def weights(self, head: int, rows: Int[ndarray, " row"]) -> Float[ndarray, "row key"]:
        found = np.zeros((len(rows), self.kept["keys"]), np.float32)
        step = max(1, CELLS // max(1, self.kept["keys"]))
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            low, high = self.rule.columns(some)
            block = self._block(head, some, low, high)
            found[start : start + step, low:high] = block[:, : high - low]
        return found

    def _block(
        self, head: int, rows: Int[ndarray, " row"], low: int, high: int
    ) -> Float[ndarray, "row column"]:
        if self.kept["encoding"] == "tables":
            cells = self.rule.cells(rows, low, high)
            at = np.concatenate([np.arange(self.starts[r], self.starts[r + 1]) for r in rows])
            block = np.zeros(cells.shape, np.float32)
            block[cells] = self.table[head, at] / np.float32(EXACT)
            return block
        step = np.float32(1 / self.kept["levels"])
        scores = self.rough.scores(head, rows, low, high)
        rough = self.rule.softmax(scores, self.part["head"] + head, rows, low)
        at = self.said[head]
        low_at, past = (np.searchsorted(at, self.starts[rows + n]) for n in (0, 1))
        counts = past - low_at
        which = np.arange(counts.sum()) + np.repeat(low_at - np.cumsum(counts) + counts, counts)
        row = np.repeat(np.arange(len(rows)), counts)
        column = at[which] - self.starts[rows[row]]
        sink = column == (self.rule.stop - self.rule.first)[rows[row]]
        column = np.where(sink, high - low, column + self.rule.first[rows[row]] - low)
        said = np.zeros(rough.shape, bool)
        said[row, column] = True
        value = np.zeros(rough.shape, np.float32)
        value[row, column] = rough[row, column] + self.steps[head][which] * step
        value[value > 1 + step] -= 256 * step
        return np.where(said, value.clip(0, 1), _shared(rough, value, said))


def side_by_side(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Do the same work for every item, on all cores: most of it lets others compute meanwhile."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return [*pool.map(work, items)]
