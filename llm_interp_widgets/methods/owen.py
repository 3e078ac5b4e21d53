"""Owen values: each piece's share of output - base over a tree of the text.

A text's shares go to its sentences, a sentence's to its phrases, and so on down to the pieces;
whoever shares a node's worth looks at the two halves of it alone, with what lies outside of the
node wholly on or wholly off on every level. A tree of n pieces is thus exact after about n²
coalitions, not 2ⁿ.

Guarantees: every partial adds up to output - base; what has not been divided yet is spread evenly
over the pieces below it; the same numbers whatever the batch size and the seed.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

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
from llm_interp_widgets.results.partial import Partial
from llm_interp_widgets.text.tree import text_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Bool, Float64
    from numpy import ndarray

    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.batches import Coalitions
    from llm_interp_widgets.models.fillers import Off
    from llm_interp_widgets.text.tree import TextTree

_DEFAULT_EVALUATIONS = 500
_ROWS_A_STEP = 128  # few enough to follow the largest effects, enough to share prefixes
_MOST_TO_THE_END = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Owen:
    """Hierarchical Owen values, the node of largest effect divided first.

    Source: Owen, "Values of games with a priori unions", 1977; as an anytime algorithm over a
    binary tree: shap's Partition explainer (Lundberg).

    Attributes:
        evaluations: Inputs the model may score; ``"all"`` divides the whole tree; ``None``
            chooses: 500, or what dividing each node once with every filler needs.
        seconds: Wall-clock limit.
        off: ``"replace"`` puts a filler where a piece was, ``"remove"`` drops its tokens.
        filler: ``"auto"``, a text of one token, or several whose games are averaged.
    """

    evaluations: int | Literal["all"] | None = None
    seconds: float | None = None
    off: Off = "replace"
    filler: str | Sequence[str] = "auto"

    CARD: ClassVar[Card] = Card(
        title="Owen values",
        summary="Each piece's fair share of output − base, divided down a tree: text, sentence, "
        "phrase, word, token.",
        needs="forward passes",
        costs="up to `evaluations` forward passes; exact costs about n²·K",
        promises="adds up to output − base at any budget; exact once the whole tree is divided",
        caution="Pieces are switched with their neighbours, so scores depend on the tree; what "
        "the budget has not divided is spread evenly over its pieces.",
        source="Owen 1977; shap's Partition explainer",
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
        object.__setattr__(self, "seconds", positive("seconds", self.seconds))
        check_off(self.off)

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:
        """Return the method with a budget, and as many fillers as it pays for.

        Raises:
            ParameterError: Not even the root can be divided, or "all" of it is endless.
        """
        if self.evaluations == "all":
            _refuse_endless(_least_to_the_end(features, len(fillers) or 1))
            return replace(self, filler=fillers or self.filler)
        budget, once = self._budget(features, len(fillers) or 1), 2 * features - 1
        least = min(2 * features, 4)
        if budget < least:
            raise ParameterError(
                f"evaluations={budget} is too few: dividing the text once takes {least}, and "
                f"each node of its tree once takes {once + 1} for each filler."
            )
        paid = fillers[: max(1, (budget - 1) // once)]
        return replace(self, evaluations=budget, filler=paid or self.filler)

    def _budget(self, features: int, fillers: int) -> int:
        if isinstance(self.evaluations, int):
            return self.evaluations
        return max(_DEFAULT_EVALUATIONS, 1 + fillers * (2 * features - 1))

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield after every step down the tree.

        Raises:
            ParameterError: The whole tree is asked for and far too large.
        """
        coalitions = game(task, self.off, self.filler)
        tree = text_tree(task.pieces, task.prompt.text)
        every = evaluations_to_the_end(tree, coalitions.fillers)
        if self.evaluations == "all":
            _refuse_endless(every)
            limit = every
        else:
            limit = min(every, self._budget(tree.features, coalitions.fillers))
        for step in divide(coalitions, tree, Budget(limit, self.seconds)):
            yield Partial(
                scores=columns(task, step.shares.mean(0).T),
                spread=columns(task, step.shares.std(0).T) if coalitions.fillers > 1 else None,
                base_values=step.empty,
                output_values=step.full,
                done=step.evaluations,
                total=step.evaluations if step.final else limit,
                evaluations=step.evaluations,
                exact=step.exact,
                converged=None if step.exact else False,
                final=step.final,
            )


@dataclass(frozen=True, slots=True)
class Division:
    """How far a text has been divided.

    Attributes:
        shares: Of every feature, for each filler.
        empty: Value with everything off, averaged over fillers.
        full: Value with everything on.
        evaluations: Inputs scored so far.
        exact: Nothing is left to divide.
        final: Nothing comes after this.
    """

    shares: Float64[ndarray, "filler feature output"]
    empty: Float64[ndarray, " output"]
    full: Float64[ndarray, " output"]
    evaluations: int
    exact: bool
    final: bool


