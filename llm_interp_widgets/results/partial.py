"""Partial: what a method yields; Merged: everything yielded so far, as one picture.

Guarantees: a ``Partial`` names rows that *replace* what was there, so merging the same
one twice changes nothing. ``Merged`` starts as all-NaN (absent) and never loses a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64
    from numpy import ndarray

    from llm_interp_widgets.results.neighbourhood import Neighbourhood


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """Some rows of an attribution, better than or equal to what came before.

    Attributes:
        row: First output row that is replaced.
        scores: New rows; NaN where a score is not known yet.
        standard_error: Of the same shape; NaN where not known; ``None`` if the method
            has none.
        spread: Standard deviation of the scores over the fillers, same shape.
        fit: Weighted R² of the local linear model, for all outputs; ``None`` if the method
            fits none.
        neighbourhood: What that model was fitted to.
        base_values: Target with every feature switched off, for all outputs.
        output_values: Target on the prompt as it is, for all outputs.
        done: Work finished, in the method's own unit.
        total: Work expected; may shrink when a method stops early.
        evaluations: Inputs scored by the model so far.
        preview: Scores of a cheaper stand-in that later partials replace.
        final: Nothing comes after this one.
        without: For each output, what the model would have said without the pieces that
            mattered most, in words; empty where that is not known.
        exact: The scores are the method's definition, not an estimate.
        converged: Whether the estimate reached what was asked; ``None``: not applicable.
    """

    scores: Float32[ndarray, "rows input"]
    row: int = 0
    standard_error: Float32[ndarray, "rows input"] | None = None
    spread: Float32[ndarray, "rows input"] | None = None
    fit: Float64[ndarray, " output"] | None = None
    neighbourhood: Neighbourhood | None = None
    base_values: Float64[ndarray, " output"] | None = None
    output_values: Float64[ndarray, " output"] | None = None
    done: int = 0
    total: int = 0
    evaluations: int = 0
    preview: bool = False
    final: bool = False
    without: tuple[str, ...] = ()
    exact: bool = False
    converged: bool | None = None


def _absent(*shape: int) -> ndarray:
    return np.full(shape, np.nan, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Every row so far. Immutable: ``merge`` returns a new one."""

    scores: Float32[ndarray, "output input"]
    standard_error: Float32[ndarray, "output input"] | None = None
    spread: Float32[ndarray, "output input"] | None = None
    fit: Float64[ndarray, " output"] | None = None
    neighbourhood: Neighbourhood | None = None
    base_values: Float64[ndarray, " output"]
    output_values: Float64[ndarray, " output"]
    without: tuple[str, ...] = ()
    last: Partial = field(default_factory=lambda: Partial(scores=_absent(0, 0)))

    @classmethod
    def empty(cls, outputs: int, inputs: int) -> Merged:
        """Return a picture in which nothing is known yet."""
        unknown = np.full(outputs, np.nan)
        return cls(scores=_absent(outputs, inputs), base_values=unknown, output_values=unknown)

    def merge(self, partial: Partial) -> Merged:
        """Return this picture with the partial's rows replaced."""
        return replace(
            self,
            scores=_put(self.scores, partial.row, partial.scores),
            standard_error=self._rows(self.standard_error, partial.row, partial.standard_error),
            spread=self._rows(self.spread, partial.row, partial.spread),
            fit=self.fit if partial.fit is None else np.array(partial.fit, dtype=np.float64),
            neighbourhood=partial.neighbourhood or self.neighbourhood,
            base_values=_newer(partial.base_values, self.base_values),
            output_values=_newer(partial.output_values, self.output_values),
            without=partial.without or self.without,
            last=partial,
        )

    def _rows(self, old: ndarray | None, row: int, new: ndarray | None) -> ndarray | None:
        if new is None:
            return old
        return _put(_absent(*self.scores.shape) if old is None else old, row, new)

    @property
    def completeness_gap(self) -> Float64[ndarray, " output"]:
        """Share of ``output - base`` that the scores fail to add up to; NaN if unknown."""
        explained = self.scores.astype(np.float64).sum(axis=1)
        wanted = self.output_values - self.base_values
        size = np.maximum(np.abs(wanted), np.finfo(np.float32).eps)
        gap: ndarray = np.abs(explained - wanted) / size
        return gap


def _newer(new: ndarray | None, old: ndarray) -> ndarray:
    return old if new is None else np.array(new, dtype=np.float64)


def _put(old: ndarray, row: int, new: ndarray) -> ndarray:
    out = old.copy()
    out[row : row + len(new)] = new
    return out
