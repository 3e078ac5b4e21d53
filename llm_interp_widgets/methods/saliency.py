"""Saliency: how steep the target is at each piece's embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np

from llm_interp_widgets.errors import ParameterError, nearest
from llm_interp_widgets.methods._gradients import (
    NORMS,
    at_prompt,
    by_piece,
    embedded,
    normed,
    steepness,
    switched_off,
)
from llm_interp_widgets.methods.base import Card
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_interp_widgets.methods.base import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Saliency:
    """Score of a piece = norm of ∂f/∂e over all embeddings of its tokens; never negative.

    Source: Simonyan et al., "Deep Inside Convolutional Networks", 2014; norms of embeddings'
    gradients: Li et al., "Visualizing and Understanding Neural Models in NLP", 2016.

    Attributes:
        norm: ``"l2"``, the steepest slope per unit of distance, or ``"l1"``, the sum of
            absolute slopes.
    """

    norm: Literal["l2", "l1"] = "l2"

    CARD: ClassVar[Card] = Card(
        title="Saliency",
        summary="How fast the target changes when this piece's embedding moves at all.",
        needs="gradients",
        costs="2 forward and T backward passes",
        promises="deterministic, never negative; does not add up to the output",
        caution="Sensitivity, not effect: it says neither which way nor how much.",
        source="Simonyan et al. 2014; Li et al. 2016",
        effect=False,
    )

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            ParameterError: There is no such norm.
        """
        if self.norm not in NORMS:
            raise ParameterError(
                f"norm={self.norm!r} does not exist. {nearest(str(self.norm), NORMS)}"
            )

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:  # noqa: ARG002
        """Return itself: there is nothing to decide."""
        return self

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield all outputs at once: one forward pass serves them all."""
        inputs = embedded(task)
        base = switched_off(task, inputs)
        full, tokens = at_prompt(task, inputs, steepness(self.norm))
        yield Partial(
            scores=normed(by_piece(tokens, task.pieces), self.norm).astype(np.float32),
            base_values=base,
            output_values=full,
            done=1,
            total=1,
            evaluations=2,
            exact=True,
            final=True,
        )
