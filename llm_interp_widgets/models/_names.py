"""Names of what attends and of what is attended to: tokens of a text, patches of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_interp_widgets.models.passes import decoder_start
from llm_interp_widgets.models.tokenize import token_name
from llm_interp_widgets.text.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_interp_widgets.models.language_model import LanguageModel, Readout
    from llm_interp_widgets.text.tokens import Prompt


class TextNames:
    """Names of a text's tokens, and of those that a target appends."""

    def __init__(self, lm: LanguageModel, prompt: Prompt, readout: Readout) -> None:
        self._prompt = prompt.tokens
        self._two = lm.kind == "seq2seq"
        said = [*([decoder_start(lm)] if self._two else []), *readout.suffix]
        begin = 0 if self._two else len(prompt.tokens)
        end = len(prompt.text)
        self._said = tuple(
            Token(token_name(lm.tokenizer, i), i, end, end, role="answer", position=begin + n)
            for n, i in enumerate(said)
        )

    def of(
        self, stack: str, queries: int, keys: int
    ) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
        """Return (queries, keys) of a stack."""
        whole = self._prompt if self._two else (*self._prompt, *self._said)
        asking = self._said if self._two and stack in ("cross", "decoder") else whole
        keyed = self._said if self._two and stack == "decoder" else whole
        return _fit(asking, queries), _fit(keyed, keys)


class InputNames:
    """Names of raw inputs: ids, or patches of an image by row and column."""

    def __init__(
        self,
        lm: LanguageModel | None,
        ids: list[int] | None,
        answer: list[int] | None,
        *,
        patches: tuple[int, int] | None,
    ) -> None:
        self._text = _named(lm, ids or [])
        self._answer = _named(lm, answer or [])
        self._patches = patches  # rows and columns of an image, if there is one

    def of(
        self, stack: str, queries: int, keys: int
    ) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
        """Return (queries, keys) of a stack."""
        asking = self._answer if stack in ("cross", "decoder") and self._answer else self._text
        keyed = self._answer if stack == "decoder" and self._answer else self._text
        return self._sized(asking, stack, queries), self._sized(keyed, stack, keys)

    def _sized(self, known: tuple[Token, ...], stack: str, size: int) -> tuple[Token, ...]:
        if self._patches and (stack == "vision" or len(known) != size):
            return _named_patches(size, *self._patches)
        return _fit(known, size)


def _named(lm: LanguageModel | None, ids: Sequence[int]) -> tuple[Token, ...]:
    special = set(lm.tokenizer.all_special_ids) if lm else set()
    return tuple(
        Token(token_name(lm.tokenizer, i) if lm else f"#{i}", i, 0, 0, i in special, position=n)
        for n, i in enumerate(ids)
    )


def _named_patches(size: int, rows: int, columns: int) -> tuple[Token, ...]:
    """Name patches of an image; what stands before them is special."""
    before = size - rows * columns
    if before < 0 or not rows * columns:  # patches were merged, or are no grid that is known
        return _fit((), size)
    names = [f"[{'CLS' if n == 0 else f'REG{n}'}]" for n in range(before)]
    names += [f"row {y + 1}, column {x + 1}" for y in range(rows) for x in range(columns)]
    return tuple(Token(name, -1, 0, 0, n < before, position=n) for n, name in enumerate(names))


def _fit(tokens: tuple[Token, ...], size: int) -> tuple[Token, ...]:
    """Return as many tokens as were compared; positions without a name have a number."""
    if len(tokens) == size:
        return tokens
    return tuple(Token(f"#{n}", -1, 0, 0, position=n) for n in range(size))
