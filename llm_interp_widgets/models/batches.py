"""The coalition evaluator: which features are on -> what the model says.

What comes in: a prompt, its pieces, a question (what to read from the model), a way of
switching features off, and boolean rows: one coalition each. What goes out: one value an
output for each row, in float64.

Guarantees: nothing is re-tokenised; the same input is scored once, ever; rows of equal
length travel together, so nothing is padded; the batch is fitted to the device and halved
when memory runs out, keeping every finished row; a value that is not finite is an error,
never a number; the model is untouched.

Perturbation methods differ only in which coalitions they ask for and what they make of the
answers. Where several fillers stand in for a switched-off feature, the game that is played
is their average: v(S) = mean over fillers k of v(S, k).
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from llm_interp_widgets.errors import (
    ModelMemoryError,
    NonFiniteError,
    ParameterError,
)
from llm_interp_widgets.models.language_model import Inputs
from llm_interp_widgets.models.tokenize import describe_ids, encode_piece

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int
    from numpy import ndarray

    from llm_interp_widgets.models.language_model import LanguageModel, Readout
    from llm_interp_widgets.text.tokens import Prompt, Token

Off = Literal["replace", "remove"]
OFF = ("replace", "remove")
AUTO = "auto"

# Tokens that say little by themselves and come from different corners of grammar. One
# filler alone decides the ranking; an average of any two or more of these does not.
NEUTRAL_FILLERS = (" the", "_", " something", " ...")

_Key = tuple[bytes, int]

# Larger batches gain little; smaller ones let a cancel through sooner.
_TOKENS_A_BATCH = {"cpu": 2_048, "mps": 8_192, "cuda": 65_536}
_WORK_A_BATCH = 3.5e10  # tokens x parameters on a CPU: about 0.4 s on two cores
_VALUES_A_BATCH = 64_000_000  # logits are the largest tensor: 256 MB in float32


class Coalitions:
    """Scores coalitions of one prompt's features.

    Args:
        lm: The model.
        prompt: What is explained.
        pieces: The prompt's pieces; those not ``special`` are the features.
        readouts: What to read; their values are added.
        off: ``"replace"`` puts a filler where a feature was, ``"remove"`` drops its tokens.
        filler: ``"auto"``, one text, or several whose values are averaged.

    Raises:
        ParameterError: A filler is not a single token.
    """

    def __init__(
        self,
        lm: LanguageModel,
        prompt: Prompt,
        pieces: Sequence[Token],
        readouts: Sequence[Readout],
        *,
        off: Off = "replace",
        filler: str | Sequence[str] = AUTO,
    ) -> None:
        self.lm = lm
        self.readouts = tuple(readouts)
        self.off = off
        self.features = tuple(piece for piece in pieces if not piece.special)
        self._ids = np.array(prompt.ids, dtype=np.int64)
        self._feature = np.full(len(self._ids), -1)
        for index, piece in enumerate(self.features):
            self._feature[piece.position : piece.position + piece.size] = index
        self.filler_ids, self.filler_names = fillers(lm, filler, off)
        self._known: dict[tuple[bytes, int], Float64[ndarray, " output"]] = {}
        self._rows_a_batch: int | None = None
        longest = len(self._ids) + max(len(r.suffix) for r in self.readouts)
        lm.check_length(longest)

    @property
    def fillers(self) -> int:
        """How many fillers are averaged; 1 for ``off="remove"``."""
        return len(self.filler_ids)

    @property
    def evaluations(self) -> int:
        """Distinct inputs scored so far."""
        return len(self._known)

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

    def _ask(self, coalitions: ndarray, which: Sequence[int]) -> ndarray:
        keys = [[self._key(row, k) for row in coalitions] for k in which]
        groups: dict[int, dict[_Key, ndarray]] = {}
        for k, of_filler in zip(which, keys, strict=True):
            for key, row in zip(of_filler, coalitions, strict=True):
                if key not in self._known:
                    ids = self._input(row, k)
                    groups.setdefault(len(ids), {})[key] = ids
        for length, group in sorted(groups.items()):
            self._score(length, list(group.items()))
        return np.stack([[self._known[key] for key in of_filler] for of_filler in keys])

    def _key(self, row: ndarray, filler: int) -> _Key:
        # With everything on no filler is seen, so that row is shared by all of them.
        return (np.packbits(row).tobytes(), 0 if row.all() else filler)

    def _input(self, row: Bool[ndarray, " feature"], filler: int) -> Int[ndarray, " token"]:
        on = np.append(row, True)[self._feature]
        if self.off == "replace":
            return np.where(on, self._ids, self.filler_ids[filler])
        kept = self._ids[on]
        return kept if len(kept) else np.array([_anchor(self.lm)])

    def _score(self, length: int, group: list[tuple[_Key, ndarray]]) -> None:
        start = 0
        while start < len(group):
            size = self._rows_a_batch or _first_guess(self.lm, length, self.readouts)
            batch = group[start : start + size]
            ids = torch.from_numpy(np.stack([ids for _, ids in batch]))
            found = self._try(ids, length)
            if found is None:
                continue
            _check_finite(found, self.lm)
            self._known.update((key, row) for (key, _), row in zip(batch, found, strict=True))
            start += len(batch)

    def _try(self, ids: torch.Tensor, length: int) -> ndarray | None:
        """Score one batch; ``None`` when memory ended and the next one must be smaller."""
        try:
            values = sum(self.lm.scores(Inputs(ids), readout) for readout in self.readouts)
            found: ndarray = values.double().cpu().numpy()  # type: ignore[union-attr]
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            if len(ids) == 1:
                raise ModelMemoryError(
                    f"A single row of {length} tokens does not fit into the memory of "
                    f"{self.lm.device}. Free memory, shorten the prompt, or load the model in "
                    f"a smaller dtype. ({error})"
                ) from error
        else:
            return found
        # Outside of the handler, so that the failed batch is no longer held by its traceback.
        self._rows_a_batch = len(ids) // 2
        gc.collect()
        if self.lm.device.type == "cuda":
            torch.cuda.empty_cache()
        return None


def fillers(
    lm: LanguageModel, filler: str | Sequence[str], off: Off
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the ids and names of what stands in for a feature that is switched off.

    Raises:
        ParameterError: A filler is not exactly one token of this model.
    """
    if off == "remove":
        return (-1,), ("removed",)
    if filler == AUTO:
        mask = lm.tokenizer.mask_token_id
        if mask is not None:
            return (mask,), (str(lm.tokenizer.mask_token),)
        known = [(text, encode_piece(lm.tokenizer, text)) for text in NEUTRAL_FILLERS]
        single = [(ids[0], text) for text, ids in known if len(ids) == 1]
        if single:
            ids, names = zip(*single, strict=True)
            return ids, names
        raise ParameterError(
            "None of the neutral fillers is one token of this model. Pass filler=' …' yourself."
        )
    texts = [filler] if isinstance(filler, str) else list(filler) if _is_list(filler) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ParameterError(f"filler={filler!r} must be 'auto', a text, or a list of texts.")
    return tuple(_single(lm, text) for text in texts), tuple(texts)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, bytes)


