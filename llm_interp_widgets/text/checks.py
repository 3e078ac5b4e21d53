"""Is this a text, or a chat, that a tokenizer can read? Each refusal says what would be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from llm_interp_widgets.errors import EmptyPromptError, PromptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_interp_widgets.errors import InterpError

ACCEPTED = (
    "Give a text (str), token ids (a list of integers), a chat "
    '([{"role": "user", "content": "…"}, …]) or a pair of texts (("…", "…")).'
)


def check_messages(messages: Sequence[object]) -> list[Mapping[str, object]]:
    """Return the messages of a chat if all are mappings with a role and a text.

    Args:
        messages: What the user gave.

    Returns:
        The same messages.

    Raises:
        PromptError: A message is something else, or holds lone surrogates.

    Example:
        >>> check_messages([{"role": "user", "content": "Hi"}])
        [{'role': 'user', 'content': 'Hi'}]
    """
    checked = []
    for k, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise PromptError(f"Message {k} is a {type(message).__name__}. {ACCEPTED}")
        for key in ("role", "content"):
            value = message.get(key)
            if not isinstance(value, str):
                has = f"a {type(value).__name__}" if key in message else "missing"
                raise PromptError(
                    f"The {key!r} of message {k} is {has}; it must be a string. {ACCEPTED}"
                )
            _check_surrogates(value, PromptError, f"{key!r} of message {k}")
        checked.append(message)
    return checked


def check_text(text: object, error: type[InterpError], what: str) -> str:
    """Return a text if it is a string, not empty, and Unicode.

    Args:
        text: What the user gave.
        error: The type to raise.
        what: What the text is, for the message.

    Returns:
        The same text.

    Raises:
        InterpError: Of the given type; PromptError for surrogates in a prompt.

    Example:
        >>> check_text("Hi", PromptError, "prompt")
        'Hi'
    """
    if not isinstance(text, str):
        raise error(f"The {what} is a {type(text).__name__}; it must be a string.")
    if not text:
        raise error(f"The {what} is empty: give at least one character.")
    _check_surrogates(text, PromptError if error is EmptyPromptError else error, what)
    return text


def check_pair(texts: Sequence[str]) -> tuple[str, str]:
    """Return two texts if there are exactly two, neither empty, both Unicode.

    Args:
        texts: What the user gave.

    Returns:
        The same texts.

    Raises:
        PromptError: There is another number of them, or one cannot be read.

    Example:
        >>> check_pair(["It rains.", "It is wet."])
        ('It rains.', 'It is wet.')
    """
    if len(texts) != 2:
        raise PromptError(
            f"A list of {len(texts)} texts is no prompt: one text is given as it is, and models "
            "that compare texts read exactly two."
        )
    first, second = (
        check_text(text, EmptyPromptError, f"{which} text of the pair")
        for which, text in zip(("first", "second"), texts, strict=True)
    )
    return first, second


def _check_surrogates(text: str, error: type[InterpError], what: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise error(
            f"Character {problem.start} of the {what} is a lone surrogate "
            f"(U+{ord(text[problem.start]):04X}), which no tokenizer can read. Decode the text "
            'with errors="replace", or remove it.'
        ) from None
