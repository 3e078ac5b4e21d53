"""What any transformers tokenizer, fast or slow, says of a text; nothing is cut or changed.

The lowest floor of ``tokenize``: raw ids, rough offsets and names. Guaranteed: truncation and
padding that a tokenizer carries are off for the call and back afterwards, in every thread.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from llm_interp_widgets.text.spelling import decoded_offsets, searched_offsets, spelled_offsets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import PreTrainedTokenizerBase

Span: TypeAlias = tuple[int, int]

_tokenizing = threading.RLock()


@dataclass(frozen=True, slots=True)
class Raw:
    """What a tokenizer makes of one or two texts.

    Attributes:
        ids: Vocabulary ids.
        offsets: Its own character spans in the text of each id, if it has any.
        owners: Which text each id spells; ``None`` for one that the tokenizer added.
        segments: Token types, ``None`` where it gives none or all are the same.
    """

    ids: tuple[int, ...]
    offsets: list[Span] | None
    owners: tuple[int | None, ...]
    segments: tuple[int, ...] | None

    def of(self, text: int) -> list[int]:
        """Return the positions of the ids that spell one of the texts."""
        return [k for k, owner in enumerate(self.owners) if owner == text]


def tokenized(tokenizer: PreTrainedTokenizerBase, *texts: str, add_special_tokens: bool) -> Raw:
    """Tokenise one text, or two as a pair.

    Args:
        tokenizer: The model's tokenizer.
        texts: One or two.
        add_special_tokens: Whether the model's special tokens are put around them.
    """
    extra = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
    with untouched(tokenizer):
        found = tokenizer(
            *texts,
            add_special_tokens=add_special_tokens,
            truncation=False,
            padding=False,
            verbose=False,
            **(extra if tokenizer.is_fast else {}),
        )
    ids = tuple(int(i) for i in found["input_ids"])
    types = tuple(int(t) for t in found.get("token_type_ids") or ())
    segments = types if len(set(types)) > 1 else None
    if not tokenizer.is_fast:
        return Raw(ids, None, _searched_owners(tokenizer, ids, texts), segments)
    offsets = [(int(start), int(end)) for start, end in found["offset_mapping"]]
    texts_of = found.sequence_ids(0) if len(texts) > 1 else [0] * len(ids)
    owners = [
        None if added else text
        for added, text in zip(found["special_tokens_mask"], texts_of, strict=True)
    ]
    return Raw(ids, offsets, tuple(owners), segments)


def spans(
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    ids: Sequence[int],
    offsets: Sequence[Span] | None,
) -> list[Span]:
    """Return the best rough spans there are of ids that spell a text, special tokens aside.

    Args:
        tokenizer: The model's tokenizer.
        text: The text.
        ids: Vocabulary ids that the tokenizer did not add.
        offsets: Its own spans, if it has any that can be relied on.
    """
    spelled = spelled_offsets(text, [vocabulary_name(tokenizer, i) for i in ids])
    if spelled is not None:
        return spelled
    return list(offsets) if offsets is not None else _guessed_offsets(tokenizer, text, ids)


def plain_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Return a text's ids without special tokens."""
    return _ids(tokenizer, text=text)


def answer_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Return a text's ids in the language that is written, without special tokens."""
    return _ids(tokenizer, text_target=text)


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """Return the text of ids, special tokens and all spaces included."""
    return str(
        tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    )


def vocabulary_name(tokenizer: PreTrainedTokenizerBase, token_id: int) -> str:
    """Return what the vocabulary calls an id."""
    return str(tokenizer.convert_ids_to_tokens(int(token_id)))


def special_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the ids of special tokens; the one for unknown words stands for text."""
    declared = {
        i for i, token in getattr(tokenizer, "added_tokens_decoder", {}).items() if token.special
    }
    structural = {
        getattr(tokenizer, f"{kind}_token_id", None)
        for kind in ("bos", "eos", "cls", "sep", "mask")
    }
    unknown = {getattr(tokenizer, "unk_token_id", None)} - structural
    return frozenset((declared | set(tokenizer.all_special_ids)) - unknown)


@contextmanager
def untouched(tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    """Put back the truncation and padding that tokenising without them switches off.

    One thread at a time: another's putting back, half-way, would cut this one's text.
    """
    with _tokenizing:
        yield from _put_back(tokenizer)


def _put_back(tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    backend: Any = getattr(tokenizer, "backend_tokenizer", None) if tokenizer.is_fast else None
    if backend is None:
        yield
        return
    truncation, padding = backend.truncation, backend.padding
    split_special = backend.encode_special_tokens
    try:
        yield
    finally:
        if truncation is not None:
            backend.enable_truncation(**truncation)
        if padding is not None:
            backend.enable_padding(**padding)
        if backend.encode_special_tokens != split_special:
            backend.encode_special_tokens = split_special


def _ids(tokenizer: PreTrainedTokenizerBase, **text: str) -> tuple[int, ...]:
    options: Any = {
        "add_special_tokens": False, "truncation": False, "padding": False, "verbose": False,
    }  # fmt: skip
    with untouched(tokenizer):
        return tuple(tokenizer(**text, **options)["input_ids"])


def _searched_owners(
    tokenizer: PreTrainedTokenizerBase, ids: tuple[int, ...], texts: Sequence[str]
) -> tuple[int | None, ...]:
    """Find the texts' own ids among all; where they are not found, special ones are added."""
    owners: list[int | None] = [None] * len(ids)
    start = 0
    for text, words in enumerate(texts):
        inner = plain_ids(tokenizer, words)
        stops = range(start, len(ids) - len(inner) + 1)
        first = next((k for k in stops if ids[k : k + len(inner)] == inner), None)
        if first is None:
            special = tokenizer.all_special_ids
            return tuple(None if i in special else text for i in ids)
        start = first + len(inner)
        owners[first:start] = [text] * len(inner)
    return tuple(owners)


def _guessed_offsets(
    tokenizer: PreTrainedTokenizerBase, text: str, ids: Sequence[int]
) -> list[Span]:
    reserved = special_ids(tokenizer)
    joined, found = decoded_offsets(
        ids, lambda window: decode(tokenizer, window), [i in reserved for i in ids]
    )
    if joined == text:
        return found
    return searched_offsets(text, [joined[start:end] for start, end in found])