@dataclass(order=True, slots=True)
class _Open:
    """A node that is to be divided, in one context; the order is that of urgency.

    Attributes:
        effect: Minus its weighted effect, the largest over outputs.
        turn: Decides between equals: the earlier first.
        node: Of the tree.
        context: What is on outside of the node; the node itself is off.
        without: Values with the node off, (filler, output).
        whole: Values with the node on, (filler, output).
        weight: Share of all orders in which this context comes up.
    """

    effect: float
    turn: int
    node: int = field(compare=False)
    context: ndarray = field(compare=False)
    without: ndarray = field(compare=False)
    whole: ndarray = field(compare=False)
    weight: float = field(compare=False)

    @property
    def worth(self) -> ndarray:
        """What it has to divide."""
        worth: ndarray = self.weight * (self.whole - self.without)
        return worth


def divide(game: Coalitions, tree: TextTree, budget: Budget) -> Iterator[Division]:
    """Divide the worth of the whole text down the tree.

    Dividing a node asks for its left and its right half alone, in the node's context, and hands
    half of the node's weight to each half on its own and half to each beside the other.

    Args:
        game: What coalitions are worth.
        tree: Over the game's features.
        budget: When to stop; never exceeded, but a step that has begun is finished.

    Yields:
        The shares after every step; each adds up to full - empty.
    """
    work = _Work(game, tree)
    pairs_a_step = max(1, _ROWS_A_STEP // (2 * game.fillers))
    while True:
        pairs = min(pairs_a_step, (budget.evaluations - game.evaluations) // (2 * game.fillers))
        exact = not work.waiting
        final = exact or pairs < 1 or (work.begun and budget.out_of_time())
        if work.begun or final:
            yield work.state(exact=exact, final=final)
        if final:
            return
        work.step(pairs)


class _Work:
    def __init__(self, game: Coalitions, tree: TextTree) -> None:
        n = tree.features
        off = np.zeros(n, dtype=bool)
        ends = game.by_filler(np.stack([off, ~off]))
        self.waiting: list[_Open] = []
        self.begun = False
        self._game, self._tree, self._turn = game, tree, 0
        self._empty, self._full = ends[:, 0], ends[:, 1]
        self._shares = np.zeros((game.fillers, n, ends.shape[2]))
        self._add(2 * n - 2, off, self._empty, self._full, 1.0)

    def step(self, pairs: int) -> None:
        """Divide up to so many nodes, the largest effects first, in one call of the game."""
        self.begun = True
        n, spans, children = self._tree.features, self._tree.spans, self._tree.children
        chosen = [heapq.heappop(self.waiting) for _ in range(min(pairs, len(self.waiting)))]
        rows = np.repeat([item.context for item in chosen], 2, axis=0)
        for k, item in enumerate(chosen):
            for row, child in zip(rows[2 * k : 2 * k + 2], children[item.node - n], strict=True):
                row[slice(*spans[child])] = True
        values = self._game.by_filler(rows)
        for k, item in enumerate(chosen):
            left, right = (int(child) for child in children[item.node - n])
            left_on, right_on = rows[2 * k].copy(), rows[2 * k + 1].copy()
            with_left, with_right = values[:, 2 * k], values[:, 2 * k + 1]
            half = item.weight / 2
            self._add(left, item.context, item.without, with_left, half)
            self._add(right, item.context, item.without, with_right, half)
            self._add(left, right_on, with_right, item.whole, half)
            self._add(right, left_on, with_left, item.whole, half)

    def _add(
        self,
        node: int,
        context: Bool[ndarray, " feature"],
        without: ndarray,
        whole: ndarray,
        weight: float,
    ) -> None:
        if node < self._tree.features:
            self._shares[:, node] += weight * (whole - without)
            return
        effect = -weight * float(np.abs((whole - without).mean(0)).max())
        self._turn += 1
        item = _Open(effect, self._turn, node, context, without, whole, weight)
        heapq.heappush(self.waiting, item)

    def state(self, *, exact: bool, final: bool) -> Division:
        """Return the shares, with what waits spread evenly over the features below it."""
        shares = self._shares.copy()
        by_node: dict[int, ndarray] = {}
        for item in self.waiting:
            by_node[item.node] = by_node.get(item.node, 0) + item.worth
        for node, worth in by_node.items():
            low, high = self._tree.spans[node]
            shares[:, low:high] += worth[:, None] / (high - low)
        return Division(
            shares=shares,
            empty=self._empty.mean(0),
            full=self._full[0],
            evaluations=self._game.evaluations,
            exact=exact,
            final=final,
        )


def evaluations_to_the_end(tree: TextTree, fillers: int) -> int:
    """Return how many inputs the whole tree takes: a node of depth d is divided 2ᵈ times."""
    divisions = sum(2 ** int(depth) for depth in tree.depths[tree.features :])
    return int(1 + fillers * (1 + 2 * divisions))


def _least_to_the_end(features: int, fillers: int) -> int:
    """Return how many inputs the most balanced tree takes, or a few less."""
    # divisions: f(n) = 1 + 2 f(n/2) + 2 f(n/2) with f(1) = 0, which is (n² - 1) / 3
    return 1 + fillers * (1 + 2 * (features**2 - 1) // 3)


def _refuse_endless(every: int) -> None:
    if every > _MOST_TO_THE_END:
        raise ParameterError(
            f"Dividing the whole tree of this text takes {every:,} evaluations or more; at most "
            f"{_MOST_TO_THE_END:,} are begun. Give a number (evaluations=2000), or use "
            "granularity='word' or 'sentence'."
        )
