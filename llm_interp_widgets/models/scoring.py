"""Scoring: many rows of one prompt, in batches that fit.

What comes in: rows of token ids and what to read from them. What goes out, batch by batch
as they finish: which rows, and their values.

Guarantees: no row is padded; the batch is fitted to the device and halved when memory runs
out, and a finished row is never scored again; a value that is not finite is an error that
names the module it came from. On a GPU the next batch is prepared while the last one runs.
"""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from llm_interp_widgets.errors import ModelMemoryError, NonFiniteError
from llm_interp_widgets.models.diagnose import first_nonfinite, where_from
from llm_interp_widgets.models.language_model import Inputs
from llm_interp_widgets.models.memory import DO, out_of_memory, release
from llm_interp_widgets.models.tree import Entry, PrefixTree, shares_prefixes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Float, Float64, Int
    from numpy import ndarray
    from torch import Tensor

    from llm_interp_widgets.models.language_model import LanguageModel, Readout

# Larger batches gain little; smaller ones let partial results through sooner.
_TOKENS_A_BATCH = {"cpu": 2_048, "mps": 8_192, "cuda": 65_536}
_WORK_A_LAYER = 3.5e10  # tokens x parameters on a CPU: a cancel waits for one layer
_VALUES_A_BATCH = 64_000_000  # logits are the largest tensor: 256 MB in float32
_IN_FLIGHT = 3  # batches on a GPU before the first one is waited for
_WORTH_A_TREE = 0.95  # share of the tokens that is left to be read


@dataclass(frozen=True, slots=True)
class Row:
    """One input of the model.

    Attributes:
        ids: Token ids.
        segments: Which text of a pair each belongs to; ``None`` where nobody asks.
        slot: Where a masked model is read.
    """

    ids: Int[ndarray, " token"]
    segments: Int[ndarray, " token"] | None = None
    slot: int | None = None


