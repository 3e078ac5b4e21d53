"""Tallies: numbers that tell one call's heads apart.

What comes in: one call of attention, and whether its text is one sequence twice. What goes out: a
number a head and score, defined in ``AttentionRecord.head_scores``.

Guarantees: every weight is looked at once, which takes heads × tokens² steps, and dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from llm_interp_widgets.results.attention import SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float
    from torch import Tensor

    from llm_interp_widgets.models.heads import Call, Slab

_SHORTEST = 4
_TINY = 1e-38  # its own logarithm is finite, and 0 times that is 0


@dataclass(frozen=True, slots=True)
class Repeat:
    """A sequence that stands twice in a text.

    Attributes:
        start: Position of its first token.
        period: Its length.
    """

    start: int
    period: int


def repeated(ids: Sequence[int], special: Sequence[bool]) -> Repeat | None:
    """Return the sequence that makes up a text by standing in it twice, if one does."""
    real = [i for i, mark in enumerate(special) if not mark]
    if not real:
        return None
    start, stop = real[0], real[-1] + 1
    half = (stop - start) // 2
    twice = half >= _SHORTEST and 2 * half == stop - start
    same = ids[start : start + half] == ids[start + half : stop] and min(ids[start:stop]) >= 0
    return Repeat(start, half) if twice and same else None


def entropies(weights: Float[Tensor, " *row key"]) -> Float[Tensor, " *row"]:
    """Return the entropy of each row of weights, in nats; sinks hold no part of it."""
    logs = weights.clamp(min=_TINY).log_()
    return -logs.mul_(weights).sum(-1)


def tally(call: Call, repeat: Repeat | None) -> dict[str, Float[Tensor, " head"]]:
    """Return each score of each head (head,), float32, on the CPU; NaN where it has none."""
    sees = call.mask.stop > call.mask.first
    first = int(call.mask.first[sees].min()) if bool(sees.any()) else 0  # after padding on the left
    return _Tally(call, repeat, sees, first).scores()


@dataclass(frozen=True, slots=True)
class _Tally:
    call: Call
    repeat: Repeat | None
    sees: Bool[Tensor, " query"]
    first: int  # key that anything sees

    def scores(self) -> dict[str, Float[Tensor, " head"]]:
        sums = {name: torch.zeros(self.call.heads, dtype=torch.float64) for name in SCORES}
        for slab in self.call.slabs():
            self._add(sums, slab)
        queries, keys = self.call.shape
        counts = {"entropy": int(self.sees.sum())}
        if queries == keys:
            counts["distance"] = counts["entropy"]
            others = int(self.sees[self.first + 1 :].sum())
            counts["previous_token"] = counts["first_token"] = others
            if self.repeat is not None:
                counts["duplicate_token"] = counts["induction"] = self.repeat.period
        none = torch.full((self.call.heads,), torch.nan)
        return {
            name: (total / counts[name]).float() if counts.get(name) else none
            for name, total in sums.items()
        }

    def _add(self, sums: dict[str, Tensor], slab: Slab) -> None:
        rows, weights = slab.rows, slab.weights
        row, keys = int(rows[0]), torch.arange(slab.cols.start, slab.cols.stop, device=rows.device)
        sums["entropy"] += entropies(weights).sum(-1).double().cpu()
        asked, places = rows.float(), keys.float()
        if bool((self.call.mask.stop[rows] <= rows + 1).all()):  # no key is after its query
            gap = asked * weights.sum(-1) - weights @ places
        else:
            gap = torch.einsum("hrc,rc->hr", weights, (asked[:, None] - places).abs())
        sums["distance"] += gap.sum(-1).double().cpu()
        if slab.cols.start <= self.first < slab.cols.stop:
            later = weights[:, max(0, self.first + 1 - row) :, self.first - slab.col]
            sums["first_token"] += later.sum(-1).double().cpu()
        others = range(self.first + 1, self.call.shape[0])
        self._along(sums, "previous_token", slab, 1, others)
        if self.repeat is not None:
            period, again = self.repeat.period, self.repeat.start + self.repeat.period
            second = range(again, again + period)
            self._along(sums, "duplicate_token", slab, period, second)
            self._along(sums, "induction", slab, period - 1, second)

    def _along(
        self, sums: dict[str, Tensor], name: str, slab: Slab, back: int, queries: range
    ) -> None:
        """Add the weight that some queries give to the key so far back."""
        row, asked = int(slab.rows[0]), slab.rows
        keys = asked - back
        inside = (asked >= queries.start) & (asked < queries.stop)
        inside &= (keys >= slab.cols.start) & (keys < slab.cols.stop)
        asked, keys = asked[inside], keys[inside]
        sums[name] += slab.weights[:, asked - row, keys - slab.col].sum(-1).double().cpu()
