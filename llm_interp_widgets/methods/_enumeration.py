"""Shapley values from every coalition there is.

What comes in: a task and its game. What goes out: leave-one-out scores as a preview, then
better and better partials. Guarantees: the last one is exact, unless time ran out, and then it
says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.methods._perturbation import columns, previews
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float64, Int
    from numpy import ndarray

    from llm_interp_widgets.methods._perturbation import Budget
    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.batches import Coalitions

_MOST_FEATURES = 20
_ROWS_A_STEP = 64
_LOOKS = 40  # partials of a run


def evaluations_of_all(features: int, fillers: int) -> int:
    """Return how many inputs all coalitions are; with everything on, no filler is seen."""
    return ((1 << features) - 1) * fillers + 1


def within(evaluations: int | None, features: int, fillers: int) -> bool:
    """Return whether every coalition is to be asked for: wanted (``None``), or within budget.

    Raises:
        ParameterError: Every coalition is wanted, and that is far too many.
    """
    every = evaluations_of_all(features, fillers)
    if evaluations is not None:
        return features <= _MOST_FEATURES and every <= evaluations
    if features > _MOST_FEATURES:
        raise ParameterError(
            f"All coalitions of {features} pieces are {every:.3g} evaluations; at most "
            f"{_MOST_FEATURES} pieces are enumerated. Sample (evaluations=1000), or use "
            "granularity='word' or 'sentence'."
        )
    return True


def enumerate_all(task: Task, game: Coalitions, budget: Budget) -> Iterator[Partial]:
    """Every coalition, from both ends of their sizes inward, so that early partials help.

    A Shapley value is the mean over sizes s of the mean marginal contribution to coalitions
    of s other features; sizes known so far give the estimate in between.
    """
    n, fillers = len(game.features), game.fillers
    full = game.full()
    for first in previews(task, game, budget):
        yield first
    masks = alike_together(n)
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
                yield replace(first, final=True, converged=False, total=game.evaluations)
            elif final or (first_known and done - shown >= total / _LOOKS):
                shown = done
                yield _so_far(task, game, values, budget, final=final)
            if final:
                return


def alike_together(n: int) -> Int[ndarray, " coalition"]:
    """Return all coalitions so that those next to each other begin alike: they share work."""
    numbers = np.arange(2**n, dtype=np.int64)
    masks = np.zeros_like(numbers)
    for i in range(n):
        masks |= (numbers >> (n - 1 - i) & 1) << i
    return masks


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
