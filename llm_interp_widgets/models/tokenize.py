"""From what the user gives (text, ids, a chat) to a Prompt, with any transformers tokenizer.

Guaranteed: nothing is cut, whatever truncation the tokenizer carries; the tokenizer is left as it
was; a chat is rendered once, by the model's own template, and gets no second BOS; what stands for
a text in mid-sentence (a continuation, a filler) has no special tokens and no space of the
tokenizer's own making.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from llm_interp_widgets.errors import (
    EmptyPromptError,
    ParameterError,
    PromptError,
    TargetError,
)
from llm_interp_widgets.text.chat import chat_segments, mark_turns
from llm_interp_widgets.text.checks import ACCEPTED, check_messages, check_text
from llm_interp_widgets.text.spelling import (
    decoded_offsets,
    readable_name,
    searched_offsets,
    spelled_offsets,
)
from llm_interp_widgets.text.tokens import align

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedTokenizerBase

    from llm_interp_widgets.text.chat import Message
    from llm_interp_widgets.text.tokens import Prompt

PromptLike: TypeAlias = str | Sequence[int] | Sequence[Mapping[str, object]]

_Span: TypeAlias = tuple[int, int]

_tokenizing = threading.RLock()

# What a text in mid-sentence is put behind to keep the tokenizer from treating it as a start.
_ANCHORS = (":", "\n", "a", "1")


def encode(
    tokenizer: PreTrainedTokenizerBase, prompt: PromptLike, *, add_special_tokens: bool = True
) -> Prompt:
    """Tokenise a prompt, with exact character spans.

    Args:
        tokenizer: The model's tokenizer.
        prompt: A text; token ids, taken as they are; or a chat, rendered by the model's template
            with the opening of the reply.
        add_special_tokens: Whether a text gets the model's special tokens. Ids and chats never
            get any: they already hold them.

    Returns:
        The prompt, one token per model position.

    Raises:
        EmptyPromptError: There is no text.
        PromptError: The prompt is of another type, holds lone surrogates or ids outside of the
            vocabulary; or a chat cannot be rendered.

    Example:
        >>> encode(tokenizer, "Hello world").ids  # doctest: +SKIP
        (19556, 905)
    """
    if isinstance(prompt, str):
        check_text(prompt, EmptyPromptError, "prompt")
        return _encode_text(tokenizer, prompt, add_special_tokens=add_special_tokens)
    if hasattr(prompt, "tolist"):
        prompt = prompt.tolist()
    given: object = prompt
    if not isinstance(given, Sequence) or isinstance(given, bytes | bytearray | memoryview):
        raise PromptError(f"A prompt cannot be a {type(given).__name__}. {ACCEPTED}")
    if not given:
        raise EmptyPromptError(f"The prompt is empty. {ACCEPTED}")
    if isinstance(given[0], Mapping):
        return _encode_chat(tokenizer, given)
    return _encode_ids(tokenizer, given)


def encode_continuation(
    tokenizer: PreTrainedTokenizerBase, prompt: Prompt, text: str
) -> tuple[int, ...]:
    """Return the ids with which a text continues a prompt, without special tokens.

    They are the tokens that follow the prompt's own when prompt and continuation are tokenised
    as one text; where the two would merge (``" Par"`` + ``"is"``), the prompt's tokens stay and
    the continuation is tokenised as a text in mid-sentence.

    Args:
        tokenizer: The model's tokenizer.
        prompt: What is continued.
        text: The continuation; its leading space, if any, is its own.

    Returns:
        At least one id.

    Raises:
        TargetError: The text is empty, holds lone surrogates, or the tokenizer drops all of it.

    Example:
        >>> encode_continuation(tokenizer, prompt, " Paris")  # doctest: +SKIP
        (7042,)
    """
    check_text(text, TargetError, "continuation")
    before = tuple(token.id for token in prompt.tokens if not token.added)
    whole = _plain_ids(tokenizer, prompt.text + text)
    if len(whole) > len(before) and whole[: len(before)] == before:
        return whole[len(before) :]
    ids = _ids_in_mid_text(tokenizer, text)
    if not ids:
        raise TargetError(
            f"The tokenizer keeps nothing of the continuation {text!r}: give one with at least "
            "one visible character."
        )
    return ids


def encode_piece(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Return the ids of a text in mid-sentence, such as the filler of a switched-off feature.

    Args:
        tokenizer: The model's tokenizer.
        text: The text; its leading space, if any, is its own.

    Returns:
        At least one id, no special tokens added.

    Raises:
        ParameterError: The text is empty, holds lone surrogates, or the tokenizer drops all of it.

    Example:
        >>> encode_piece(tokenizer, " the")  # doctest: +SKIP
        (260,)
    """
    check_text(text, ParameterError, "filler")
    ids = _ids_in_mid_text(tokenizer, text)
    if not ids:
        raise ParameterError(
            f"The tokenizer keeps nothing of the filler {text!r}: choose one with a visible "
            "character."
        )
    return ids


