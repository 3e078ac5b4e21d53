"""Gradient rollout: attention that raises the target, multiplied over all layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from llm_interp_widgets.methods._rollout import rolled
from llm_interp_widgets.methods.base import Card
from llm_interp_widgets.models.attentions import weighted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Bool, Float64
    from numpy import ndarray

    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.results.partial import Partial


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientRollout:
    """Rows of R - I, where R = (I + Ā_L) ··· (I + Ā_1) and Ā = mean over heads of (∇A · A)⁺.

    The rows are those of the positions whose logits the output is read from, added: one for
    each token of a continuation. I, what a token keeps of itself, is left out: it is the same
    for every text and would drown the rest.

    Source: Chefer et al., "Generic Attention-model Explainability for Interpreting Bi-Modal
    and Encoder-Decoder Transformers", 2021, equations 5 and 6.
    """

    CARD: ClassVar[Card] = Card(
        title="Gradient-weighted rollout",
        summary="How much attention that raises the target flows from this piece to the answer.",
        needs="attention weights and gradients",
        costs="2 forward and 2 T backward passes, with all attention weights in memory",
        promises="deterministic, never negative; does not add up to the output",
        caution="Only what speaks for the target through attention; nothing speaks against it.",
        source="Chefer et al. 2021",
        effect=False,
    )

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:  # noqa: ARG002
        """Return itself: there is nothing to decide."""
        return self

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield all outputs at once."""
        yield rolled(task, weighted, _roll)


def _roll(
    read: Bool[ndarray, " token"], layers: list[Float64[ndarray, "query key"]]
) -> Float64[ndarray, " token"]:
    own: ndarray = read.astype(float)
    row: ndarray = own
    for weights in reversed(layers):
        row = row + row @ weights
    handed_on: ndarray = row - own
    return handed_on
