"""Random scores: the control that a method worth using must beat.

Guarantees: standard-normal draws of the seed, one row an output, each row scaled so that its
absolute sum is |output − base|; the text's words play no part in them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from llm_interp_widgets.methods._perturbation import check_off, columns, game
from llm_interp_widgets.methods.base import Card
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.fillers import Off


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomControl:
    """Normal noise of the size of output − base.

    Source: the random baseline of Samek et al., "Evaluating the Visualization of What a Deep
    Neural Network Has Learned", 2017.

    Attributes:
        off: ``"replace"`` puts a filler where a piece was, ``"remove"`` drops its tokens.
        filler: ``"auto"``, a text of one token, or several, of which the first is used.
    """

    off: Off = "replace"
    filler: str | Sequence[str] = "auto"

    CARD: ClassVar[Card] = Card(
        title="Random control",
        summary="Noise of the size of output − base; a method worth using must beat this.",
        needs="forward passes",
        costs="2 forward passes",
        promises="absolute scores sum to |output − base|; each standard error is its row's own "
        "size, since nothing was measured",
        caution="These scores say nothing about the text or the model: they are a control.",
        source="Samek et al. 2017",
        effect=False,
    )

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            ParameterError: One does not exist.
        """
        check_off(self.off)

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:  # noqa: ARG002
        """Return the method with its one filler named."""
        return replace(self, filler=fillers[:1] or self.filler)

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield the scores, once."""
        coalitions = game(task, self.off, self.filler)
        full, empty = coalitions.full(), coalitions.empty(0)
        draws = np.random.default_rng(task.seed).normal(size=(len(full), len(coalitions.features)))
        draws *= (np.abs(full - empty) / np.abs(draws).sum(axis=1))[:, None]
        size = np.sqrt((draws**2).mean(axis=1, keepdims=True))
        yield Partial(
            scores=columns(task, draws),
            standard_error=columns(task, np.broadcast_to(size, draws.shape)),
            base_values=empty,
            output_values=full,
            done=2,
            total=2,
            evaluations=coalitions.evaluations,
            final=True,
        )