def token_name(tokenizer: PreTrainedTokenizerBase, token_id: int) -> str:
    """Return a readable text for one id; bytes that are no character in hexadecimal.

    Args:
        tokenizer: The model's tokenizer.
        token_id: A vocabulary id.

    Returns:
        For example ``" Par"``, ``"##ing"``, ``"«0xE4B8»"``.
    """
    return readable_name(_vocabulary_name(tokenizer, token_id), _decode(tokenizer, [token_id]))


def describe_ids(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """Return ids as an error message shows them: ``"' Par' (1234) + 'is' (56)"``.

    Args:
        tokenizer: The model's tokenizer.
        ids: Vocabulary ids.

    Returns:
        Names and ids joined by plus signs; at most a dozen of them.
    """
    shown = [f"{token_name(tokenizer, i)!r} ({i})" for i in ids[:12]]
    return " + ".join([*shown, f"… {len(ids) - 12} more"] if len(ids) > 12 else shown)


def _encode_text(
    tokenizer: PreTrainedTokenizerBase, text: str, *, add_special_tokens: bool
) -> Prompt:
    ids, offsets, added = _tokenized(tokenizer, text, add_special_tokens=add_special_tokens)
    names = [_vocabulary_name(tokenizer, i) for i in ids]
    own = [None if is_added else name for name, is_added in zip(names, added, strict=True)]
    spans = spelled_offsets(text, own) or offsets
    if spans is None:
        inner = [i for i, is_added in zip(ids, added, strict=True) if not is_added]
        found = iter(_guessed_offsets(tokenizer, text, inner))
        spans = [(0, 0) if is_added else next(found) for is_added in added]
    return _aligned(tokenizer, text, ids, spans, added)


def _encode_ids(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[object]) -> Prompt:
    ids = _checked_ids(tokenizer, prompt)
    text = _decode(tokenizer, ids)
    again, offsets, _ = _tokenized(tokenizer, text, add_special_tokens=False)
    spans = spelled_offsets(text, [_vocabulary_name(tokenizer, i) for i in ids])
    if spans is None and again == ids:
        spans = offsets
    if spans is None:
        spans = _guessed_offsets(tokenizer, text, ids)
    return _aligned(tokenizer, text, ids, spans, [False] * len(ids))


def _encode_chat(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[object]) -> Prompt:
    messages = check_messages(prompt)
    if getattr(tokenizer, "chat_template", None) is None:
        raise PromptError(
            f"This model's tokenizer ({type(tokenizer).__name__}) has no chat template. Give the "
            "prompt as text, or set tokenizer.chat_template to the template the model was "
            "trained with."
        )
    rendered = _render(tokenizer, messages, open_reply=True)

    def render(messages: Sequence[Message], *, open_reply: bool) -> str | None:
        try:
            return _render(tokenizer, messages, open_reply=open_reply)
        except PromptError:
            return None

    check_text(rendered, EmptyPromptError, "rendered chat")
    segments = chat_segments(messages, rendered, render)
    return mark_turns(_encode_text(tokenizer, rendered, add_special_tokens=False), segments)


def _render(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, open_reply: bool
) -> str:
    try:
        plain: Any = [dict(message) for message in messages]
        return str(
            tokenizer.apply_chat_template(
                plain,
                tokenize=False,
                add_generation_prompt=open_reply,
            )
        )
    except Exception as error:  # a template is a program and raises what it likes
        raise PromptError(
            f"The model's chat template refuses these messages: {error}. Roles given: "
            f"{', '.join(repr(message['role']) for message in messages)}."
        ) from error


def _aligned(
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    ids: Sequence[int],
    spans: Sequence[_Span],
    added: Sequence[bool],
) -> Prompt:
    reserved = _special_ids(tokenizer)
    special = [is_added or i in reserved for i, is_added in zip(ids, added, strict=True)]
    names = [
        _vocabulary_name(tokenizer, i) if is_special else ""
        for i, is_special in zip(ids, special, strict=True)
    ]
    return align(text, ids, spans, special, names=names)


def _tokenized(
    tokenizer: PreTrainedTokenizerBase, text: str, *, add_special_tokens: bool
) -> tuple[tuple[int, ...], list[_Span] | None, list[bool]]:
    """Return ids, the tokenizer's own offsets if it has any, and which ids it added."""
    if not tokenizer.is_fast:
        inner = _plain_ids(tokenizer, text)
        ids = inner
        if add_special_tokens:
            ids = tuple(tokenizer(text, verbose=False)["input_ids"])
        stop = len(ids) - len(inner) + 1
        first = next((k for k in range(stop) if ids[k : k + len(inner)] == inner), None)
        if first is None:
            return ids, None, [i in tokenizer.all_special_ids for i in ids]
        return ids, None, [not first <= k < first + len(inner) for k in range(len(ids))]
    with _untouched(tokenizer):
        found = tokenizer(
            text,
            add_special_tokens=add_special_tokens,
            truncation=False,
            padding=False,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            verbose=False,
        )
    offsets = [(int(start), int(end)) for start, end in found["offset_mapping"]]
    return tuple(found["input_ids"]), offsets, [bool(m) for m in found["special_tokens_mask"]]


def _plain_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    with _untouched(tokenizer):
        found = tokenizer(
            text, add_special_tokens=False, truncation=False, padding=False, verbose=False
        )
    return tuple(found["input_ids"])


@contextmanager
def _untouched(tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
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


def _ids_in_mid_text(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    for anchor in _ANCHORS:
        before = _plain_ids(tokenizer, anchor)
        whole = _plain_ids(tokenizer, anchor + text)
        if before and len(whole) > len(before) and whole[: len(before)] == before:
            return whole[len(before) :]
    return _plain_ids(tokenizer, text)


def _guessed_offsets(
    tokenizer: PreTrainedTokenizerBase, text: str, ids: Sequence[int]
) -> list[_Span]:
    reserved = _special_ids(tokenizer)
    joined, spans = decoded_offsets(
        ids, lambda window: _decode(tokenizer, window), [i in reserved for i in ids]
    )
    if joined == text:
        return spans
    return searched_offsets(text, [joined[start:end] for start, end in spans])


def _decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(
        tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    )


def _vocabulary_name(tokenizer: PreTrainedTokenizerBase, token_id: int) -> str:
    return str(tokenizer.convert_ids_to_tokens(int(token_id)))


def _special_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
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


def _checked_ids(tokenizer: PreTrainedTokenizerBase, ids: Sequence[object]) -> tuple[int, ...]:
    checked = []
    backend: Any = getattr(tokenizer, "backend_tokenizer", None) if tokenizer.is_fast else None
    for k, value in enumerate(ids):
        if isinstance(value, bool):
            raise PromptError(f"Item {k} of the prompt is {value!r}, no token id. {ACCEPTED}")
        try:
            i = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            raise PromptError(
                f"Item {k} of the prompt is a {type(value).__name__}, no token id. {ACCEPTED}"
            ) from None
        if not 0 <= i < 2**31 or (
            backend.id_to_token(i) is None if backend else i >= len(tokenizer)
        ):
            raise PromptError(
                f"Token id {i} at position {k} is none of the {len(tokenizer)} tokens in the "
                "tokenizer's vocabulary."
            )
        checked.append(i)
    return tuple(checked)
