"""LIME: the slopes of a linear model of the target near the prompt.

Masks, distances, kernel and regression are those of the ``lime`` library's text explainer, so
that equal masks and values give equal scores. Of its own are standard errors, results while it
runs, and the way of switching off (``lime`` always removes words).

Guarantees: the same seed draws the same masks whatever the batch size; scores are those of a fit
to all masks drawn so far; R² says how much of the target that linear model explains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

import numpy as np

from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.methods._perturbation import (
    Budget,
    check_off,
    columns,
    count,
    game,
    positive,
)
from llm_interp_widgets.methods.base import Card
from llm_interp_widgets.results.neighbourhood import Neighbourhood
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Bool, Float64
    from numpy import ndarray

    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.fillers import Off

_DEFAULT_EVALUATIONS = 1_024
_ROWS_A_STEP = 128
_SAMPLES_A_PIECE = 4  # of the default budget
_PENALTY = 1.0  # of lime's regression
_PENALTY_CHOOSING = 0.01  # of the one that chooses features


@dataclass(frozen=True, slots=True, kw_only=True)
class Lime:
    """Local linear regression on random masks, near ones weighing most.

    Source: Ribeiro et al., "Why Should I Trust You?", 2016, as in the library ``lime`` 0.2.
    Standard errors: the sandwich of White, 1980, in its jackknife form (HC3).

    Attributes:
        evaluations: Inputs the model may score; each mask takes one a filler. ``None`` chooses:
            1,024, or four masks a piece for every filler.
        num_features: Keep only so many pieces, those of highest weight, and fit again with
            these alone; the others score 0. ``None`` keeps all.
        kernel_width: Of the kernel exp(-d²/2w²), where d is 100 times the cosine distance of
            the masks: the smaller, the more local.
        seconds: Wall-clock limit.
        off: ``"replace"`` puts a filler where a piece was, ``"remove"`` drops its tokens.
        filler: ``"auto"``, a text of one token, or several whose values are averaged.
    """

    evaluations: int | None = None
    num_features: int | None = None
    kernel_width: float = 25.0
    seconds: float | None = None
    off: Off = "replace"
    filler: str | Sequence[str] = "auto"

    CARD: ClassVar[Card] = Card(
        title="LIME",
        summary="Slopes of a linear model fitted to the target in its own unit near the text; "
        "the lime library fits probabilities: pass liw.Prob(…) for those.",
        needs="forward passes",
        costs="up to `evaluations` forward passes",
        promises="agrees with lime on equal masks; standard errors; R² of the linear model",
        caution="Slopes of a simpler model: with a low R² they say little. They do not add up "
        "to the output.",
        source="Ribeiro et al. 2016",
    )

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            ParameterError: One is out of range.
        """
        for name in ("evaluations", "num_features"):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, count(name, given))
        if self.kernel_width is None:
            raise ParameterError("kernel_width=None must be a positive number; lime's is 25.")
        object.__setattr__(self, "kernel_width", positive("kernel_width", self.kernel_width))
        object.__setattr__(self, "seconds", positive("seconds", self.seconds))
        check_off(self.off)

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:
        """Return the method with a budget, and as many fillers as it pays for.

        Raises:
            ParameterError: There are fewer masks than a linear model has unknowns.
        """
        budget, least = self._budget(features, len(fillers) or 1), features + 2
        if budget < least + 1:
            raise ParameterError(
                f"evaluations={budget} is too few: a linear model of {features} pieces needs "
                f"at least {least + 1}; some {_SAMPLES_A_PIECE * least + 1} for each filler "
                "give usable standard errors."
            )
        paid = fillers[: (budget - 1) // least]
        return replace(self, evaluations=budget, filler=paid or self.filler)

    def _budget(self, features: int, fillers: int) -> int:
        enough = 1 + fillers * _SAMPLES_A_PIECE * (features + 2)
        return self.evaluations or max(_DEFAULT_EVALUATIONS, enough)

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield a fit after every few masks."""
        coalitions = game(task, self.off, self.filler)
        n, fillers = len(coalitions.features), coalitions.fillers
        budget = Budget(self._budget(n, fillers), self.seconds)
        full, empty = coalitions.full(), coalitions.empty()
        # the text itself and everything off are paid for, whether or not a mask is either
        on = masks(n, 1 + (budget.evaluations - 1 - fillers) // fillers, task.seed)
        weights = proximity(on, self.kernel_width)
        values = np.empty((len(on), len(full)))
        final, done, first = False, 0, max(n + 2, _ROWS_A_STEP // fillers)
        while not final:
            # twice as many each time: rows of one length fill their batches
            part = slice(done, min(done + max(first, done), len(on)))
            values[part] = coalitions.values(on[part])
            done = part.stop
            final = done == len(on) or budget.out_of_time()
            fit = explain(on[:done], values[:done], weights[:done], self.num_features)
            yield Partial(
                scores=columns(task, fit.slopes),
                standard_error=columns(task, fit.standard_error),
                fit=fit.r2,
                neighbourhood=Neighbourhood(
                    on[:done], values[:done], weights[:done], fit.intercept
                ),
                base_values=empty,
                output_values=full,
                done=done,
                total=done if final else len(on),
                evaluations=coalitions.evaluations,
                final=final,
            )


def masks(features: int, samples: int, seed: int) -> Bool[ndarray, "sample feature"]:
    """Return lime's neighbourhood: the text itself, then texts with 1 … n pieces off.

    How many are off is uniform, and so is which. (lime draws from an older generator, so equal
    seeds do not give equal masks.)
    """
    random = np.random.default_rng(seed)
    removed = random.integers(1, features + 1, size=samples - 1)
    ranks = random.random((samples - 1, features)).argsort(axis=1).argsort(axis=1)
    return np.concatenate([np.ones((1, features), dtype=bool), ranks >= removed[:, None]])


def proximity(on: Bool[ndarray, "sample feature"], width: float) -> Float64[ndarray, " sample"]:
    """Return lime's kernel: √exp(-d²/w²), d = 100 (1 - cosine of the mask with all ones)."""
    distance = 100 * (1 - np.sqrt(on.mean(axis=1)))
    weights: ndarray = np.exp(-((distance / width) ** 2) / 2)
    return weights


class Fit(NamedTuple):
    """A linear model of each output.

    Attributes:
        slopes: 0 for features that were left out.
        standard_error: Of the slopes over other draws of as many masks, without the shrinkage by
            lime's penalty; NaN for features left out, and everywhere while there are no more
            samples than unknowns.
        intercept: Value of the model with everything off.
        r2: Weighted share of the target's variance that the model explains; lime's "score".
    """

    slopes: Float64[ndarray, "output feature"]
    standard_error: Float64[ndarray, "output feature"]
    intercept: Float64[ndarray, " output"]
    r2: Float64[ndarray, " output"]


def explain(
    on: Bool[ndarray, "sample feature"],
    values: Float64[ndarray, "sample output"],
    weights: Float64[ndarray, " sample"],
    num_features: int | None = None,
) -> Fit:
    """Return lime's explanation of each output from masks and values.

    Args:
        on: Masks; the first one is the text itself.
        values: Of the target under each mask.
        weights: Proximity of each mask.
        num_features: How many to keep (lime's ``"highest_weights"``); ``None`` keeps all.
    """
    n = on.shape[1]
    if num_features is None or num_features >= n:
        return ridge(on, values, weights, _PENALTY)
    first = ridge(on, values, weights, _PENALTY_CHOOSING).slopes
    kept = np.argsort(-np.abs(first), axis=1, kind="stable")[:, :num_features]
    slopes, error = np.zeros_like(first), np.full_like(first, np.nan)
    intercept, r2 = np.empty(len(first)), np.empty(len(first))
    for row, which in enumerate(kept):
        again = ridge(on[:, which], values[:, [row]], weights, _PENALTY)
        slopes[row, which], error[row, which] = again.slopes[0], again.standard_error[0]
        intercept[row], r2[row] = again.intercept[0], again.r2[0]
    return Fit(slopes, error, intercept, r2)


def ridge(on: ndarray, values: ndarray, weights: ndarray, penalty: float) -> Fit:
    """Return the weighted ridge regression with a free intercept, in closed form."""
    total = weights.sum()
    x_mean, y_mean = weights @ on / total, weights @ values / total
    x, y = on - x_mean, values - y_mean
    weighted = x * weights[:, None]
    inverse = np.linalg.inv(weighted.T @ x + penalty * np.eye(x.shape[1]))
    slopes = inverse @ (weighted.T @ y)
    residual = y - x @ slopes
    unexplained, variance = weights @ residual**2, weights @ y**2
    # a constant target is explained wholly by its mean; its variance is rounding, seldom zero
    varies = (np.ptp(values, axis=0) > 0) & (variance > 0)
    r2 = np.where(varies, 1 - unexplained / np.where(varies, variance, 1), 1.0)
    return Fit(
        slopes.T,
        _sandwich(weighted @ inverse, residual, weights, x).T,
        y_mean - x_mean @ slopes,
        r2,
    )


def _sandwich(
    influence: ndarray, residual: ndarray, weights: ndarray, x: ndarray
) -> Float64[ndarray, "feature output"]:
    """Standard errors of slopes from each sample's influence, residuals as if it were left out."""
    samples, features = influence.shape
    if samples <= features + 1:
        return np.full((features, residual.shape[1]), np.nan)
    leverage = (influence * x).sum(axis=1) + weights / weights.sum()
    alone = residual / np.maximum(1 - leverage, np.finfo(float).eps)[:, None]
    error: ndarray = np.sqrt((influence**2).T @ alone**2)
    return error
