"""Heads: one call of attention, and its weights wherever somebody looks.

What comes in: queries, keys and what decides their weights. What goes out: float32 weights for
the heads, rows and columns asked for.

Guarantees: computed in float32 from what the model compared, row by row with the log of the sum
over all keys, so that a part equals the same part of the whole; a query that may see nothing has
weights of zero; at most ``_CELLS`` weights are alive at once, whatever the length.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Bool, Float, Int
    from torch import Tensor

_CELLS = 1 << 24
_CLOSE = {torch.float32: 2e-3, torch.float64: 2e-3}
_COARSE = 6e-2  # bfloat16 and float16 round scores before the softmax


@dataclass(frozen=True, slots=True)
class Mask:
    """Which keys each query may see: those from ``first`` up to ``stop``, less holes."""

    first: Int[Tensor, " query"]
    stop: Int[Tensor, " query"]
    seen: Bool[Tensor, "query key"] | None = None

    @classmethod
    def rule(cls, queries: int, keys: int, *, causal: bool, window: int | None = None) -> Mask:
        """Return all keys, or those up to the query's own place, or the last ones of these."""
        at = torch.arange(queries)
        stop = (at + 1).clamp(max=keys) if causal else torch.full((queries,), keys)
        first = torch.zeros_like(at) if window is None else (at + 1 - window).clamp(min=0)
        return cls(first, stop)

    @classmethod
    def of(cls, seen: Bool[Tensor, "query key"]) -> Mask:
        """Take a mask as a model made it; kept whole only where it has holes."""
        first = seen.to(torch.uint8).argmax(-1)
        last = seen.flip(-1).to(torch.uint8).argmax(-1)
        some = seen.any(-1)
        stop = torch.where(some, seen.shape[-1] - last, first)
        whole = bool((seen.sum(-1) == stop - first).all())
        return cls(first, stop, None if whole else seen.detach().clone())

    def padded(self, real: Bool[Tensor, " key"]) -> Mask:
        """Return the mask without padding."""
        keys = torch.arange(len(real), device=real.device)
        first, stop = self.first.to(real.device), self.stop.to(real.device)
        seen = (keys >= first[:, None]) & (keys < stop[:, None]) & real
        return Mask.of(seen)

    def to(self, device: torch.device) -> Mask:
        """Return the mask on a device."""
        seen = None if self.seen is None else self.seen.to(device)
        return Mask(self.first.to(device), self.stop.to(device), seen)

    def at(self, rows: Tensor, cols: Tensor) -> Bool[Tensor, "row col"]:
        """Return which of some keys some queries may see."""
        if self.seen is not None:
            return self.seen[rows][:, cols]
        return (cols >= self.first[rows, None]) & (cols < self.stop[rows, None])

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(t.nbytes for t in (self.first, self.stop, self.seen) if t is not None)