def _single(lm: LanguageModel, text: str) -> int:
    special = lm.tokenizer.get_vocab().get(text) if text else None
    ids = encode_piece(lm.tokenizer, text) if text else ()
    if special is not None and len(ids) != 1:
        return int(special)
    if len(ids) != 1:
        raise ParameterError(
            f"The filler {text!r} must be one token; for this model it is {len(ids)}: "
            f"{describe_ids(lm.tokenizer, ids) or 'nothing'}. Choose another, for example "
            f"{NEUTRAL_FILLERS[0]!r}, or off='remove'."
        )
    return ids[0]


def _anchor(lm: LanguageModel) -> int:
    """Return the token that stands alone when everything is removed; never end-of-text."""
    bos, eos = lm.tokenizer.bos_token_id, lm.tokenizer.eos_token_id
    if bos is not None and bos != eos:
        return int(bos)
    return fillers(lm, AUTO, "replace")[0][0]


def _first_guess(lm: LanguageModel, length: int, readouts: Sequence[Readout]) -> int:
    """How many rows to try first."""
    tokens = length + max(len(r.suffix) for r in readouts)
    logits = max(r.keep for r in readouts) * lm.vocabulary_size
    if lm.kind == "classifier":
        logits = len(lm.labels)
    budget = _TOKENS_A_BATCH.get(lm.device.type, _TOKENS_A_BATCH["cpu"])
    if lm.device.type == "cpu":
        budget = min(budget, int(_WORK_A_BATCH / lm.parameters))
    most = min(budget // tokens, _VALUES_A_BATCH // logits)
    return max(1, most)


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = str(error).lower()
    return any(hint in words for hint in ("out of memory", "not enough memory", "can't allocate"))


def _check_finite(values: ndarray, lm: LanguageModel) -> None:
    if not np.isfinite(values).all():
        raise NonFiniteError(
            f"{lm.name} returned NaN or infinite scores in {lm.info.dtype}. Try "
            "dtype='float32', or check the model's weights."
        )
