"""Attention rollout: attention weights of all layers multiplied along all paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from llm_interp_widgets.methods._rollout import rolled
from llm_interp_widgets.methods.base import Card
from llm_interp_widgets.models.attentions import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Bool, Float64
    from numpy import ndarray

    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.results.partial import Partial


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionRollout:
    """Row of Â_L ··· Â_1 with Â = (mean over heads of A + I) / 2, where the answer is read.

    The row is that of the position whose logits are read; where an answer is read at several
    positions (a continuation of several tokens, a pooled encoder), the mean of their rows.

    Source: Abnar & Zuidema, "Quantifying Attention Flow in Transformers", 2020.
    """

    CARD: ClassVar[Card] = Card(
        title="Attention rollout",
        summary="How much attention flows from this piece to where the answer is read.",
        needs="attention weights",
        costs="2 forward passes, one of them with all attention weights in memory",
        promises="deterministic, never negative; the same for every target read at one place",
        caution="Weights, not importance: it does not know what is asked.",
        source="Abnar & Zuidema 2020",
        effect=False,
    )

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:  # noqa: ARG002
        """Return itself: there is nothing to decide."""
        return self

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield all outputs at once."""
        yield rolled(task, plain, _roll)


def _roll(
    read: Bool[ndarray, " token"], layers: list[Float64[ndarray, "query key"]]
) -> Float64[ndarray, " token"]:
    row: ndarray = read / read.sum()
    for weights in reversed(layers):
        handed = (row + row @ weights) / 2
        row = handed / handed.sum()  # soft sinks swallow some of what is attended to
    return row
