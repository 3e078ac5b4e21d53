"""From what the user gives (text, ids, a chat, a pair) to a Prompt, with any tokenizer.

Guaranteed: nothing is cut, whatever truncation the tokenizer carries; the tokenizer is left as it
was; a chat is rendered once, by the model's own template, and gets no second BOS; what stands for
a text in mid-sentence (a continuation, a filler) has no special tokens and no space of the
tokenizer's own making.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from llm_interp_widgets.errors import (
    EmptyPromptError,
    ParameterError,
    PromptError,
    TargetError,
)
from llm_interp_widgets.models._tokenizer import (
    Raw,
    answer_ids,
    decode,
    plain_ids,
    spans,
    special_ids,
    tokenized,
    vocabulary_name,
)
from llm_interp_widgets.text.chat import chat_segments, mark_turns
from llm_interp_widgets.text.checks import ACCEPTED, check_messages, check_pair, check_text
from llm_interp_widgets.text.spelling import readable_name
from llm_interp_widgets.text.tokens import align

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from llm_interp_widgets.models._tokenizer import Span
    from llm_interp_widgets.text.chat import Message
    from llm_interp_widgets.text.tokens import Prompt

PromptLike: TypeAlias = (
    str | tuple[str, str] | list[str] | Sequence[int] | Sequence[Mapping[str, object]]
)

# What a text in mid-sentence is put behind to keep the tokenizer from treating it as a start.
_ANCHORS = (":", "\n", "a", "1")


def encode(
    tokenizer: PreTrainedTokenizerBase, prompt: PromptLike, *, add_special_tokens: bool = True
) -> Prompt:
    """Tokenise a prompt, with exact character spans.

    Args:
        tokenizer: The model's tokenizer.
        prompt: A text; token ids, taken as they are; a chat, rendered by the model's template
            with the opening of the reply; or two texts, put together by the tokenizer's template
            for pairs.
        add_special_tokens: Whether a text gets the model's special tokens. Ids and chats never
            get any: they already hold them.

    Returns:
        The prompt, one token per model position.

    Raises:
        EmptyPromptError: There is no text.
        PromptError: The prompt is of another type, holds lone surrogates or ids outside of the
            vocabulary; a chat cannot be rendered; or the tokenizer knows no pairs.

    Example:
        >>> encode(tokenizer, "Hello world").ids  # doctest: +SKIP
        (19556, 905)
    """
    if isinstance(prompt, str):
        check_text(prompt, EmptyPromptError, "prompt")
        return _encode_text(tokenizer, prompt, add_special_tokens=add_special_tokens)
    given: Any = prompt
    if hasattr(given, "tolist"):
        given = given.tolist()
    pair = pair_of(given)
    if pair is not None:
        return _encode_pair(tokenizer, pair)
    if not isinstance(given, Sequence) or isinstance(given, bytes | bytearray | memoryview):
        raise PromptError(f"A prompt cannot be a {type(given).__name__}. {ACCEPTED}")
    if not given:
        raise EmptyPromptError(f"The prompt is empty. {ACCEPTED}")
    if isinstance(given[0], Mapping):
        return _encode_chat(tokenizer, given)
    return _encode_ids(tokenizer, given)


def pair_of(prompt: object) -> tuple[str, str] | None:
    """Return the two texts of a pair; ``None`` for every other kind of prompt.

    Raises:
        PromptError: It is a list of texts, but not of two.
    """
    listed = isinstance(prompt, tuple | list) and len(prompt) > 0
    if not listed or not all(isinstance(text, str) for text in prompt):  # type: ignore[attr-defined]
        return None
    return check_pair(prompt)  # type: ignore[arg-type]


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
    whole = plain_ids(tokenizer, prompt.text + text)
    if len(whole) > len(before) and whole[: len(before)] == before:
        return whole[len(before) :]
    ids = _ids_in_mid_text(tokenizer, text)
    if not ids:
        raise TargetError(
            f"The tokenizer keeps nothing of the continuation {text!r}: give one with at least "
            "one visible character."
        )
    return ids


def encode_answer(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Return the ids with which an encoder-decoder writes a text, without special tokens.

    Args:
        tokenizer: The model's tokenizer.
        text: What it could answer.

    Returns:
        At least one id.

    Raises:
        TargetError: The text is empty, holds lone surrogates, or the tokenizer drops all of it.
    """
    check_text(text, TargetError, "answer")
    ids = answer_ids(tokenizer, text)
    if not ids:
        raise TargetError(f"The tokenizer keeps nothing of the answer {text!r}: give a word.")
    return ids