@dataclass(frozen=True, slots=True)
class Bias:
    """What is added to scores: by distance (heads, query + key - 1), or cell by cell."""

    values: Float[Tensor, "head *cell"]
    queries: int

    @classmethod
    def of(cls, rows: Float[Tensor, "head query key"]) -> Bias:
        """Take a bias as a model made it; kept whole only where it is not one of distances."""
        queries, keys = rows.shape[-2:]
        along = torch.cat([rows[:, 1:, 0].flip(-1), rows[:, 0]], -1)  # key - query ascending
        at = torch.arange(keys, device=rows.device) + (queries - 1)
        equal = all(torch.equal(rows[:, i], along[:, at - i]) for i in range(queries))
        kept = along if equal else rows
        return cls(kept.detach().float().clone(), queries)

    def at(self, heads: Tensor, rows: Tensor, cols: Tensor) -> Float[Tensor, "head row col"]:
        """Return what is added in some cells; one bias may serve all heads."""
        of = heads if len(self.values) > 1 else torch.zeros_like(heads)
        if self.values.ndim == 2:
            return self.values[of][:, cols[None] - rows[:, None] + (self.queries - 1)]
        return self.values[of][:, rows][:, :, cols]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of attention.

    Attributes:
        module: Its name in the model.
        q: (head, query, d) after rotary embedding.
        k: (key/value head, key, d) after rotary embedding; query heads share them in order.
        v: (key/value head, key, d), or ``None``.
        scale: Of the scores.
        mask: What may be seen.
        bias: What is added to the scores.
        softcap: Scores are soft-capped here: cap · tanh(score / cap).
        sinks: (head,) scores of nothing: they take a share and give no value.
        table: (head, query, key) the weights themselves, where a model hands out no more.
        slope: (query, head, d) of the target with respect to the heads' outputs, or ``None``.
    """

    module: str
    q: Float[Tensor, "head query d"]
    k: Float[Tensor, "kv_head key d"]
    v: Float[Tensor, "kv_head key d"] | None
    scale: float
    mask: Mask
    bias: Bias | None = None
    softcap: float | None = None
    sinks: Float[Tensor, " head"] | None = None
    table: Float[Tensor, "head query key"] | None = None
    slope: Float[Tensor, "query head d"] | None = None

    @property
    def heads(self) -> int:
        """Number of query heads."""
        return len(self.q) if self.table is None else len(self.table)

    @property
    def shape(self) -> tuple[int, int]:
        """(queries, keys)."""
        if self.table is not None:
            return int(self.table.shape[1]), int(self.table.shape[2])
        return int(self.q.shape[1]), int(self.k.shape[1])

    @property
    def device(self) -> torch.device:
        """Where it lives."""
        return (self.q if self.table is None else self.table).device

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What it holds of its own; masks and biases are shared between calls."""
        held = (self.q, self.k, self.v, self.sinks, self.table, self.slope)
        return tuple(t for t in held if t is not None)

    def shared(self, head: Tensor) -> Tensor:
        """Return which key/value head query heads use."""
        return head // (len(self.q) // len(self.k))

    def scores(
        self, heads: Tensor, rows: Tensor, cols: Tensor | None = None
    ) -> Float[Tensor, "head row col"]:
        """Return scores before the softmax; -inf where nothing may be seen."""
        cols = torch.arange(self.shape[1], device=self.device) if cols is None else cols
        q = self.q[heads][:, rows].float()
        k = self.k[self.shared(heads)][:, cols].float()
        found = (q @ k.mT) * self.scale
        if self.softcap is not None:
            found = self.softcap * torch.tanh(found / self.softcap)
        if self.bias is not None:
            found = found + self.bias.at(heads, rows, cols)
        return found.masked_fill_(~self.mask.at(rows, cols), -torch.inf)

    def weights(
        self, heads: Tensor, rows: Tensor, cols: Tensor | None = None
    ) -> Float[Tensor, "head row col"]:
        """Return weights (heads, rows, columns); the caller keeps the block small."""
        if self.table is not None:
            block = self.table[heads][:, rows].float()
            return block if cols is None else block[:, :, cols]
        scores = self.scores(heads, rows)
        found = (scores - self._log_sum(heads, scores)[..., None]).exp_()
        return found if cols is None else found[:, :, cols]

    def log_sums(self, heads: Tensor, rows: Tensor) -> Float[Tensor, "head row"]:
        """Return the log of the sum over all keys, sinks included."""
        return self._log_sum(heads, self.scores(heads, rows))

    def blocks(self, heads: int, rows: int | None = None) -> Iterator[Tensor]:
        """Yield rows, few enough that weights of so many heads fit."""
        queries, keys = self.shape
        count = queries if rows is None else rows
        size = max(1, _CELLS // max(1, heads * keys))
        for start in range(0, count, size):
            yield torch.arange(start, min(count, start + size), device=self.device)

    def _log_sum(self, heads: Tensor, scores: Tensor) -> Tensor:
        sums = scores.logsumexp(-1)
        if self.sinks is not None:
            sums = torch.logaddexp(sums, self.sinks[heads].float()[:, None])
        return torch.where(sums == -torch.inf, torch.zeros_like(sums), sums)

    def on(self, device: torch.device) -> Call:
        """Return the call on another device."""
        if device == self.device:
            return self

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device)

        bias = None if self.bias is None else replace(self.bias, values=self.bias.values.to(device))
        return replace(
            self, q=self.q.to(device), k=self.k.to(device), v=moved(self.v), bias=bias,
            mask=self.mask.to(device), sinks=moved(self.sinks), table=moved(self.table),
            slope=moved(self.slope),
        )  # fmt: skip


def explains(
    call: Call, v: Float[Tensor, "kv_head key d"], output: Float[Tensor, "query head d"]
) -> bool:
    """Return whether weights times values are what the call gave, for a few of its queries."""
    queries = call.shape[0]
    rows = torch.tensor(sorted({0, queries // 2, queries - 1}), device=call.device)
    rows = rows[call.mask.stop[rows] > call.mask.first[rows]]  # a kernel may give anything there
    if not len(rows):
        return True
    heads = torch.arange(call.heads, device=call.device)
    found = call.weights(heads, rows) @ v[call.shared(heads)].float()  # (head, row, d)
    given = output[rows].float().transpose(0, 1)
    size = given.abs().amax().clamp(min=v.float().abs().mean())
    return bool((found - given).abs().amax() <= _CLOSE.get(v.dtype, _COARSE) * size)
