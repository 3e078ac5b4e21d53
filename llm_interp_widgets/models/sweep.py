"""Sweeps: one call's weights, pooled to cells.

What comes in: one call of attention and the edges of cells. What goes out: a number a cell, the
largest weight in it or the share it holds; as bytes on request.

Guarantees: weights are computed a few queries at a time and dropped; what is returned grows with
heads × cells, never with heads × tokens². A weight is never negative, so that a zero outside of
a slab changes neither a largest weight nor a sum.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, UInt8
    from numpy import ndarray
    from torch import Tensor

    from llm_interp_widgets.models.heads import Call

Pooling: TypeAlias = Literal["max", "mean"]
POOLINGS = ("max", "mean")


def edges(size: int, bins: int) -> list[int]:
    """Return where bins begin, and where the last one ends: as equal as can be."""
    return [i * size // bins for i in range(bins + 1)]


def pooled(
    call: Call,
    rows: Sequence[int],
    cols: Sequence[int],
    pooling: Pooling,
    *,
    heads: slice = slice(None),
    sampled: bool = False,
) -> Float[Tensor, "head row col"]:
    """Return weights pooled to cells.

    Args:
        call: The heads.
        rows: Increasing edges of the cells: queries.
        cols: Likewise, keys.
        pooling: ``"max"``: the largest weight in a cell. ``"mean"``: what the cell's average
            query gives to all of the cell's keys together.
        heads: Which; one, or all.
        sampled: Only look at the middle query of each cell.
    """
    tall, count = len(rows) - 1, len(range(call.heads)[heads])
    found = torch.zeros(count, tall, len(cols) - 1, device=call.device)
    if sampled:
        middles = [(start + stop) // 2 for start, stop in pairwise(rows)]
        asked, starts = torch.tensor(middles, device=call.device), list(range(tall + 1))
    else:
        asked, starts = torch.arange(rows[0], rows[-1], device=call.device), list(rows)

    def look(part: slice) -> tuple[Tensor, slice, slice]:
        slab = call.look(asked[part], heads)
        high, across = _pool(slab.weights, starts[0] + part.start, starts, pooling, 1)
        return (*_pool(high, slab.col, cols, pooling, 2), across)

    looks = call.portions(heads)
    looks.rows = _aligned(looks.rows, starts)
    for _, (cells, down, across) in looks.over(len(asked), look):
        place = found[:, across, down]
        if pooling == "max":
            torch.maximum(place, cells, out=place)
        else:
            place += cells
    if pooling == "mean" and not sampled:
        heights = torch.tensor(rows, device=call.device, dtype=torch.float32).diff()
        found /= heights[:, None]
    return found


def _aligned(few: int, starts: Sequence[int]) -> int:
    """Return how many rows are looked at together: whole cells, where these are low enough."""
    step = starts[1] - starts[0]
    return few // step * step or few


def _pool(
    block: Float[Tensor, "head row col"], at: int, edges: Sequence[int], pooling: Pooling, axis: int
) -> tuple[Tensor, slice]:
    """Pool one axis that begins at ``at`` to cells; return them, and which they are."""
    low, high = max(at, edges[0]), min(at + block.shape[axis], edges[-1])
    if low >= high:
        return block.narrow(axis, 0, 0), slice(0, 0)
    first, last = bisect_right(edges, low) - 1, bisect_left(edges, high)
    block = block.narrow(axis, low - at, high - low)
    bounds = np.asarray(edges[first : last + 1])
    widths, where = np.diff(bounds), slice(first, last)
    step = int(widths[0])
    if step == 1 and len(widths) == high - low:
        return block, where
    if (widths[:-1] == step).all() and widths[-1] <= step:
        lacking = low - int(bounds[0]), int(bounds[0]) + step * len(widths) - high
        if any(lacking):
            padding = (0, 0, *lacking) if axis == 1 else lacking
            block = torch.nn.functional.pad(block, padding)
        cells = torch.unflatten(block, axis, (len(widths), step))
        return cells.amax(axis + 1) if pooling == "max" else cells.sum(axis + 1), where
    own = np.searchsorted(bounds, np.arange(low, high), side="right") - 1
    cell = torch.from_numpy(own).to(block.device)
    cell = (cell[:, None] if axis == 1 else cell).expand_as(block)
    sizes = [len(widths) if i == axis else n for i, n in enumerate(block.shape)]
    how = "amax" if pooling == "max" else "sum"
    return block.new_zeros(sizes).scatter_reduce(axis, cell, block, how), where


def largest(call: Call, head: slice, k: int) -> list[tuple[float, int, int]]:
    """Return one head's largest weights above 0, the largest first: (weight, query, key)."""
    best: list[tuple[float, int, int]] = []
    for slab in call.slabs(head):
        block = slab.weights[0]
        wide = block.shape[1]
        top = block.flatten().topk(min(k, block.numel()))
        best += [
            (value, int(slab.rows[0]) + at // wide, slab.col + at % wide)
            for value, at in zip(top.values.tolist(), top.indices.tolist(), strict=True)
            if value > 0
        ]
        best = sorted(best, key=lambda one: (-one[0], one[1], one[2]))[:k]
    return best


# ── bytes ─────────────────────────────────────────────────────────────────────


def bytes_of(weights: Float[ndarray, " *cell"]) -> UInt8[ndarray, " *cell"]:
    """Return weights as 255 · weight, rounded."""
    found: ndarray = np.rint(255 * np.clip(weights, 0, 1)).astype(np.uint8)
    return found
