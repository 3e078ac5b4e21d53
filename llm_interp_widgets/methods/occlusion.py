"""Occlusion: what the target loses when one feature alone is switched off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from llm_interp_widgets.methods._perturbation import check_off, columns, game, leave_one_out
from llm_interp_widgets.methods.base import Card
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.fillers import Off

_ROWS_A_STEP = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Occlusion:
    """Leave-one-out: score of feature i = v(all) - v(all but i), averaged over fillers.

    Source: Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", 2014.

    Attributes:
        off: ``"replace"`` puts a filler where a feature was, ``"remove"`` drops it.
        filler: ``"auto"``, a text of one token, or several that are averaged.
    """

    off: Off = "replace"
    filler: str | Sequence[str] = "auto"

    CARD: ClassVar[Card] = Card(
        title="Occlusion",
        summary="What is lost when this piece alone is switched off.",
        needs="forward passes",
        costs="n·K + 1 forward passes",
        promises="exact by its own definition; does not add up to the output",
        caution="Pieces that say the same thing hide each other: both can score near 0.",
        source="Zeiler & Fergus 2014",
    )

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            ParameterError: One does not exist.
        """
        check_off(self.off)

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:  # noqa: ARG002
        """Return the method with its fillers named."""
        return replace(self, filler=fillers or self.filler)

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield after every few features, then once all are known."""
        coalitions = game(task, self.off, self.filler)
        n, fillers = len(coalitions.features), coalitions.fillers
        full, empty = coalitions.full(), coalitions.empty()
        drops = np.full((fillers, n, len(full)), np.nan)
        rows = leave_one_out(n)
        for start in range(0, n, _ROWS_A_STEP):
            part = slice(start, start + _ROWS_A_STEP)
            drops[:, part] = full - coalitions.by_filler(rows[part])
            done = min(start + _ROWS_A_STEP, n)
            yield Partial(
                scores=columns(task, drops.mean(0).T),
                spread=columns(task, drops.std(0).T) if fillers > 1 else None,
                base_values=empty,
                output_values=full,
                done=done,
                total=n,
                evaluations=coalitions.evaluations,
                exact=done == n,
                final=done == n,
            )
