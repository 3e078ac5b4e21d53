"""KernelSHAP: Shapley values by regression on coalitions, each asked with its complement.

Exact where all coalitions fit into the budget. Otherwise coalitions of uniform size (leverage
sampling), none twice, and a regression that knows interactions as well as single pieces (see
``_gaussian_process``): fewer inputs for the same error than permutations or linear regression
need, at the price of errors that rest on a model of the game.

Guarantees: every estimate adds up to output - base; the same seed gives the same numbers
whatever the batch size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np

from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.methods._enumeration import enumerate_all, evaluations_of_all, within
from llm_interp_widgets.methods._gaussian_process import Pairs, choose, infer
from llm_interp_widgets.methods._perturbation import (
    Budget,
    check_off,
    columns,
    count,
    game,
    positive,
    precise,
)
from llm_interp_widgets.methods._statistics import Z95, student_t
from llm_interp_widgets.methods.base import Card
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Bool, Int
    from numpy import ndarray

    from llm_interp_widgets.methods._gaussian_process import Posterior
    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.batches import Coalitions
    from llm_interp_widgets.models.fillers import Off

_DEFAULT_EVALUATIONS = 1_024
_MOST_EVALUATIONS = 8_192  # the regression costs the cube of half of it
_PAIRS_A_PIECE = 3  # before an error is believed
_PAIRS_A_STEP, _GROWTH = 8, 2  # at least so many; and a share of those there are
_PAIRS_TO_CHOOSE_BY = 512
_TRIES = 60  # rounds without a new pair before all count as used up


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelShap:
    """Shapley values of the game v(S) = target with only the pieces in S switched on.

    Source: Lundberg & Lee, "A Unified Approach to Interpreting Model Predictions", 2017;
    pairs: Covert & Lee, 2021; leverage sampling: Musco & Witter, 2025; interactions in the
    regression: Fumagalli et al., 2026.

    Attributes:
        evaluations: Inputs the model may score, at most 8,192; ``"all"`` enumerates every
            coalition; ``None`` chooses: 1,024, or what three pairs a piece for each filler need.
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
        title="KernelSHAP",
        summary="Each piece's Shapley value, by regression on coalitions and their complements.",
        needs="forward passes",
        costs="up to `evaluations` forward passes; exact costs 2ⁿ·K",
        promises="adds up to output − base; standard errors; exact for few pieces; smallest "
        "error for its evaluations",
        caution="Text with pieces switched off is unusual text; models may read it oddly. "
        "Standard errors hold as far as the regression's model of interactions does.",
        source="Lundberg & Lee 2017; Covert & Lee 2021; Musco & Witter 2025",
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
            ParameterError: Too many pieces to enumerate, or a budget out of range.
        """
        budget, once = self._budget(features, len(fillers) or 1), 2 * features + 1
        if budget is None:
            return replace(self, filler=fillers or self.filler)
        if once + 1 > _MOST_EVALUATIONS:
            raise ParameterError(
                f"{features:,} pieces are too many for this regression, which takes at most "
                f"{_MOST_EVALUATIONS // 2 - 1:,}. Use granularity='word' or 'sentence', or "
                "method='owen'."
            )
        if budget < once + 1:
            raise ParameterError(
                f"evaluations={budget} is too few: one pair of coalitions for each of "
                f"{features} pieces takes {once + 1}, and standard errors to rely on "
                f"{_PAIRS_A_PIECE * once + 1}."
            )
        if budget > _MOST_EVALUATIONS:
            raise ParameterError(
                f"evaluations={budget:,} is too many for this regression, which takes at most "
                f"{_MOST_EVALUATIONS:,}. method='shapley' has no such limit."
            )
        paid = fillers[: (budget - 1) // once]
        return replace(self, evaluations=budget, filler=paid or self.filler)

    def _budget(self, features: int, fillers: int) -> int | None:
        """Return how many inputs to score by sampling; ``None``: every coalition fits."""
        if self.evaluations == "all":
            within(None, features, fillers)
            return None
        enough = 1 + fillers * (2 * _PAIRS_A_PIECE * features + 1)
        enough = min(max(_DEFAULT_EVALUATIONS, enough), _MOST_EVALUATIONS)
        chosen = self.evaluations or enough
        return None if within(chosen, features, fillers) else chosen

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield better and better estimates."""
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
    """Ask for pairs, one filler after the other, until precise or out of budget."""
    n, fillers = len(game.features), game.fillers
    draw = _Draw(n, fillers, np.random.default_rng(task.seed))
    ends = game.by_filler(np.repeat([[False], [True]], n, axis=1))
    on, turns = np.ones((fillers, n), dtype=bool), np.arange(fillers)
    odd = (ends[:, 1] - ends[:, 0]) / 2
    chosen_at, stop = 0, False
    while not stop:
        left = (budget.evaluations - game.evaluations) // 2
        more, whose = draw.pairs(min(left, max(_PAIRS_A_STEP, len(on) // _GROWTH)))
        if len(more):
            values = game.each(np.concatenate([more, ~more]), np.concatenate([whose, whose]))
            new = (values[: len(more)] - values[len(more) :]) / 2
            on, turns = np.concatenate([on, more]), np.concatenate([turns, whose])
            odd = np.concatenate([odd, new])
        pairs = Pairs(on, turns, odd, fillers)
        out = not len(more) or budget.evaluations - game.evaluations < 2 or budget.out_of_time()
        if len(on) >= 2 * chosen_at or out:
            chosen_at = len(on)
            priors = choose(pairs.first(_PAIRS_TO_CHOOSE_BY))
        estimate = infer(pairs, priors)
        error = _error(estimate, len(pairs) - n * fillers)
        enough = len(pairs) >= _PAIRS_A_PIECE * n * fillers
        converged = enough and precise(estimate.mean, error, precision)
        stop = converged or out
        yield Partial(
            scores=columns(task, estimate.mean.T),
            standard_error=columns(task, error.T),
            spread=columns(task, estimate.by_filler.std(0).T) if fillers > 1 else None,
            base_values=ends[:, 0].mean(0),
            output_values=ends[0, 1],
            done=game.evaluations,
            total=game.evaluations if stop else budget.evaluations,
            evaluations=game.evaluations,
            converged=converged if precision is not None else None,
            final=stop,
        )


def _error(estimate: Posterior, degrees: int) -> ndarray:
    """Standard errors; Student's t pays for a prior that was chosen by the same few pairs."""
    return estimate.deviation * student_t(max(degrees, 2)) / Z95


class _Draw:
    """Pairs of uniform size, otherwise uniform, each at most once a filler, fillers in turn."""

    def __init__(self, features: int, fillers: int, random: np.random.Generator) -> None:
        self._n, self._fillers, self._random = features, fillers, random
        self._seen: set[tuple[int, bytes]] = set()
        self._turn = 0

    def pairs(self, count: int) -> tuple[Bool[ndarray, "pair feature"], Int[ndarray, " pair"]]:
        """Return at most so many new pairs and their fillers; none if they are used up."""
        found: list[ndarray] = []
        whose: list[int] = []
        for _ in range(_TRIES * (self._n > 1)):
            sizes = self._random.integers(1, self._n, size=max(count, 16))
            ranks = self._random.random((len(sizes), self._n)).argsort(axis=1).argsort(axis=1)
            for row in ranks < sizes[:, None]:
                key = (self._turn, np.packbits(row if row[0] else ~row).tobytes())
                if len(found) < count and key not in self._seen:
                    self._seen.add(key)
                    found.append(row)
                    whose.append(self._turn)
                    self._turn = (self._turn + 1) % self._fillers
            if len(found) >= count:
                break
        rows = np.array(found, dtype=bool).reshape(len(found), self._n)
        return rows, np.array(whose, dtype=int)
