"""The coalition evaluator: which features are on -> what the model says.

What comes in: a prompt, its pieces, a question (what to read from the model), a way of
switching features off, and boolean rows: one coalition each. What goes out: one value an
output for each row, in float64.

Guarantees: nothing is re-tokenised; the same input is scored once, ever, also when an error
or a cancel comes between; what rows share is read once where the model allows it (see
``tree``); the batch fits the device (see ``scoring``); the model is untouched.

Perturbation methods differ only in which coalitions they ask for and what they make of the
answers. Where several fillers stand in for a switched-off feature, the game that is played
is their average: v(S) = mean over fillers k of v(S, k).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llm_interp_widgets.models.fillers import AUTO, anchor, fillers
from llm_interp_widgets.models.scoring import Row, Scorer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float64, Int
    from numpy import ndarray

    from llm_interp_widgets.models.fillers import Off
    from llm_interp_widgets.models.language_model import LanguageModel, Readout
    from llm_interp_widgets.text.tokens import Prompt, Token

_Key = tuple[bytes, int]
Known = dict[_Key, "Float64[ndarray, ' output']"]


class Coalitions:
    """Scores coalitions of one prompt's features.

    Args:
        lm: The model.
        prompt: What is explained.
        pieces: The prompt's pieces; those not ``special`` are the features.
        readouts: What to read; their values are added.
        slot: Where a masked model is read.
        off: ``"replace"`` puts a filler where a feature was, ``"remove"`` drops its tokens.
        filler: ``"auto"``, one text, or several whose values are averaged.
        known: Values found before, of the same prompt and question; shared and grown.

    Raises:
        ParameterError: A filler is not a single token.
        PromptTooLongError: The prompt and what is teacher-forced do not fit the model.
    """

    def __init__(
        self,
        lm: LanguageModel,
        prompt: Prompt,
        pieces: Sequence[Token],
        readouts: Sequence[Readout],
        *,
        slot: int | None = None,
        off: Off = "replace",
        filler: str | Sequence[str] = AUTO,
        known: Known | None = None,
    ) -> None:
        self.lm = lm
        self.off = off
        self.features = tuple(piece for piece in pieces if not piece.special)
        self._ids = np.array(prompt.ids, dtype=np.int64)
        self._segments = None if prompt.segments is None else np.array(prompt.segments)
        self._slot = slot
        self._feature = np.full(len(self._ids), -1)
        for index, piece in enumerate(self.features):
            self._feature[piece.position : piece.position + piece.size] = index
        self.filler_ids, self.filler_names = fillers(lm, filler, off)
        self._known: Known = {} if known is None else known
        self._asked: set[_Key] = set()
        self._scorer = Scorer(lm, readouts)
        lm.check_length(len(self._ids), max(len(r.suffix) for r in readouts))

    @property
    def fillers(self) -> int:
        """How many fillers are averaged; 1 for ``off="remove"``."""
        return len(self.filler_ids)

    @property
    def evaluations(self) -> int:
        """Distinct inputs whose value was asked for, known before or not."""
        return len(self._asked)

    def full(self) -> Float64[ndarray, " output"]:
        """Return the value of the prompt as it is."""
        value: ndarray = self.values(np.ones((1, len(self.features)), dtype=bool), 0)[0]
        return value

    def empty(self, filler: int | None = None) -> Float64[ndarray, " output"]:
        """Return the value with everything off, for one filler or averaged over all."""
        value: ndarray = self.values(np.zeros((1, len(self.features)), dtype=bool), filler)[0]
        return value

    def values(
        self, coalitions: Bool[ndarray, "row feature"], filler: int | None = None
    ) -> Float64[ndarray, "row output"]:
        """Return the value of each coalition.

        Args:
            coalitions: True where a feature is on.
            filler: Which filler stands in for what is off; ``None`` averages all.

        Raises:
            NonFiniteError: The model returned NaN or infinity.
            ModelMemoryError: Not even one row fits into memory.
            CancelledJobError: The model's handle was told to stop.
        """
        which = range(self.fillers) if filler is None else (filler,)
        mean: ndarray = self._ask(coalitions, which).mean(axis=0)
        return mean

    def by_filler(
        self, coalitions: Bool[ndarray, "row feature"]
    ) -> Float64[ndarray, "filler row output"]:
        """Return the value of each coalition for each filler; raises what ``values`` does."""
        return self._ask(coalitions, range(self.fillers))

    def each(
        self, coalitions: Bool[ndarray, "row feature"], fillers: Int[ndarray, " row"]
    ) -> Float64[ndarray, "row output"]:
        """Return the value of each coalition for its own filler; raises what ``values`` does."""
        rows = np.asarray(coalitions, dtype=bool)
        keys = [self._key(row, int(k)) for row, k in zip(rows, fillers, strict=True)]
        unknown: dict[_Key, Row] = {}
        for key, row, k in zip(keys, rows, fillers, strict=True):
            if key not in self._known and key not in unknown:
                unknown[key] = self._row(row, int(k))
        names = list(unknown)
        for some, values in self._scorer.score(list(unknown.values())):
            self._known.update((names[i], value) for i, value in zip(some, values, strict=True))
            self._asked.update(names[i] for i in some)
        self._asked.update(keys)
        return np.stack([self._known[key] for key in keys])

    def _ask(self, coalitions: ndarray, which: Sequence[int]) -> ndarray:
        rows, times = len(coalitions), len(which)
        values = self.each(np.tile(coalitions, (times, 1)), np.repeat(np.array(which), rows))
        return values.reshape(times, rows, -1)

    def _key(self, row: ndarray, filler: int) -> _Key:
        # With everything on no filler is seen, so that row is shared by all of them. What is
        # removed has a filler of its own, -1, so that ways of switching off never mix.
        return (np.packbits(row).tobytes(), -1 if row.all() else self.filler_ids[filler])

    def _row(self, features: Bool[ndarray, " feature"], filler: int) -> Row:
        on = np.append(features, True)[self._feature]  # what is no feature is on
        if self.off == "replace":
            ids = np.where(on, self._ids, self.filler_ids[filler])
            return Row(ids, self._segments, self._slot)
        if not on.any():
            return Row(np.array([anchor(self.lm)]))
        segments = None if self._segments is None else self._segments[on]
        slot = None if self._slot is None else int(on[: self._slot].sum())
        return Row(self._ids[on], segments, slot)
