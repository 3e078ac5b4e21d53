"""Heads to be kept: what decides their weights, and the weights, computed where they are needed.

What comes in: a source of heads. What goes out: the rule of each layer, each different one once;
and pieces, the query heads that share a key head, with exact weights of any of their rows.

Guarantees: the very same softmax for exact and for rough scores, and for what was written and
read again; a row that sees nothing has weights of zero.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Bool, Float, Int, UInt32
    from numpy import ndarray

    from llm_interp_widgets import wire

CELLS = 1 << 16  # weights at once: a block that fits a cache
_REMEMBERED = 1 << 22  # cells of a mask that is not made anew for every head


class RuleSource(Protocol):
    """What decides a layer's weights besides queries and keys.

    Attributes:
        scale: Of the scores.
        softcap: Scores become cap · tanh(score / cap), or ``None``.
        first: The first key each query sees.
        stop: One past the last.
        seen: Which keys each query sees, where there are holes; or ``None``.
        bias: Added to the scores: by distance (heads or 1, queries + keys - 1), at key - query +
            queries - 1, or (heads or 1, query, key); or ``None``.
        sinks: (head,) scores of nothing; or ``None``.
        whole: There are weights only.
    """

    @property
    def scale(self) -> float: ...
    @property
    def softcap(self) -> float | None: ...
    @property
    def first(self) -> UInt32[ndarray, " query"]: ...
    @property
    def stop(self) -> UInt32[ndarray, " query"]: ...
    @property
    def seen(self) -> Bool[ndarray, "query key"] | None: ...
    @property
    def bias(self) -> Float[ndarray, "head ..."] | None: ...
    @property
    def sinks(self) -> Float[ndarray, " head"] | None: ...
    @property
    def whole(self) -> bool: ...


class HeadSource(Protocol):
    """Heads of one stack, e.g. an ``AttentionRecord``."""

    @property
    def layers(self) -> int:
        """Number of layers."""

    @property
    def heads(self) -> int:
        """Number of query heads a layer."""

    @property
    def shape(self) -> tuple[int, int]:
        """(queries, keys)."""

    def queries_keys(
        self, layer: int
    ) -> tuple[Float[ndarray, "head query d"], Float[ndarray, "kv_head key d"]]:
        """Return what a layer compares, after rotary embedding."""

    def rule(self, layer: int) -> RuleSource:
        """Return what else decides its weights."""

    def weights(self, layer: int, head: int) -> Float[ndarray, "query key"]:
        """Return one head's weights."""