def encode_at(
    tokenizer: PreTrainedTokenizerBase, prompt: Prompt, slot: int, text: str
) -> tuple[int, ...]:
    """Return the ids with which a text stands in place of one of the prompt's tokens.

    They are those between the prompt's other tokens when all is tokenised as one text. The
    space before the token belongs to its place, so that ``"Paris"`` and ``" Paris"`` are the
    same answer. A name of the vocabulary (``"##ing"``) is taken as it is.

    Args:
        tokenizer: The model's tokenizer.
        prompt: The prompt.
        slot: Position of the token that the text takes the place of.
        text: The text.

    Returns:
        At least one id.

    Raises:
        TargetError: The text is empty, holds lone surrogates, or the tokenizer drops all of it.
    """
    check_text(text, TargetError, "answer")
    token = prompt.tokens[slot]
    lead = token.text[: len(token.text) - len(token.text.lstrip())]
    filled = text if text[0].isspace() else lead + text
    before = tuple(t.id for t in prompt.tokens[:slot] if not t.added)
    after = tuple(t.id for t in prompt.tokens[slot + 1 :] if not t.added)
    whole = plain_ids(tokenizer, prompt.text[: token.start] + filled + prompt.text[token.end :])
    stop = len(whole) - len(after)
    if whole[: len(before)] == before and whole[stop:] == after and stop > len(before):
        ids = whole[len(before) : stop]
    else:
        ids = _ids_in_mid_text(tokenizer, filled)
    if not ids:
        raise TargetError(f"The tokenizer keeps nothing of the answer {text!r}: give a word.")
    named = tokenizer.get_vocab().get(text) if len(ids) > 1 else None
    return ids if named is None else (int(named),)


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
    return readable_name(vocabulary_name(tokenizer, token_id), decode(tokenizer, [token_id]))


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
    raw = tokenized(tokenizer, text, add_special_tokens=add_special_tokens)
    found: list[Span] = [(0, 0)] * len(raw.ids)
    for k, span in zip(raw.of(0), _spans_of(tokenizer, raw, 0, text), strict=True):
        found[k] = span
    return _aligned(tokenizer, text, raw, found)


def _encode_pair(tokenizer: PreTrainedTokenizerBase, pair: tuple[str, str]) -> Prompt:
    extra = [tokenizer.num_special_tokens_to_add(pair=pair) for pair in (True, False)]
    if extra[0] <= extra[1]:
        raise PromptError(
            f"This model's tokenizer ({type(tokenizer).__name__}) has no template for a pair of "
            "texts: nothing would stand between them. Write them as one text, as the model was "
            "trained to read them."
        )
    raw = tokenized(tokenizer, *pair, add_special_tokens=True)
    found: list[Span] = [(0, 0)] * len(raw.ids)
    begin = 0
    for which, part in enumerate(pair):
        own = raw.of(which)
        if not own:
            raise EmptyPromptError(f"The tokenizer keeps no character of {part[:40]!r}.")
        for k, (start, end) in zip(own, _spans_of(tokenizer, raw, which, part), strict=True):
            found[k] = (begin + start, begin + end)
        found[own[-1]] = (found[own[-1]][0], begin + len(part))
        begin += len(part) + 1
    border = raw.of(1)[0]
    if raw.owners[border - 1] is None:  # the line break stands for what separates the texts
        found[border - 1] = (len(pair[0]), len(pair[0]) + 1)
    roles = ["first" if k < border else "second" for k in range(len(raw.ids))]
    return _aligned(tokenizer, "\n".join(pair), raw, found, roles)


def _spans_of(tokenizer: PreTrainedTokenizerBase, raw: Raw, which: int, text: str) -> list[Span]:
    own = raw.of(which)
    offsets = None if raw.offsets is None else [raw.offsets[k] for k in own]
    return spans(tokenizer, text, [raw.ids[k] for k in own], offsets)


def _encode_ids(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[object]) -> Prompt:
    ids = _checked_ids(tokenizer, prompt)
    text = decode(tokenizer, ids)
    again = tokenized(tokenizer, text, add_special_tokens=False)
    offsets = again.offsets if again.ids == ids else None
    raw = Raw(ids, None, (0,) * len(ids), None)
    return _aligned(tokenizer, text, raw, spans(tokenizer, text, ids, offsets))


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
    raw: Raw,
    found: Sequence[Span],
    roles: Sequence[str] | None = None,
) -> Prompt:
    reserved = special_ids(tokenizer)
    special = [owner is None or i in reserved for i, owner in zip(raw.ids, raw.owners, strict=True)]
    names = [
        vocabulary_name(tokenizer, i) if is_special else ""
        for i, is_special in zip(raw.ids, special, strict=True)
    ]
    prompt = align(text, raw.ids, found, special, names=names, roles=roles)
    return replace(prompt, segments=raw.segments)


def _ids_in_mid_text(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    for anchor in _ANCHORS:
        before = plain_ids(tokenizer, anchor)
        whole = plain_ids(tokenizer, anchor + text)
        if before and len(whole) > len(before) and whole[: len(before)] == before:
            return whole[len(before) :]
    return plain_ids(tokenizer, text)


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
