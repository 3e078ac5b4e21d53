"""Paths from baselines to the prompt: values and slopes at any of their points.

What comes in: a task, baselines, and where the path runs (the input embeddings, or the
output of a layer). What goes out: for each point, the target's value and each piece's share
of the slope along the path.

Guarantees: points are made and added up in at least float32; a 16-bit model is read through
a float32 copy where one fits, for on a path of 16-bit points slopes are noise; passes fit
into memory; what is no feature does not move, so its share is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from llm_interp_widgets.methods._gradients import by_piece, embedded, finite, is_feature
from llm_interp_widgets.models import baselines
from llm_interp_widgets.models.entrances import entrance, widened
from llm_interp_widgets.models.gradients import Passes, in_float32, slopes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Float, Float64
    from numpy import ndarray
    from torch import Tensor

    from llm_interp_widgets.methods._quadrature import Points
    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.baselines import Baseline
    from llm_interp_widgets.models.language_model import LanguageModel


class Paths:
    """Straight paths, one from each baseline.

    Args:
        task: What is asked.
        starts: Baselines that exist; see ``models.baselines.settle``.
        layer: Whose output moves; ``None`` for the input embeddings.

    Attributes:
        count: How many paths.
        outputs: Values at a point.
        pieces: Shares of each.
        evaluations: Points scored so far.
        rounded: The model's 16-bit numbers had to do.
    """

    def __init__(self, task: Task, starts: Sequence[Baseline], layer: str | int | None) -> None:
        copied = in_float32(task.lm)
        self.rounded = copied is None
        self.lm: LanguageModel = copied or task.lm
        self.evaluations = 0
        self.count, self.outputs = len(starts), len(task.question.outputs)
        self.pieces = len(task.pieces)
        self._columns = task.pieces
        self._readouts = task.question.readouts
        self._inputs = embedded(task, self.lm)
        self._entrance = entrance(self.lm, layer)
        feature = is_feature(task)
        off = baselines.rows(self.lm, self._inputs.tokens, feature, starts)
        self._ends = [self._states(off, feature, r) for r in range(len(self._readouts))]
        longest = max(self._inputs.tokens.shape[1] + len(r.suffix) for r in self._readouts)
        self._passes = Passes(self.lm, longest, max(r.keep for r in self._readouts))

    def _states(self, off: Tensor, feature: ndarray, r: int) -> tuple[Tensor, Tensor]:
        """Return where the paths start (path, token, d) and end (1, token, d), wide."""
        readout, place = self._readouts[r], self._entrance
        end = place.states(self._inputs, readout)
        one_by_one = [widened(self._inputs, 1, row[None]) for row in off]
        start = torch.cat([place.states(inputs, readout) for inputs in one_by_one])
        moves = torch.zeros(end.shape[1], dtype=torch.bool, device=end.device)
        moves[: len(feature)] = torch.from_numpy(feature).to(end.device)
        wide = torch.promote_types(end.dtype, torch.float32)
        return torch.where(moves[:, None], start, end).to(wide), end.to(wide)

    def at(
        self, points: Points
    ) -> Iterator[
        tuple[slice, Float64[ndarray, "point output"], Float64[ndarray, "point output piece"]]
    ]:
        """Yield, pass by pass: which points, their values, and each piece's share.

        Raises:
            NonFiniteError: A value or a slope is not finite.
            ModelMemoryError: Not even one point fits into memory.
        """
        for part, (values, shares) in self._passes.over(
            len(points), lambda part: self._pass(points[part])
        ):
            self.evaluations += len(values)
            yield part, values, shares

    def values(self, points: Points) -> Float64[ndarray, "point output"]:
        """Return values alone, without slopes."""
        found = []
        with self.lm.untouched(), torch.inference_mode():
            for _, values in self._passes.over(len(points), lambda p: self._look(points[p])):
                self.evaluations += len(values)
                found.append(values)
        return np.concatenate(found)

    def _pass(self, points: Points) -> tuple[ndarray, ndarray]:
        value: ndarray = np.zeros((len(points), self.outputs))
        share: ndarray = np.zeros((self.outputs, len(points), len(self._inputs.tokens[0])))
        for r in range(len(self._readouts)):
            states, along = self._on_path(points, r)
            found, moved = slopes(
                self.lm,
                lambda leaf, r=r: self._score(leaf, r),  # type: ignore[misc]
                states,
                lambda slope, along=along: (slope * along).sum(-1),  # type: ignore[misc]
            )
            value += self._checked(found)
            share += moved[..., : share.shape[-1]].cpu().double().numpy()
        return value, by_piece(share, self._columns).swapaxes(0, 1)

    def _look(self, points: Points) -> ndarray:
        self.lm.checkpoint()
        total: ndarray = np.zeros((len(points), self.outputs))
        for r in range(len(self._readouts)):
            total += self._checked(self._score(self._on_path(points, r)[0], r))
        return total

    def _on_path(self, points: Points, r: int) -> tuple[Tensor, Tensor]:
        """Return the states at points, in the model's dtype, and where they move, wide."""
        start, end = self._ends[r]
        begin = start[torch.from_numpy(points.path).to(start.device)]
        at = torch.from_numpy(points.at).to(begin.dtype).to(begin.device)[:, None, None]
        along = end - begin
        return (begin + at * along).to(self.lm.model.dtype), along

    def _score(self, states: Float[Tensor, "row token d"], r: int) -> Tensor:
        return self._entrance.forward(states, self._inputs, self._readouts[r])

    def _checked(self, found: Tensor) -> ndarray:
        return finite(found.cpu().double().numpy(), self.lm, self._inputs, self._readouts)