class Reader:
    """Arrays, one after the other."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def take(self, kind: str, count: int) -> ndarray:
        found = np.frombuffer(self.raw, kind, count, self.at)
        self.at += found.nbytes
        return found


@dataclass(frozen=True, eq=False)
class Rule:
    """What decides weights besides rough scores; the same in the browser."""

    first: Int[ndarray, " query"]
    stop: Int[ndarray, " query"]
    seen: Bool[ndarray, "query key"] | None
    bias: Float[ndarray, "head distance"] | None
    sinks: Float[ndarray, " head"] | None
    softcap: float | None
    keys: int
    _masks: dict[bytes, Float[ndarray, "row column"]] = field(default_factory=dict)

    @property
    def nothing(self) -> int:
        """How many columns there are beyond the keys: 1 with sinks."""
        return int(self.sinks is not None)

    @cached_property
    def starts(self) -> Int[ndarray, " query+1"]:
        """Where each query's cells start: those from ``first`` to ``stop``, then the sink."""
        return np.concatenate([[0], np.cumsum(self.stop - self.first + self.nothing)])

    def columns(self, rows: Int[ndarray, " row"]) -> tuple[int, int]:
        """Return the columns that some rows see."""
        some = rows[self.stop[rows] > self.first[rows]]
        if not len(some):
            return 0, 0
        return int(self.first[some].min()), int(self.stop[some].max())

    def cells(self, rows: Int[ndarray, " row"], low: int, high: int) -> Bool[ndarray, "row column"]:
        """Return which of some columns are cells of some rows; the sink's stands last."""
        at = np.arange(low, high)
        found = (at >= self.first[rows, None]) & (at < self.stop[rows, None])
        sink = np.ones((len(rows), self.nothing), bool)
        return np.concatenate([found, sink], 1)

    def places(
        self, said: Bool[ndarray, "row column"], rows: Int[ndarray, " row"], low: int
    ) -> Int[ndarray, " said"]:
        """Return the numbers of some cells, of columns from ``low`` and the sink's."""
        row, column = np.nonzero(said)
        at = rows[row]
        found: Int[ndarray, " said"] = self.starts[at] + column + low - self.first[at]
        sink = column == said.shape[1] - self.nothing
        return np.where(sink, self.starts[at + 1] - 1, found)

    def softmax(
        self, scores: Float[ndarray, "row column"], head: int, rows: Int[ndarray, " row"], low: int
    ) -> Float[ndarray, "row column"]:
        """Return weights of columns from ``low``; the sink's stands last."""
        high = low + scores.shape[1]
        if self.softcap is not None:
            scores = np.float32(self.softcap) * np.tanh(scores / np.float32(self.softcap))
        if self.bias is not None:
            along = self.bias[head if len(self.bias) > 1 else 0]
            at = np.arange(low, high) - rows[:, None] + (len(self.first) - 1)
            scores = scores + along[at]
        scores = scores + self._mask(rows, low, high)
        if self.sinks is not None:
            scores = np.append(scores, np.full((len(rows), 1), self.sinks[head], np.float32), 1)
        top = scores.max(1, keepdims=True, initial=-np.inf)
        scores -= np.where(np.isfinite(top), top, 0)
        np.exp(scores, scores)
        total = scores.sum(1, keepdims=True)
        scores /= np.where(total > 0, total, 1)
        return scores

    def _mask(
        self, rows: Int[ndarray, " row"], low: int, high: int
    ) -> Float[ndarray, "row column"]:
        """Return 0 where a query sees a key, else -inf."""
        key = rows.tobytes()
        if key in self._masks:
            return self._masks[key]
        at = np.arange(low, high)
        seen = (at >= self.first[rows, None]) & (at < self.stop[rows, None])
        if self.seen is not None:
            seen &= self.seen[rows, low:high]
        mask = np.where(seen, np.float32(0), np.float32(-np.inf))
        if len(self.first) * self.keys <= _REMEMBERED:
            self._masks[key] = mask
        return mask

    def message(self) -> wire.KeptRule:
        """Return what the browser gets."""
        arrays: list[ndarray] = [self.first.astype("<u4"), self.stop.astype("<u4")]
        arrays += [a.astype("<f4") for a in (self.bias, self.sinks) if a is not None]
        arrays += [] if self.seen is None else [np.packbits(self.seen)]
        return {
            "softcap": self.softcap,
            "biases": 0 if self.bias is None else len(self.bias),
            "sinks": self.sinks is not None,
            "seen": self.seen is not None,
            "data": zlib.compress(b"".join(a.tobytes() for a in arrays), 9),
        }

    @classmethod
    def read(cls, message: wire.KeptRule, kept: wire.KeptHeads) -> Rule:
        """Return what was written."""
        raw = Reader(zlib.decompress(message["data"]))
        queries, keys = kept["queries"], kept["keys"]
        first = raw.take("<u4", queries).astype(np.int64)
        stop = raw.take("<u4", queries).astype(np.int64)
        biases = message["biases"]
        bias = raw.take("<f4", biases * (queries + keys - 1)).reshape(biases, queries + keys - 1)
        sinks = raw.take("<f4", kept["heads"] * message["sinks"])
        cells = queries * keys * message["seen"]
        seen = np.unpackbits(raw.take("u1", -(-cells // 8)), count=cells).astype(bool)
        return cls(
            first,
            stop,
            seen.reshape(queries, keys) if message["seen"] else None,
            bias if biases else None,
            sinks if message["sinks"] else None,
            message["softcap"],
            keys,
        )


class Layers:
    """Layers of a source: what they compare, and their rules, each different one once."""

    def __init__(self, source: HeadSource) -> None:
        self.source = source
        self.rules: list[wire.KeptRule] = []
        self.rule_of: list[int] = []
        self._different: list[Rule] = []
        self._read: dict[int, tuple[ndarray, ndarray]] = {}
        for layer in range(source.layers):
            rule = _rule(source, layer)
            message = rule.message()
            if message not in self.rules:
                self.rules.append(message)
                self._different.append(rule)
            self.rule_of.append(self.rules.index(message))

    def pieces(self) -> Iterator[Piece]:
        """Yield what is kept together, layer by layer."""
        heads = self.source.heads
        for layer, number in enumerate(self.rule_of):
            about = self.source.rule(layer)
            size = 1 if about.whole else heads // len(self.source.queries_keys(layer)[1])
            for head in range(0, heads, size):
                yield Piece(self, layer, head, size, self._different[number], _whole(about))

    def compared(
        self, layer: int
    ) -> tuple[Float[ndarray, "head query d"], Float[ndarray, "kv_head key d"]]:
        """Return scaled queries, and keys."""
        if layer not in self._read:
            q, k = self.source.queries_keys(layer)
            scale = np.float32(self.source.rule(layer).scale)
            self._read = {layer: (q.astype(np.float32) * scale, k.astype(np.float32))}
        return self._read[layer]


def _rule(source: HeadSource, layer: int) -> Rule:
    about = source.rule(layer)
    whole = _whole(about)
    sinks = about.sinks
    if whole and sinks is None and _falls_short(source, layer):
        sinks = np.zeros(source.heads, np.float32)
    return Rule(
        np.asarray(about.first, np.int64),
        np.asarray(about.stop, np.int64),
        about.seen,
        None if whole or about.bias is None else np.asarray(about.bias, np.float32),
        None if sinks is None else np.asarray(sinks, np.float32),
        None if whole else about.softcap,
        source.shape[1],
    )


def _whole(about: RuleSource) -> bool:
    """Return whether weights are all there is to keep: a bias of cells takes more room."""
    return about.whole or (about.bias is not None and about.bias.ndim == 3)


def _falls_short(source: HeadSource, layer: int) -> bool:
    """Return whether something takes weight and gives none, though it has no score."""
    sums = source.weights(layer, 0).sum(1)
    return bool(((sums > 1e-3) & (sums < 1 - 1e-3)).any())


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """Query heads of a layer that share a key head.

    Attributes:
        of: What it is one of.
        layer: Counted from 0.
        head: The first query head.
        heads: How many.
        rule: Of the layer.
        whole: There are weights only.
    """

    of: Layers
    layer: int
    head: int
    heads: int
    rule: Rule
    whole: bool

    @property
    def queries(self) -> int:
        """Number of queries."""
        return len(self.rule.first)

    def blocks(self, rows: Int[ndarray, " row"] | None = None) -> Iterator[Int[ndarray, " row"]]:
        """Yield rows, all by default, few enough at a time."""
        rows = np.arange(self.queries) if rows is None else rows
        step = max(1, CELLS // max(1, self.rule.keys))
        for start in range(0, len(rows), step):
            yield rows[start : start + step]

    def some(self, count: int) -> Int[ndarray, " row"]:
        """Return so many rows, evenly spread."""
        return np.unique(np.linspace(0, self.queries - 1, min(count, self.queries)).astype(int))


class Exact:
    """Weights of a piece, computed for the rows that are asked for."""

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        self.q: Float[ndarray, "head query d"] | None = None
        self.k: Float[ndarray, "key d"] | None = None
        self._tables: dict[int, Float[ndarray, "query key"]] = {}
        if not piece.whole:
            q, k = piece.of.compared(piece.layer)
            self.q = q[piece.head : piece.head + piece.heads]
            self.k = k[piece.head // piece.heads]

    def weights(
        self, head: int, rows: Int[ndarray, " row"], low: int, high: int
    ) -> Float[ndarray, "row column"]:
        """Return columns from ``low`` to ``high``, then the sink's."""
        rule, number = self.piece.rule, self.piece.head + head
        if self.q is not None and self.k is not None:
            return rule.softmax(self.q[head, rows] @ self.k[low:high].T, number, rows, low)
        if head not in self._tables:
            self._tables = {head: self.piece.of.source.weights(self.piece.layer, number)}
        found = self._tables[head][rows, low:high]
        rest = np.maximum(1 - found.sum(1, keepdims=True), 0) if rule.nothing else found[:, :0]
        return np.append(found, rest, 1)
