"""Input x gradient: the first-order guess at what each input embedding contributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import torch

from llm_interp_widgets.errors import NonFiniteError
from llm_interp_widgets.methods.base import Card
from llm_interp_widgets.models.gradients import differentiate
from llm_interp_widgets.models.language_model import Inputs
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
        costs="1 forward and T backward passes",
        promises="deterministic; adds up only where the model is linear",
        caution="A slope at one point, not an effect: saturated inputs get small scores.",
        source="Shrikumar et al. 2016",
        additive=True,
    )

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:  # noqa: ARG002
        """Return itself: there is nothing to decide."""
        return self

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield one row an output."""
        lm, pieces, question = task.lm, task.pieces, task.question
        outputs = len(question.outputs)
        embeddings = lm.embed(torch.tensor([task.prompt.ids]))
        zeros = torch.zeros_like(embeddings)
        base = sum(lm.scores(Inputs(zeros), readout) for readout in question.readouts)
        base_values = base[0].double().cpu().numpy()  # type: ignore[index]
        if not np.isfinite(base_values).all():
            raise NonFiniteError(f"{lm.name} returned NaN or infinity on the zero baseline.")
        starts = [piece.position for piece in pieces]
        parts = [differentiate(lm, Inputs(embeddings), readout) for readout in question.readouts]
        values = np.sum([found[0].double().cpu().numpy() for found, _ in parts], axis=0)
        for o in range(outputs):
            slope = torch.stack([gradient(o)[0].float() for _, gradient in parts]).sum(0)
            tokens = (slope * embeddings[0].float()).sum(-1).double().cpu().numpy()
            if not np.isfinite(tokens).all():
                raise NonFiniteError(f"{lm.name} has NaN or infinite gradients in {lm.info.dtype}.")
            yield Partial(
                row=o,
                scores=np.add.reduceat(tokens, starts)[None].astype(np.float32),
                base_values=base_values,
                output_values=values,
                done=o + 1,
                total=outputs,
                evaluations=2,
                final=o + 1 == outputs,
            )
