"""Input x gradient: the first-order guess at what each input embedding contributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from llm_interp_widgets.methods._gradients import (
    at_prompt,
    by_piece,
    embedded,
    switched_off,
    times,
)
from llm_interp_widgets.methods.base import Card
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_interp_widgets.methods.base import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class InputXGradient:
    r"""Score of token i = e_i · ∂f/∂e_i, summed over the tokens of a piece.

    Added over all tokens this is the linear part of f(x) - f(0), with all embeddings zero
    as the baseline; the gap says how much of the difference is not linear.

    Source: Shrikumar et al., "Not Just a Black Box", 2016; equation 1 of Denil et al. 2014.
    """

    CARD: ClassVar[Card] = Card(
        title="Input × gradient",
        summary="Slope of the target along each piece's own embedding.",
        needs="gradients",
        costs="2 forward and T backward passes",
        promises="deterministic; adds up only where the model is linear",
        caution="A slope at one point, not an effect: saturated inputs get small scores.",
        source="Shrikumar et al. 2016",
        additive=True,
        effect=False,
    )

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:  # noqa: ARG002
        """Return itself: there is nothing to decide."""
        return self

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield all outputs at once: one forward pass serves them all."""
        inputs = embedded(task)
        base = switched_off(task, inputs)
        full, tokens = at_prompt(task, inputs, times(inputs.tokens))
        yield Partial(
            scores=by_piece(tokens, task.pieces).astype(np.float32),
            base_values=base,
            output_values=full,
            done=1,
            total=1,
            evaluations=2,
            final=True,
        )
