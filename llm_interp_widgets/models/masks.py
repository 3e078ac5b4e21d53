"""Masks and biases: what decides beside queries and keys where a head can look.

What comes in: the rule a module follows, or a tensor as the model made it. What goes out: the
same in its shortest form.

Guarantees: what is asked of the short form equals what was put in; a square is kept only of a
mask with holes, and of a bias that is not one of distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

_ROWS = 256  # of a square that are looked at together


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
        keys = seen.shape[-1]
        ends, holes = [], False
        for rows in torch.split(seen, _ROWS):
            number = rows.to(torch.uint8)
            first, last = number.argmax(-1), keys - number.flip(-1).argmax(-1)
            stop = torch.where(rows.any(-1), last, first)
            ends.append((first, stop))
            holes = holes or not bool((number.sum(-1) == stop - first).all())
        first, stop = (torch.cat(part) for part in zip(*ends, strict=True))
        return cls(first, stop, seen.detach().clone() if holes else None)

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

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(int(t.nbytes) for t in (self.first, self.stop, self.seen) if t is not None)


@dataclass(frozen=True, slots=True)
class Bias:
    """What is added to scores: by distance (heads, query + key - 1), or cell by cell."""

    values: Float[Tensor, "head ..."]
    queries: int

    @property
    def by_distance(self) -> bool:
        """Whether it depends on key - query alone."""
        return self.values.ndim == 2

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.values.nbytes

    @classmethod
    def of(cls, rows: Float[Tensor, "head query key"]) -> Bias:
        """Take a bias as a model made it; kept whole only where it is not one of distances."""
        queries, keys = rows.shape[-2:]
        along = torch.cat([rows[:, 1:, 0].flip(-1), rows[:, 0]], -1)  # key - query ascending
        begins = [queries - 1 - i for i in range(queries)]
        equal = all(torch.equal(rows[:, i], along[:, b : b + keys]) for i, b in enumerate(begins))
        kept = along if equal else rows
        return cls(kept.detach().float().clone(), queries)

    def at(
        self, heads: slice, rows: Int[Tensor, " row"], cols: Int[Tensor, " col"]
    ) -> Float[Tensor, "head row col"]:
        """Return what is added in some cells; one bias may serve all heads."""
        values = self.values[heads] if len(self.values) > 1 else self.values
        if self.by_distance:
            return values[:, cols[None] - rows[:, None] + (self.queries - 1)]
        return values[:, rows][:, :, cols]
