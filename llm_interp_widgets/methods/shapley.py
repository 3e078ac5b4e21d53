"""Shapley values: each piece's fair share of output - base, by coalitions of pieces.

Exact where all coalitions fit into the budget; otherwise sampled by antithetic pairs of
permutations (an order and its reverse), with standard errors.

Guarantees: every sampled estimate, and every exact result, adds up to output - base; a
partial of leave-one-out scores comes first, marked as preview; the same seed gives the same
numbers whatever the batch size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np

from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.methods._enumeration import enumerate_all, evaluations_of_all, within
from llm_interp_widgets.methods._perturbation import (
    Budget,
    check_off,
    columns,
    count,
    game,
    positive,
    precise,
    previews,
)
from llm_interp_widgets.methods._statistics import Strata
from llm_interp_widgets.methods.base import Card
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Bool, Int
    from numpy import ndarray

    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.batches import Coalitions
    from llm_interp_widgets.models.fillers import Off

_DEFAULT_EVALUATIONS = 1_024
_ROWS_A_STEP, _MOST_ROWS_A_STEP = 64, 256  # early scores first, then long batches
_PAIRS = 3  # pairs of orders a filler before an error is believed
_STALE = 20  # pairs a filler without a new coalition


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapley:
    """Shapley values of the game v(S) = target with only the pieces in S switched on.

    Source: Castro et al., "Polynomial calculation of the Shapley value based on sampling",
    2009; antithetic permutations: Mitchell et al., "Sampling Permutations for Shapley Value
    Estimation", 2022.

    Attributes:
        evaluations: Inputs the model may score; ``"all"`` enumerates every coalition;
            ``None`` chooses: 1,024, or what three pairs of orders for each filler need.
        precision: Stop when the largest standard error is below this share of the largest
            absolute score; ``None`` spends the whole budget.
        seconds: Wall-clock limit.
        off: ``"replace"`` puts a filler where a piece was, ``"remove"`` drops its tokens.
        filler: ``"auto"``, a text of one token, or several whose games are averaged.
    """

    evaluations: int | Literal["all"] | None = None
    precision: float | None = 0.05
    seconds: float | None = None
    off: Off = "replace"
    filler: str | Sequence[str] = "auto"

    CARD: ClassVar[Card] = Card(
        title="Shapley values",
        summary="Each piece's fair share of output − base, over all orders of switching on.",
        needs="forward passes",
        costs="up to `evaluations` forward passes; exact costs 2ⁿ·K",
        promises="adds up to output − base; standard errors; exact for few pieces",
        caution="Text with pieces switched off is unusual text; models may read it oddly.",
        source="Castro et al. 2009; Mitchell et al. 2022",
        additive=True,
    )

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            ParameterError: One is out of range.
        """
        given = self.evaluations
        if given is not None and given != "all":
            object.__setattr__(self, "evaluations", count("evaluations", given))
        object.__setattr__(self, "precision", positive("precision", self.precision))
        object.__setattr__(self, "seconds", positive("seconds", self.seconds))
        check_off(self.off)

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:
        """Return the method with a budget, and as many fillers as it pays for.

        Raises:
            ParameterError: Too many pieces to enumerate, or too small a budget.
        """
        budget, pair = self._budget(features, len(fillers) or 1), 2 * features
        if budget is None:
            return replace(self, filler=fillers or self.filler)
        if budget < pair + 1:
            raise ParameterError(
                f"evaluations={budget} is too few: one pair of orders of {features} pieces takes "
                f"{pair + 1}, and standard errors need {_PAIRS * pair * (len(fillers) or 1)}."
            )
        paid = fillers[: (budget - 1) // pair]
        return replace(self, evaluations=budget, filler=paid or self.filler)

    def _budget(self, features: int, fillers: int) -> int | None:
        """Return how many inputs to score by sampling; ``None``: every coalition fits."""
        if self.evaluations == "all":
            within(None, features, fillers)
            return None
        enough = max(_DEFAULT_EVALUATIONS, _PAIRS * fillers * 2 * features)
        chosen = self.evaluations or enough
        return None if within(chosen, features, fillers) else chosen

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield a leave-one-out preview, then better and better estimates."""
        coalitions = game(task, self.off, self.filler)
        features, fillers = len(coalitions.features), coalitions.fillers
        budget = self._budget(features, fillers)
        if budget is None:
            every = evaluations_of_all(features, fillers)
            yield from enumerate_all(task, coalitions, Budget(every, self.seconds))
        else:
            yield from _sampled(task, coalitions, Budget(budget, self.seconds), self.precision)


def _sampled(
    task: Task, game: Coalitions, budget: Budget, precision: float | None
) -> Iterator[Partial]:
    """Pairs of orders, one filler a pair in turn, until precise or out of budget."""
    n, fillers = len(game.features), game.fillers
    random = np.random.default_rng(task.seed)
    full = game.full()
    strata = Strata(fillers, (n, len(full)))
    bases = np.full((fillers, len(full)), np.nan)
    if budget.evaluations > 2 * n * fillers + n:  # never at the cost of a filler's own pair
        yield from previews(task, game, budget)
    drawn, unfruitful, stop = 0, 0, False
    while not stop:
        before = game.evaluations
        step = min(_MOST_ROWS_A_STEP, max(_ROWS_A_STEP, before // 2)) // (2 * n)
        pairs = max(1, min(step, (budget.evaluations - before) // (2 * n)))
        turns = np.arange(drawn, drawn + pairs) % fillers
        for k, shares, base in _pairs(game, turns, random):
            strata.add(k, shares)
            bases[k] = base
        drawn += pairs
        # With nearly every coalition known, further orders would tell nothing new.
        unfruitful = unfruitful + pairs if game.evaluations == before else 0
        spent = game.evaluations + 2 * n > budget.evaluations
        mean, error = strata.mean(), strata.standard_error()
        converged = precise(mean, error, precision) and drawn >= _PAIRS * fillers
        stop = converged or spent or unfruitful > _STALE * fillers or budget.out_of_time()
        yield Partial(
            scores=columns(task, mean.T),
            standard_error=columns(task, error.T),
            spread=columns(task, strata.spread().T) if fillers > 1 else None,
            base_values=np.nanmean(bases[: min(drawn, fillers)], axis=0),
            output_values=full,
            done=min(game.evaluations, budget.evaluations) if not stop else game.evaluations,
            total=budget.evaluations if not stop else game.evaluations,
            evaluations=game.evaluations,
            converged=converged if precision is not None else None,
            final=stop,
        )


def _pairs(
    game: Coalitions, turns: Int[ndarray, " pair"], random: np.random.Generator
) -> Iterator[tuple[int, ndarray, ndarray]]:
    """Yield the filler of each pair, (feature, output) shares averaged over it, and the base."""
    n, steps = len(game.features), len(game.features) + 1
    orders = [random.permutation(n) for _ in turns]
    walks = [walk for order in orders for walk in (_walk(order), _walk(order[::-1]))]
    values = game.each(np.concatenate(walks), np.repeat(turns, 2 * steps))
    forths, backs = values.reshape(len(turns), 2, steps, -1).swapaxes(0, 1)
    for k, order, forth, back in zip(turns, orders, forths, backs, strict=True):
        shares = np.empty((n, values.shape[1]))
        shares[order] = np.diff(forth, axis=0) / 2
        shares[order[::-1]] += np.diff(back, axis=0) / 2
        yield int(k), shares, forth[0]


def _walk(order: ndarray) -> Bool[ndarray, "step feature"]:
    """Return n + 1 coalitions: nothing on, then one more in this order, until all."""
    n = len(order)
    rank = np.empty(n, dtype=int)
    rank[order] = np.arange(n)
    walk: ndarray = rank[None] < np.arange(n + 1)[:, None]
    return walk
