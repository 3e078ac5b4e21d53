"""Integrated gradients: slopes added up along a path from a baseline to the prompt.

Guarantees: what the scores fail to add up to is the integration's error and nothing else,
and it is shown; ``converged`` is claimed only where half as many steps gave the same scores
and they add up; the numbers do not depend on how many points share a pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self, TypeAlias

import numpy as np

from llm_interp_widgets.errors import ParameterError, nearest
from llm_interp_widgets.methods._path import Paths
from llm_interp_widgets.methods._perturbation import count, positive
from llm_interp_widgets.methods._quadrature import (
    Points,
    Trapezoids,
    gauss_legendre,
    on_paths,
    riemann,
    spread_out,
)
from llm_interp_widgets.methods.base import Card
from llm_interp_widgets.models.baselines import settle
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Float64
    from numpy import ndarray

    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.baselines import Baseline

RULES = ("adaptive", "riemann", "gauss_legendre")
_FIRST = 16  # steps of the first look
_MOST = 512  # steps of the last one, on all paths together
_LOOKS = 4  # looks while an adaptive rule doubles its panels


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegratedGradients:
    """Score of token i = (x_i - b_i) · mean of ∂f/∂x_i along the straight path from b to x.

    Several baselines are averaged (expected gradients). On language models a slope lives in
    a few narrow places of the path, which evenly spread steps miss: the adaptive rule puts
    each new step where the last ones failed to explain how f changed.

    A model in 16 bits is read through a float32 copy where memory allows; where it does not,
    the scores are never called converged.

    Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks", 2017; Erion et
    al., "Improving performance of deep learning models with axiomatic attribution priors and
    expected gradients", 2021.

    Attributes:
        baseline: ``"filler"`` (the mask token where there is one, else neutral tokens),
            ``"zero"``, ``"mean"`` (of the embedding table), ``"pad"``, ``"eos"``, ``"mask"``,
            a text of one token, embeddings of shape (d,) or (token, d); or a list of these.
            Special tokens and chat markup always keep their own embeddings.
        steps: Panels of each path; ``"auto"`` doubles them until n and 2n steps agree.
        rule: ``"adaptive"`` trapezoids, which reuse every point; ``"riemann"`` (middles of
            even steps) or ``"gauss_legendre"``, which start anew when steps double, and
            have nothing to be compared with when they are given.
        precision: Converged: no score changes by more than this share of the largest, and
            what they fail to add up to is as small.
        most_steps: Where ``"auto"`` gives up; ``None``: 512, shared by the baselines.
        layer: Whose output is moved instead of the input embeddings: a module's dotted
            name, or the number of a block. Its hidden states of the features go from those
            on the baseline to those on the prompt; all others stay.
    """

    baseline: Baseline | Sequence[Baseline] = "filler"
    steps: int | Literal["auto"] = "auto"
    rule: Literal["adaptive", "riemann", "gauss_legendre"] = "adaptive"
    precision: float = 0.05
    most_steps: int | None = None
    layer: str | int | None = None

    CARD: ClassVar[Card] = Card(
        title="Integrated gradients",
        summary="Slopes along the way from a baseline to the prompt, added up.",
        needs="gradients",
        costs="up to 512 forward passes, and T backward passes for each",
        promises="adds up to output − base up to a gap that is shown",
        caution="Often unconverged on language models: believe it only if it says converged.",
        source="Sundararajan et al. 2017; Erion et al. 2021",
        additive=True,
    )

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            ParameterError: One is out of range.
        """
        if self.steps != "auto":
            object.__setattr__(self, "steps", count("steps", self.steps))
        if self.rule not in RULES:
            raise ParameterError(f"rule={self.rule!r} does not exist. {nearest(self.rule, RULES)}")
        precision = positive("precision", self.precision)
        if precision is None:
            raise ParameterError("precision=None: pass a share of the largest score, such as 0.05.")
        object.__setattr__(self, "precision", precision)
        if self.most_steps is not None:
            object.__setattr__(self, "most_steps", count("most_steps", self.most_steps))

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:  # noqa: ARG002
        """Return itself, with its budget where it is known how many baselines share it."""
        if self.steps != "auto" or isinstance(self.baseline, str):
            return self
        several = isinstance(self.baseline, Sequence)
        return replace(self, most_steps=self._most(len(self.baseline) if several else 1))

    def _most(self, paths: int) -> int:
        if self.steps != "auto":
            return int(self.steps)
        return self.most_steps or max(_FIRST, _MOST // paths)

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield a first impression after every pass, then scores after every round."""
        starts, _ = settle(task.lm, self.baseline)
        paths = Paths(task, starts, self.layer)
        most, auto = self._most(len(starts)), self.steps == "auto"
        if self.rule == "adaptive":
            looks = _adaptive_rounds(paths, halved(most))
        else:
            rule = riemann if self.rule == "riemann" else gauss_legendre
            looks = _even_rounds(paths, rule, doubled(most) if auto else [most])
        for look in looks:
            partial = self._partial(look, paths, auto=auto)
            yield partial
            if partial.final:
                return

    def _partial(self, look: _Look, paths: Paths, *, auto: bool) -> Partial:
        scores = look.shares.mean(0)
        converged = None if look.preview else self._converged(look)
        enough = look.last or (auto and look.fresh and converged is True)
        several = len(look.shares) > 1
        return Partial(
            scores=scores.astype(np.float32),
            spread=look.shares.std(0).astype(np.float32) if several else None,
            base_values=None if look.bases is None else look.bases.mean(0),
            output_values=look.full,
            done=paths.evaluations,
            total=paths.evaluations if enough else max(look.total, paths.evaluations + 1),
            evaluations=paths.evaluations,
            preview=look.preview,
            converged=False if paths.rounded and converged else converged,
            final=enough,
        )

    def _converged(self, look: _Look) -> bool | None:
        """Return whether half as many steps said the same; ``None`` if nobody knows."""
        scores = look.shares.mean(0)
        moved = look.full - look.bases.mean(0)  # type: ignore[union-attr]
        missing = np.abs(scores.sum(-1) - moved)
        largest = np.maximum(np.abs(scores).max(-1), np.finfo(np.float32).tiny)
        if (missing > self.precision * np.maximum(np.abs(moved), largest)).any():
            return False
        if look.coarse is None:
            return None
        change = np.abs(scores - look.coarse.mean(0)).max(-1)
        return bool((change <= self.precision * largest).all())


# ── rounds ────────────────────────────────────────────────────────────────────


EvenRule: TypeAlias = "Callable[[int], tuple[ndarray, ndarray]]"


@dataclass(frozen=True, slots=True)
class _Look:
    """What is known at some moment.

    Attributes:
        shares: (path, output, piece) integrals, or first impressions of them.
        total: Points that were planned.
        bases: (path, output) values of the baselines.
        full: (output,) values of the prompt.
        coarse: The integrals at half as many steps, if known.
        fresh: A round has just ended.
        last: So has the last one.
        preview: No round has ended yet.
    """

    shares: Float64[ndarray, "path output piece"]
    total: int
    bases: Float64[ndarray, "path output"] | None = None
    full: Float64[ndarray, " output"] | None = None
    coarse: Float64[ndarray, "path output piece"] | None = None
    fresh: bool = False
    last: bool = False
    preview: bool = False


def doubled(most: int) -> list[int]:
    """Return steps that double, as long as they stay within ``most``."""
    steps = [min(_FIRST, most)]
    while 2 * steps[-1] <= most:
        steps.append(2 * steps[-1])
    return steps


def halved(most: int) -> list[int]:
    """Return steps that double and end at ``most``."""
    steps = [most]
    while steps[0] > _FIRST:
        steps.insert(0, steps[0] // 2)
    return steps


def _adaptive_rounds(paths: Paths, steps: list[int]) -> Iterator[_Look]:
    """Start evenly, then halve the worst panels; every point is used."""
    count = paths.count
    total = count * (steps[-1] + 1)
    board = Trapezoids(count, paths.outputs, paths.pieces)
    starts = on_paths(np.zeros(1), count)
    board.add(starts, paths.values(starts), np.full((count, paths.outputs, paths.pieces), np.nan))
    grid = on_paths(1 - spread_out(steps[0]) / steps[0], count)
    for part, values, shares in paths.at(grid):
        board.add(grid[part], values, shares)
        if len(board) < count + len(grid):
            yield _Look(board.mean()[None], total, preview=True)
    bases, full = board.ends()
    known, coarse = board.integrals(), None
    for after in [*steps[1:], None]:
        look = _Look(known, total, bases, full, coarse, fresh=True, last=after is None)
        yield look
        if after is None:
            return
        a_look = -(-board.panels // _LOOKS)
        while board.panels < count * after:
            points = board.worst(min(a_look, count * after - board.panels))
            for part, values, shares in paths.at(points):
                board.add(points[part], values, shares)
                yield replace(look, fresh=False)
        known, coarse = board.integrals(), known


def _even_rounds(paths: Paths, rule: EvenRule, steps: list[int]) -> Iterator[_Look]:
    """Take steps that know nothing of the model; more of them are other ones, all new."""
    count = paths.count
    total = count * sum(steps) + count + 1
    path = np.append(np.arange(count), 0)
    ends = paths.values(Points(path, (np.arange(count + 1) == count).astype(float)))
    bases, full = ends[:-1], ends[-1]
    look: _Look | None = None
    for n in steps:
        places, weights = rule(n)
        order = spread_out(n)
        points = on_paths(places[order], count)
        weight = np.repeat(weights[order], count)
        sums: ndarray = np.zeros((count, paths.outputs, paths.pieces))
        for part, _, shares in paths.at(points):
            np.add.at(sums, points.path[part], shares * weight[part, None, None])
            if look is None:
                seen = sums.sum(0) / weight[: part.stop].sum()
                yield _Look(seen[None], total, bases, full, preview=True)
            else:
                yield replace(look, fresh=False)
        coarse = None if look is None else look.shares
        look = _Look(sums, total, bases, full, coarse, fresh=True, last=n == steps[-1])
        yield look
