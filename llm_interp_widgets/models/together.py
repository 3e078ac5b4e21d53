"""Heads taken together: weights summed up over heads and layers, and what they are multiplied by.

What comes in: calls of attention and the queries asked for. What goes out: (queries, keys)
numbers.

Guarantees: of each layer a few queries of all heads at a time; what is kept grows with queries
asked for × keys. A rollout multiplies layers and looks at every weight below, whatever is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import torch

from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.models.heads import grouped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int
    from torch import Tensor

    from llm_interp_widgets.models.heads import Call, Slab

Of: TypeAlias = Literal["weights", "value", "gradient"]
Aggregate: TypeAlias = Literal["mean", "max", "rollout", "value", "gradient"]
OFS = ("weights", "value", "gradient")
AGGREGATES = ("mean", "max", "rollout", "value", "gradient")


def scaled(
    call: Call, slab: Slab, of: Of, heads: slice = slice(None)
) -> Float[Tensor, "head row col"]:
    """Return weights, times the length of values, or times the target's slope.

    Raises:
        ParameterError: Values or slopes were not captured.
    """
    if of == "weights":
        return slab.weights
    if call.table is not None:
        raise ParameterError(
            "This model hands out weights only: neither values nor gradients are to be had."
        )
    slope = call.slope
    if of == "gradient" and slope is None:
        raise ParameterError(
            "There is no gradient without a target: attention(lm, prompt, target)."
        )
    if call.v is None:
        raise ParameterError("Values were not captured: attention(lm, prompt, values=True).")
    v = call.of_heads(call.v, heads)[:, slab.cols].float()
    if slope is None or of == "value":
        each = len(slab.weights) // len(v)
        norms: Tensor = v.norm(dim=-1).repeat_interleave(each, 0)
        return slab.weights * norms[:, None]
    slopes = slope[slab.rows][:, heads].float().transpose(0, 1)
    return slab.weights * grouped(slopes, v.mT)


def summed(
    calls: Sequence[Call], how: Aggregate, rows: Int[Tensor, " row"]
) -> Float[Tensor, "row key"]:
    """Return the mean over all heads of some queries' numbers, or the largest weight."""
    of: Of = how if how in ("value", "gradient") else "weights"
    found = torch.zeros(len(rows), calls[0].shape[1], device=calls[0].device)
    for call in calls:
        at = 0
        for slab in call.slabs(rows=rows.to(call.device)):
            place = found[at : at + len(slab.rows), slab.cols]
            block = scaled(call, slab, of).to(found.device)
            if how == "max":
                torch.maximum(place, block.amax(0), out=place)
            else:
                place += block.relu_().sum(0)
            at += len(slab.rows)
    return found if how == "max" else found / sum(call.heads for call in calls)


def rollout(calls: Sequence[Call], rows: Int[Tensor, " row"]) -> Float[Tensor, "row key"]:
    """Return some rows of the product of (mean weights + I) / 2 over layers."""
    held = torch.zeros(len(rows), calls[0].shape[1], device=calls[-1].device)
    held[torch.arange(len(rows)), rows.to(held.device)] = 1
    for call in reversed(calls):
        held = held.to(call.device)
        fed = torch.zeros_like(held)
        for slab in call.slabs():
            fed[:, slab.cols] += held[:, slab.rows] @ slab.weights.mean(0)
        held = (held + fed) / 2
    return held
