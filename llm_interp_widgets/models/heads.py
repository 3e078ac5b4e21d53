"""Heads: one call of attention, and its weights wherever somebody looks.

What comes in: queries, keys and what decides their weights. What goes out: float32 weights for
the heads and queries asked for.

Guarantees: computed in float32 from what the model compared, each query by itself, so that a
part equals the same part of the whole up to rounding; a query that may see nothing has weights
of zero; the caller chooses how many queries are looked at together, and nothing else is of size
tokens².
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from llm_interp_widgets.models.memory import Portions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float, Int
    from torch import Tensor

    from llm_interp_widgets.models.masks import Bias, Mask

CELLS = 1 << 21  # weights that are alive at once
_NOTHING = -1e30  # a score whose weight is zero, finite so that 0 · score is 0
_CLOSE = {torch.float32: 2e-3, torch.float64: 2e-3}
_COARSE = 6e-2  # bfloat16 and float16 round scores before the softmax


@dataclass(frozen=True, slots=True)
class Slab:
    """Weights of a few queries.

    Attributes:
        rows: (row,) which queries.
        col: The first of the columns; no query of these sees a key outside of them.
        weights: (head, row, col).
    """

    rows: Int[Tensor, " row"]
    col: int
    weights: Float[Tensor, "head row col"]

    @property
    def cols(self) -> slice:
        """Which keys."""
        return slice(self.col, self.col + self.weights.shape[-1])


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
        time: How many times the module was called before, in the same pass.
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
    time: int = 0

    @property
    def heads(self) -> int:
        """Number of query heads."""
        return len(self.q if self.table is None else self.table)

    @property
    def shape(self) -> tuple[int, int]:
        """(queries, keys)."""
        if self.table is not None:
            return self.table.shape[1], self.table.shape[2]
        return self.q.shape[1], self.k.shape[1]

    @property
    def device(self) -> torch.device:
        """Where it is held, and computed."""
        return (self.q if self.table is None else self.table).device

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What it holds of its own; masks and biases are shared between calls."""
        held = (self.q, self.k, self.v, self.sinks, self.table, self.slope)
        return tuple(t for t in held if t is not None)

    def look(self, rows: Int[Tensor, " row"], heads: slice = slice(None)) -> Slab:
        """Return weights of some queries, for all heads or for some.

        Args:
            rows: Which queries; the caller keeps heads × rows × keys small.
            heads: A slice of heads; one, or all.
        """
        if self.table is not None:
            low, high, *_ = _bounds(self.mask.first[rows], self.mask.stop[rows])
            return Slab(rows, low, self.table[heads, :, low:high][:, rows].float())
        low, scores, blind = self._scores(rows, heads)
        if self.sinks is None:
            weights = scores.softmax(-1)
        else:
            weights = scores.sub_(self._totals(scores, heads)[..., None]).exp_()
        if blind is not None:
            weights.masked_fill_(blind[:, None], 0)
        return Slab(rows, low, weights)

    def log_sums(
        self, rows: Int[Tensor, " row"], heads: slice = slice(None)
    ) -> Float[Tensor, "head row"]:
        """Return the log of the sum of exp(score) over all keys, sinks included."""
        _, scores, blind = self._scores(rows, heads)
        found = self._totals(scores, heads)
        return found if blind is None else found.masked_fill(blind, 0)

    def _totals(self, scores: Tensor, heads: slice) -> Tensor:
        found = scores.logsumexp(-1)
        if self.sinks is None:
            return found
        return torch.logaddexp(found, self.sinks[heads].float()[:, None])

    def _scores(self, rows: Tensor, heads: slice) -> tuple[int, Tensor, Tensor | None]:
        """Return the first column, scores before the softmax, and which rows see nothing."""
        first, stop = self.mask.first[rows], self.mask.stop[rows]
        low, high, left, right, all_see = _bounds(first, stop)
        q, keys = self.q[heads][:, rows].float(), slice(low, high)
        scores = grouped(q, self.of_heads(self.k, heads)[:, keys].float().mT).mul_(self.scale)
        if self.softcap is not None:
            scores.div_(self.softcap).tanh_().mul_(self.softcap)
        at = torch.arange(low, high, device=self.device)
        if self.bias is not None:
            scores += self.bias.at(heads, rows, at)
        if self.mask.seen is not None:
            scores.masked_fill_(~self.mask.seen[rows, keys], _NOTHING)
        else:  # only near the ends is anything hidden
            if left > low:
                before = at[: left - low] < first[:, None]
                scores[..., : left - low].masked_fill_(before, _NOTHING)
            if right < high:
                after = at[right - low :] >= stop[:, None]
                scores[..., right - low :].masked_fill_(after, _NOTHING)
        return low, scores, None if all_see else stop <= first

    def weights(
        self, rows: Int[Tensor, " row"], heads: slice = slice(None)
    ) -> Float[Tensor, "head row key"]:
        """Return weights of some queries on all keys."""
        slab = self.look(rows, heads)
        found = slab.weights.new_zeros(*slab.weights.shape[:2], self.shape[1])
        found[..., slab.cols] = slab.weights
        return found

    def slabs(
        self, heads: slice = slice(None), rows: Int[Tensor, " row"] | None = None
    ) -> Iterator[Slab]:
        """Yield the weights of all queries, or of some, a few at a time.

        Raises:
            ModelMemoryError: Not even one query's fit into memory.
        """
        if rows is None:
            rows = torch.arange(self.shape[0], device=self.device)
        looks = self.portions(heads)
        yield from (slab for _, slab in looks.over(len(rows), lambda p: self.look(rows[p], heads)))

    def portions(self, heads: slice = slice(None)) -> Portions:
        """Return what splits queries into as few as are looked at together."""
        what = f"One query's weights on {self.shape[1]:,} keys"
        return Portions(self.device, self.few(heads), what)

    def few(self, heads: slice = slice(None)) -> int:
        """Return how many queries are looked at together."""
        return max(1, CELLS // max(1, len(range(self.heads)[heads]) * self.shape[1]))

    def of_heads(self, shared: Float[Tensor, "kv_head ..."], heads: slice) -> Tensor:
        """Return what query heads share: of all heads once, of one its own."""
        chosen = range(self.heads)[heads]
        each = self.heads // len(shared)
        if len(chosen) == self.heads:
            return shared
        if len(chosen) == 1:
            return shared[chosen[0] // each, None]
        return shared[[head // each for head in chosen]]

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


def grouped(
    each: Float[Tensor, "head row x"], shared: Float[Tensor, "kv_head x y"]
) -> Float[Tensor, "head row y"]:
    """Multiply what each head has with what a few share: nothing shared is copied."""
    heads, rows, width = each.shape
    return (each.reshape(len(shared), -1, width) @ shared).reshape(heads, rows, -1)


def telling(mask: Mask) -> Int[Tensor, " row"]:
    """Return a few queries by which a call is checked: in the middle, and the last one."""
    queries = len(mask.first)
    rows = torch.tensor(sorted({queries // 2, queries - 1}), device=mask.first.device)
    return rows[mask.stop[rows] > mask.first[rows]]  # a kernel may give anything elsewhere


def explains(
    call: Call,
    rows: Int[Tensor, " row"],
    v: Float[Tensor, "kv_head key d"],
    output: Float[Tensor, "query head d"],
) -> bool:
    """Return whether weights times values are what the call gave to some queries."""
    if not len(rows):
        return True
    slab = call.look(rows)
    seen, given = v[:, slab.cols].float(), output[rows].float()
    found = grouped(slab.weights, seen).transpose(0, 1)  # (row, head, d)
    error, size = float((found - given).abs_().amax()), float(given.abs().amax())
    close = _CLOSE.get(v.dtype, _COARSE)
    # Where values cancel out, what is left is small, and its error is not.
    return error <= close * size or error <= close * float(seen.abs().mean())


def _bounds(
    first: Int[Tensor, " row"], stop: Int[Tensor, " row"]
) -> tuple[int, int, int, int, bool]:
    """Return between which keys rows look, between which all do, and whether each sees one."""
    some = stop > first
    if not bool(some.all()):
        if not bool(some.any()):
            return 0, 1, 1, 0, False
        low, high = int(first[some].min()), int(stop[some].max())
        return low, high, high, low, False
    low, left = int(first.min()), int(first.max())
    right, high = int(stop.min()), int(stop.max())
    return low, high, min(left, high), max(right, low), True
