"""Pairwise interactions: what two pieces do together that neither does by itself.

What comes in: a task of few pieces. What goes out: partials whose columns are pairs (column
i · pieces + j), unknown until every coalition is scored, then exact. Not an entry of
``METHODS``: its scores are a matrix an output, not a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from llm_interp_widgets.errors import ParameterError, nearest
from llm_interp_widgets.methods._enumeration import alike_together, evaluations_of_all
from llm_interp_widgets.methods._interactions import INDICES
from llm_interp_widgets.methods._perturbation import Budget, check_off, game, positive
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Float32
    from numpy import ndarray

    from llm_interp_widgets.methods._interactions import Index
    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.batches import Coalitions
    from llm_interp_widgets.models.fillers import Off

_MOST_EVALUATIONS = 2**14  # 14 pieces with one filler, 12 with four
_INPUTS_A_STEP = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class PairInteractions:
    """Interactions of the game v(S) = target with only the pieces in S switched on.

    Attributes:
        index: ``"k-SII"``, ``"SII"`` or ``"STII"``; see ``_interactions`` for what each means.
        seconds: Wall-clock limit.
        off: ``"replace"`` puts a filler where a piece was, ``"remove"`` drops its tokens.
        filler: ``"auto"``, a text of one token, or several whose games are averaged.
    """

    index: Index = "k-SII"
    seconds: float | None = None
    off: Off = "replace"
    filler: str | Sequence[str] = "auto"

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            ParameterError: One is out of range.
        """
        if self.index not in INDICES:
            hint = nearest(str(self.index), INDICES)
            raise ParameterError(f"index={self.index!r} does not exist. {hint}")
        object.__setattr__(self, "seconds", positive("seconds", self.seconds))
        check_off(self.off)

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:
        """Return the method with its fillers named, for so many features.

        Raises:
            ParameterError: Too many inputs to score.
        """
        times = len(fillers) or 1
        every = evaluations_of_all(features, times)
        if every <= _MOST_EVALUATIONS:
            return replace(self, filler=fillers or self.filler)
        single = evaluations_of_all(features, 1)
        cheaper = "Use granularity='word' or 'sentence', or name fewer pieces as character spans"
        if times > 1 and single <= _MOST_EVALUATIONS:
            cheaper += f"; or a single filler, such as filler={fillers[0]!r} ({single:,})"
        fewest = f" with {times} fillers" if times > 1 else ""
        raise ParameterError(
            f"All coalitions of {features} pieces{fewest} are {_count(every)} evaluations; "
            f"interactions take at most {_MOST_EVALUATIONS:,}. {cheaper}."
        )

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield how far it is, then every interaction.

        Raises:
            ParameterError: Time ran out before every coalition was scored.
        """
        coalitions = game(task, self.off, self.filler)
        n = len(coalitions.features)
        total = evaluations_of_all(n, coalitions.fillers)
        budget = Budget(total, self.seconds)
        yield _look(task, coalitions, np.full((n, n, _outputs(coalitions)), np.nan), total)
        masks = alike_together(n)
        values = np.empty((2**n, _outputs(coalitions)))
        step = max(1, _INPUTS_A_STEP // coalitions.fillers)
        for start in range(0, len(masks), step):
            if budget.out_of_time():
                raise ParameterError(
                    f"seconds={self.seconds:g} ran out after {coalitions.evaluations:,} of "
                    f"{total:,} evaluations, and interactions need all of them. Allow more "
                    "seconds, or use fewer fillers or coarser pieces."
                )
            some = masks[start : start + step]
            on = some[:, None] >> np.arange(n) & 1
            values[some] = coalitions.values(on.astype(bool))
            if coalitions.evaluations < total:
                unknown = np.full((n, n, values.shape[1]), np.nan)
                yield _look(task, coalitions, unknown, total)
        yield _look(task, coalitions, INDICES[self.index](values), total)


def _look(task: Task, game: Coalitions, matrices: ndarray, total: int) -> Partial:
    """Return a partial of these (feature, feature, output) matrices; NaN is unknown."""
    known = bool(np.isfinite(matrices).all())
    return Partial(
        scores=_columns(task, matrices),
        base_values=game.empty(),
        output_values=game.full(),
        done=game.evaluations,
        total=total,
        evaluations=game.evaluations,
        exact=known,
        final=known,
    )


def _outputs(game: Coalitions) -> int:
    return len(game.full())


def _columns(task: Task, matrices: ndarray) -> Float32[ndarray, "output pair"]:
    """Spread matrices over all pieces, a row an output; 0 where a piece is never switched off."""
    pieces = len(task.pieces)
    is_feature = np.flatnonzero([not piece.special for piece in task.pieces])
    wide = np.zeros((matrices.shape[-1], pieces, pieces), dtype=np.float32)
    wide[:, is_feature[:, None], is_feature] = np.moveaxis(matrices, -1, 0)
    return wide.reshape(len(wide), pieces * pieces)


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**9 else f"{number:.3g}"
