"""What the perturbation methods share: their game, their budget, their columns.

Parameters that mean the same in every perturbation method are checked here once.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np

from llm_interp_widgets.errors import ParameterError, nearest
from llm_interp_widgets.models.batches import Coalitions
from llm_interp_widgets.models.fillers import OFF
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Float32, Float64
    from numpy import ndarray

    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.fillers import Off

_PREVIEW_ROWS = 16


@dataclass(slots=True)
class Budget:
    """When to stop.

    Attributes:
        evaluations: Inputs the model may score.
        seconds: Wall-clock limit, or ``None``.
    """

    evaluations: int
    seconds: float | None
    started: float = field(default_factory=time.perf_counter)

    def out_of_time(self) -> bool:
        """Return whether the wall-clock limit has passed."""
        return self.seconds is not None and time.perf_counter() - self.started >= self.seconds


def game(task: Task, off: Off, filler: str | Sequence[str]) -> Coalitions:
    """Return the evaluator of this task's coalitions."""
    question = task.question
    return Coalitions(
        task.lm,
        task.prompt,
        task.pieces,
        question.readouts,
        slot=question.slot,
        off=off,
        filler=filler,
        known=task.memo,
    )


def columns(task: Task, by_feature: ndarray) -> Float32[ndarray, "output input"]:
    """Spread (output, feature) over all pieces; 0 where a piece is never switched off."""
    wide = np.zeros((len(by_feature), len(task.pieces)), dtype=np.float32)
    wide[:, [not piece.special for piece in task.pieces]] = by_feature
    return wide


def leave_one_out(features: int) -> ndarray:
    """Return one row a feature: everything on but that feature."""
    return ~np.eye(features, dtype=bool)


def previews(task: Task, game: Coalitions, budget: Budget) -> Iterator[Partial]:
    """Yield leave-one-out scores with the first filler: cheap, and its rows are of use later."""
    full, empty, rows = game.full(), game.empty(0), leave_one_out(len(game.features))
    drops = np.full((len(rows), len(full)), np.nan)
    for start in range(0, len(rows), _PREVIEW_ROWS):
        part = slice(start, start + _PREVIEW_ROWS)
        drops[part] = full - game.values(rows[part], 0)
        yield Partial(
            scores=columns(task, drops.T),
            base_values=empty,
            output_values=full,
            done=game.evaluations,
            total=budget.evaluations,
            evaluations=game.evaluations,
            preview=True,
        )


def precise(
    mean: Float64[ndarray, "feature output"],
    error: Float64[ndarray, "feature output"],
    precision: float | None,
) -> bool:
    """Return whether the largest error of each output is within a share of its largest mean."""
    if precision is None or not np.isfinite(error).all():
        return False
    return bool((error.max(0) <= precision * np.abs(mean).max(0)).all())


def positive(name: str, value: float | None) -> float | None:
    """Return a limit as a plain number; ``None`` is no limit.

    Raises:
        ParameterError: It is not a positive, finite number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < math.inf:
        raise ParameterError(f"{name}={value!r} must be a positive number, or None for no limit.")
    return float(value)


def count(name: str, value: int) -> int:
    """Return a number of things as a plain integer.

    Raises:
        ParameterError: It is not a whole number of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ParameterError(f"{name}={value!r} must be a positive whole number.")
    return int(value)


def check_off(off: str) -> None:
    """Raise ``ParameterError`` unless this is a way of switching off."""
    if off not in ("replace", "remove"):
        raise ParameterError(f"off={off!r} does not exist. {nearest(str(off), OFF)}")
