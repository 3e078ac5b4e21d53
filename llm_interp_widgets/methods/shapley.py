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
from llm_interp_widgets.methods._perturbation import (
    Budget,
    check_off,
    columns,
    count,
    game,
    leave_one_out,
    positive,
)
from llm_interp_widgets.methods._statistics import Strata
from llm_interp_widgets.methods.base import Card
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Bool, Float64
    from numpy import ndarray

    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.batches import Coalitions
    from llm_interp_widgets.models.fillers import Off

_MOST_FEATURES_EXACT = 20
_DEFAULT_EVALUATIONS = 1_024
_ROWS_A_STEP = 64
_PAIRS = 3  # pairs of orders a filler before an error is believed
_STALE = 20  # pairs a filler without a new coalition
_LOOKS = 40  # partials of an exact run


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
        every = (2**features - 1) * fillers + 1
        if self.evaluations == "all":
            if features > _MOST_FEATURES_EXACT:
                raise ParameterError(
                    f"All coalitions of {features} pieces are {every:.3g} evaluations; at most "
                    f"{_MOST_FEATURES_EXACT} pieces are enumerated. Sample "
                    "(evaluations=1000), or use granularity='word' or 'sentence'."
                )
            return None
        enough = max(_DEFAULT_EVALUATIONS, _PAIRS * fillers * 2 * features)
        chosen = self.evaluations or enough
        return None if features <= _MOST_FEATURES_EXACT and every <= chosen else chosen

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield a leave-one-out preview, then better and better estimates."""
        coalitions = game(task, self.off, self.filler)
        features, fillers = len(coalitions.features), coalitions.fillers
        budget = self._budget(features, fillers)
        if budget is None:
            every = (2**features - 1) * fillers + 1
            yield from _exact(task, coalitions, Budget(every, self.seconds))
        else:
            yield from _sampled(task, coalitions, Budget(budget, self.seconds), self.precision)


# ── sampled ───────────────────────────────────────────────────────────────────


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
        yield _preview(task, game, budget)
    pairs_a_step = max(1, _ROWS_A_STEP // (2 * n))
    drawn, news, stop = 0, 0, False
    while not stop:
        for _ in range(pairs_a_step):
            k = drawn % fillers
            before = game.evaluations
            shares, bases[k] = _pair(game, random.permutation(n), k)
            strata.add(k, shares)
            drawn += 1
            news = drawn if game.evaluations > before else news
            # With nearly every coalition known, further orders would tell nothing new.
            worn_out = drawn - news > _STALE * fillers
            spent = game.evaluations + 2 * n > budget.evaluations
            stop = spent or worn_out or budget.out_of_time()
            if stop:
                break
        mean, error = strata.mean(), strata.standard_error()
        precise = precision is not None and _precise(mean, error, precision)
        stop = stop or (precise and drawn >= _PAIRS * fillers)
        yield Partial(
            scores=columns(task, mean.T),
            standard_error=columns(task, error.T),
            spread=columns(task, strata.spread().T) if fillers > 1 else None,
            base_values=np.nanmean(bases[: min(drawn, fillers)], axis=0),
            output_values=full,
            done=min(game.evaluations, budget.evaluations) if not stop else game.evaluations,
            total=budget.evaluations if not stop else game.evaluations,
            evaluations=game.evaluations,
            converged=precise if precision is not None else None,
            final=stop,
        )


def _pair(game: Coalitions, order: ndarray, filler: int) -> tuple[ndarray, ndarray]:
    """Return (feature, output) shares averaged over an order and its reverse, and the base."""
    values = game.values(np.concatenate([_walk(order), _walk(order[::-1])]), filler)
    forth, back = np.split(values, 2)
    shares = np.empty((len(order), values.shape[1]))
    shares[order] = np.diff(forth, axis=0) / 2
    shares[order[::-1]] += np.diff(back, axis=0) / 2
    return shares, forth[0]


def _walk(order: ndarray) -> Bool[ndarray, "step feature"]:
    """Return n + 1 coalitions: nothing on, then one more in this order, until all."""
    n = len(order)
    rank = np.empty(n, dtype=int)
    rank[order] = np.arange(n)
    walk: ndarray = rank[None] < np.arange(n + 1)[:, None]
    return walk


def _preview(task: Task, game: Coalitions, budget: Budget) -> Partial:
    """Leave-one-out with the first filler: cheap, and its rows are of use later."""
    full = game.full()
    drops = full - game.values(leave_one_out(len(game.features)), 0)
    return Partial(
        scores=columns(task, drops.T),
        base_values=game.empty(0),
        output_values=full,
        done=game.evaluations,
        total=budget.evaluations,
        evaluations=game.evaluations,
        preview=True,
    )


def _precise(mean: ndarray, error: ndarray, precision: float) -> bool:
    if not np.isfinite(error).all():
        return False
    return bool((error.max(0) <= precision * np.abs(mean).max(0)).all())


# ── exact ─────────────────────────────────────────────────────────────────────


def _exact(task: Task, game: Coalitions, budget: Budget) -> Iterator[Partial]:
    """Every coalition, from both ends of their sizes inward, so that early partials help.

    A Shapley value is the mean over sizes s of the mean marginal contribution to coalitions
    of s other features; sizes known so far give the estimate in between.
    """
    n, fillers = len(game.features), game.fillers
    full = game.full()
    preview = _preview(task, game, budget)
    yield preview
    masks = np.arange(2**n, dtype=np.int64)
    sizes = np.bitwise_count(masks)
    values = np.full((fillers, 2**n, len(full)), np.nan)
    total, done, shown = 2**n, 0, 0
    for size in _outside_in(n):
        chosen = masks[sizes == size]
        for start in range(0, len(chosen), _ROWS_A_STEP):
            some = chosen[start : start + _ROWS_A_STEP]
            on = (some[:, None] >> np.arange(n)) & 1
            values[:, some] = game.by_filler(on.astype(bool))
            done += len(some)
            final = done == total or budget.out_of_time()
            first_known = not np.isnan(values[:, 2 ** np.arange(n)]).any()  # each one alone
            if final and not first_known:
                yield replace(preview, final=True, converged=False, total=game.evaluations)
            elif final or (first_known and done - shown >= total / _LOOKS):
                shown = done
                yield _so_far(task, game, values, budget, final=final)
            if final:
                return


def _outside_in(n: int) -> list[int]:
    """Return 0, n, 1, n - 1, …: sizes near the ends have few coalitions and weigh as much."""
    return sorted(range(n + 1), key=lambda size: (min(size, n - size), size > n - size))


def _so_far(
    task: Task, game: Coalitions, values: ndarray, budget: Budget, *, final: bool
) -> Partial:
    by_filler = np.stack([shapley_values(v) for v in values])
    complete = not np.isnan(values).any()
    mean = by_filler.mean(0)
    zero = np.zeros_like(mean) if complete else np.full_like(mean, np.nan)
    spread = by_filler.std(0) if complete and len(values) > 1 else None
    return Partial(
        scores=columns(task, mean.T),
        standard_error=columns(task, zero.T),
        spread=columns(task, spread.T) if spread is not None else None,
        base_values=values[:, 0].mean(axis=0),
        output_values=game.full(),
        done=game.evaluations,
        total=game.evaluations if final else budget.evaluations,
        evaluations=game.evaluations,
        exact=complete,
        converged=None if complete else False,
        final=final,
    )


def shapley_values(
    values: Float64[ndarray, "coalition output"],
) -> Float64[ndarray, "feature output"]:
    """Return Shapley values from the values of coalitions, bit i of the index = feature i.

    Sizes of which no marginal contribution is known (NaN) are left out of the mean.

    Args:
        values: (2ⁿ, outputs); all of them known gives the exact Shapley values.
    """
    n = len(values).bit_length() - 1
    masks = np.arange(len(values))
    sizes = np.bitwise_count(masks)
    shares = np.empty((n, values.shape[1]))
    for i in range(n):
        without = masks[(masks >> i) & 1 == 0]
        gain = values[without | (1 << i)] - values[without]
        size = sizes[without]
        known = ~np.isnan(gain).any(axis=1)
        total = np.zeros((n, values.shape[1]))
        np.add.at(total, size[known], gain[known])
        count = np.bincount(size[known], minlength=n)
        seen = count > 0
        shares[i] = (total[seen] / count[seen, None]).mean(0) if seen.any() else np.nan
    return shares
