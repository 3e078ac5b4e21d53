"""Occlusion: what the target loses when one feature, or a window of neighbours, is switched off.

Guarantees: exact by its own definition; the same numbers whatever the batch size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.methods._perturbation import check_off, columns, count, game
from llm_interp_widgets.methods.base import Card
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Bool
    from numpy import ndarray

    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.fillers import Off

_ROWS_A_STEP = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Occlusion:
    """Sliding windows of features: score of i = mean of v(all) - v(all but window).

    The mean is over the windows that hold feature i, and over fillers. A window of one is
    leave-one-out.

    Source: Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", 2014.

    Attributes:
        window: Neighbouring features that are switched off together.
        stride: Features from one window to the next, at most ``window``; the last window ends
            with the text, and may be shorter.
        off: ``"replace"`` puts a filler where a feature was, ``"remove"`` drops it.
        filler: ``"auto"``, a text of one token, or several that are averaged.
    """

    window: int = 1
    stride: int = 1
    off: Off = "replace"
    filler: str | Sequence[str] = "auto"

    CARD: ClassVar[Card] = Card(
        title="Occlusion",
        summary="What is lost when this piece alone, or its window, is switched off.",
        needs="forward passes",
        costs="n·K + 1 forward passes; with a stride, that part of them",
        promises="exact by its own definition; does not add up to the output",
        caution="Pieces that say the same thing hide each other: both can score near 0.",
        source="Zeiler & Fergus 2014",
    )

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            ParameterError: One does not exist, or a stride would leave features out.
        """
        for name in ("window", "stride"):
            object.__setattr__(self, name, count(name, getattr(self, name)))
        if self.stride > self.window:
            raise ParameterError(
                f"stride={self.stride} leaves out pieces between windows of {self.window}: "
                "a stride is at most the window."
            )
        check_off(self.off)

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self:
        """Return the method with its fillers named.

        Raises:
            ParameterError: The window is wider than the text.
        """
        if self.window > features:
            raise ParameterError(
                f"window={self.window} is wider than the text, which has {features} pieces."
            )
        return replace(self, filler=fillers or self.filler)

    def run(self, task: Task) -> Iterator[Partial]:
        """Yield after every few windows, then once all are known."""
        coalitions = game(task, self.off, self.filler)
        fillers = coalitions.fillers
        full, empty = coalitions.full(), coalitions.empty()
        held = windows(len(coalitions.features), self.window, self.stride)
        drops = np.full((fillers, len(held), len(full)), np.nan)
        shares = (held / held.sum(axis=0)).T  # (feature, window)
        for start in range(0, len(held), _ROWS_A_STEP):
            part = slice(start, start + _ROWS_A_STEP)
            drops[:, part] = full - coalitions.by_filler(~held[part])
            done = min(start + _ROWS_A_STEP, len(held))
            scores = shares[:, :done] @ drops[:, :done]
            scores[:, held[done:].any(axis=0)] = np.nan  # a window of theirs is still to come
            yield Partial(
                scores=columns(task, scores.mean(0).T),
                spread=columns(task, scores.std(0).T) if fillers > 1 else None,
                base_values=empty,
                output_values=full,
                done=done,
                total=len(held),
                evaluations=coalitions.evaluations,
                exact=done == len(held),
                final=done == len(held),
            )


def windows(features: int, window: int, stride: int) -> Bool[ndarray, "window feature"]:
    """Return which features each window holds; the last one ends with the last feature."""
    starts = np.arange(0, features - window + stride, stride)[:, None]
    at = np.arange(features)
    held: ndarray = (at >= starts) & (at < starts + window)
    return held