class Scorer:
    """Scores rows of one prompt; remembers what they share, and what fits.

    Args:
        lm: The model.
        readouts: What to read; their values are added.
    """

    def __init__(self, lm: LanguageModel, readouts: Sequence[Readout]) -> None:
        self.lm = lm
        self.readouts = tuple(readouts)
        self._most = sys.maxsize  # rows, once memory has ended
        self._tree: PrefixTree | None = None

    def score(
        self, rows: Sequence[Row]
    ) -> Iterator[tuple[list[int], Float64[ndarray, "row output"]]]:
        """Yield (which rows, their values) batch by batch; nothing for no rows.

        Raises:
            NonFiniteError: The model returned NaN or infinity.
            ModelMemoryError: Not even one row fits into memory.
            CancelledJobError: The model's handle was told to stop.
        """
        entries = [
            Entry(i, r, row.ids, readout, row.segments, row.slot)
            for i, row in enumerate(rows)
            for r, readout in enumerate(self.readouts)
        ]
        with self.lm.untouched(), torch.inference_mode():
            for which, values in _arrived(self._sums(entries), self.lm):
                self._check([rows[i] for i in which], values)
                yield which, values

    def _sums(self, entries: Sequence[Entry]) -> Iterator[tuple[list[int], Tensor]]:
        """Yield the values of rows of which every readout was read."""
        waiting: dict[int, list[Tensor]] = {}
        for batch, values in self._batches(entries):
            for entry, value in zip(batch, values, strict=True):
                waiting.setdefault(entry.row, []).append(value)
            ready = [row for row, parts in waiting.items() if len(parts) == len(self.readouts)]
            if ready:
                yield ready, torch.stack([torch.stack(waiting.pop(r)).sum(0) for r in ready])

    def _batches(self, entries: Sequence[Entry]) -> Iterator[tuple[Sequence[Entry], list[Tensor]]]:
        reader = self._reader(entries)
        left = reader.order(entries)
        while left:
            batch = left[: min(self._most, reader.take(left, self._tokens, self._reads))]
            failed = None
            self.lm.checkpoint()
            try:
                values = reader.read(batch)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                failed = str(error)
            if failed is None:
                yield batch, values
                left = left[len(batch) :]
            else:  # outside of the handler, whose traceback holds the batch
                self._shrink(batch, failed)

    def _reader(self, entries: Sequence[Entry]) -> Reader:
        """Return whichever way is quicker; both give the same numbers."""
        if (len(entries) > 1 or (entries and self._tree)) and shares_prefixes(self.lm):
            tree = self._tree = self._tree or PrefixTree(self.lm)
            if tree.left(entries) <= _WORTH_A_TREE:
                return tree
        return Alone(self.lm)

    def _shrink(self, batch: Sequence[Entry], reason: str) -> None:
        """Make the next batch half as large as the one that did not fit."""
        longest = max(len(entry.path) for entry in batch)
        if len(batch) == 1:
            raise ModelMemoryError(
                f"A single row of {longest} tokens does not fit into the memory of "
                f"{self.lm.device}; beside the weights it takes about "
                f"{_row_bytes(self.lm, longest) / 1e9:.2g} GB. {DO} ({reason})"
            )
        self._most = len(batch) // 2
        release(self.lm.device)

    def _check(self, rows: Sequence[Row], values: ndarray) -> None:
        bad = ~np.isfinite(values).all(axis=1)
        if not bad.any():
            return
        row = rows[int(np.argmax(bad))]
        inputs = _inputs([Entry(0, 0, row.ids, self.readouts[0], row.segments, row.slot)])
        made = [first_nonfinite(self.lm, inputs, readout) for readout in self.readouts]
        name = next((name for name in made if name), None)
        raise NonFiniteError(
            f"{self.lm.name} returned NaN or infinite scores in {self.lm.info.dtype}."
            f"{where_from(name)} Try dtype='float32', or check the model's weights."
        )

    @property
    def _tokens(self) -> int:
        """How many tokens a batch may hold."""
        tokens = _TOKENS_A_BATCH.get(self.lm.device.type, _TOKENS_A_BATCH["cpu"])
        if self.lm.device.type == "cpu":
            tokens = min(tokens, int(_WORK_A_LAYER * self.lm.layers / self.lm.parameters))
        return max(1, tokens)

    @property
    def _reads(self) -> int:
        """How many positions of a batch may have logits."""
        return max(1, _VALUES_A_BATCH // (len(self.lm.labels) or self.lm.vocabulary_size))


class Reader(Protocol):
    """A way of reading entries batch by batch."""

    def order(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the entries in the order in which they are best read."""
        ...

    def take(self, entries: Sequence[Entry], tokens: int, reads: int) -> int:
        """Return how many of the next entries make a batch; at least 1."""
        ...

    def read(self, batch: Sequence[Entry]) -> list[Float[Tensor, " output"]]:
        """Return the values of each."""
        ...


class Alone:
    """Reads every row by itself; those of equal length side by side, so that none is padded."""

    def __init__(self, lm: LanguageModel) -> None:
        self._lm = lm

    def order(self, entries: Sequence[Entry]) -> list[Entry]:
        """Sort by what cannot differ inside of a batch."""
        return sorted(entries, key=_alike)

    def take(self, entries: Sequence[Entry], tokens: int, reads: int) -> int:
        """Return how many alike entries stand in front, as far as they fit."""
        first = entries[0]
        fit = min(tokens // len(first.path), reads // max(1, first.readout.keep))
        same = (i for i, entry in enumerate(entries) if _alike(entry) != _alike(first))
        return max(1, min(fit, next(same, len(entries))))

    def read(self, batch: Sequence[Entry]) -> list[Float[Tensor, " output"]]:
        """Return the values of entries that are alike."""
        return list(self._lm.forward(_inputs(batch), batch[0].readout))


def _alike(entry: Entry) -> tuple[int, int, int]:
    return entry.number, len(entry.ids), -1 if entry.slot is None else entry.slot


def _inputs(batch: Sequence[Entry]) -> Inputs:
    segments = [entry.segments for entry in batch if entry.segments is not None]
    return Inputs(
        torch.from_numpy(np.stack([entry.ids for entry in batch])),
        torch.from_numpy(np.stack(segments)) if segments else None,
        batch[0].slot,
    )


def _arrived(
    batches: Iterator[tuple[list[int], Tensor]], lm: LanguageModel
) -> Iterator[tuple[list[int], ndarray]]:
    """Bring values to the host; on a GPU some batches late, so that it never stands idle."""
    if lm.device.type != "cuda":
        yield from ((which, values.double().cpu().numpy()) for which, values in batches)
        return
    flying: deque[tuple[list[int], Tensor, torch.cuda.Event]] = deque()
    try:
        for which, values in batches:
            host = torch.empty(values.shape, dtype=torch.float64, pin_memory=True)
            host.copy_(values, non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
            flying.append((which, host, event))
            if len(flying) > _IN_FLIGHT:
                yield _land(flying.popleft())
    except Exception:
        while flying:  # what was finished before the error is not scored again
            yield _land(flying.popleft())
        raise
    while flying:
        yield _land(flying.popleft())


def _land(flight: tuple[list[int], Tensor, torch.cuda.Event]) -> tuple[list[int], ndarray]:
    which, host, event = flight
    event.synchronize()
    return which, host.numpy()


def _row_bytes(lm: LanguageModel, tokens: int) -> int:
    """Estimate what one row takes at its widest: a block's activations, and its logits."""
    width = int(lm.model.get_input_embeddings().weight.shape[-1])  # type: ignore[index]
    return 4 * (tokens * 24 * width + lm.vocabulary_size)
