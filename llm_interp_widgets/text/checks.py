"""Is this a text, or a chat, that a tokenizer can read? Each refusal says what would be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from llm_interp_widgets.errors import EmptyPromptError, PromptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_interp_widgets.errors import InterpError

ACCEPTED = (
    "Give a text (str), token ids (a list of integers) or a chat "
    '([{"role": "user", "content": "…"}, …]).'
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


def _check_surrogates(text: str, error: type[InterpError], what: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise error(
            f"Character {problem.start} of the {what} is a lone surrogate "
            f"(U+{ord(text[problem.start]):04X}), which no tokenizer can read. Decode the text "
            'with errors="replace", or remove it.'
        ) from None
