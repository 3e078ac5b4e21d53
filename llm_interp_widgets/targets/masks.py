"""Where a masked language model is read: the prompt's own mask token, or the one made."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING

from llm_interp_widgets.errors import TargetError
from llm_interp_widgets.targets.kinds import Masked, Reading

if TYPE_CHECKING:
    from llm_interp_widgets.models.language_model import LanguageModel
    from llm_interp_widgets.text.tokens import Prompt, Token

_LISTED = 40


def place(target: object, lm: LanguageModel, prompt: Prompt) -> Reading:
    """Return the prompt with one slot for a masked model to fill.

    Args:
        target: ``Masked`` names the token to mask; for anything else the prompt holds the mask.
        lm: A masked language model.
        prompt: The encoded prompt.

    Raises:
        TargetError: There is no slot, more than one, or none of that number.
    """
    mask = lm.tokenizer.mask_token_id
    if mask is None:
        raise TargetError(
            f"{lm.name}'s tokenizer has no mask token, so nothing can be masked. Set "
            "tokenizer.mask_token to the one the model was trained with."
        )
    if isinstance(target, Masked):
        return _masked(target.position, int(mask), lm, prompt)
    slots = [token.position for token in prompt.tokens if token.id == mask]
    if len(slots) == 1:
        return Reading(lm, prompt, slots[0])
    name = str(lm.tokenizer.mask_token)
    if slots:
        raise TargetError(
            f"The prompt holds {name} {len(slots)} times; {lm.name} is read at one of them. "
            f"Leave one, or choose by Masked(position, x); they are at "
            f"{', '.join(map(str, slots))}."
        )
    raise TargetError(
        f"{lm.name} fills in a masked token, and the prompt has none. Write {name} where it is to "
        f"guess, as in {_example(prompt, name)!r}, or pass Masked(position, x), with one of the "
        f"positions {_positions(prompt)}."
    )


def _masked(position: int, mask: int, lm: LanguageModel, prompt: Prompt) -> Reading:
    whole = isinstance(position, Integral) and not isinstance(position, bool)
    if not whole or not 0 <= position < len(prompt.tokens):
        raise TargetError(
            f"Masked({position!r}, …): positions of this prompt are {_positions(prompt)}."
        )
    slot = int(position)
    token = prompt.tokens[slot]
    if token.special and token.id != mask:
        raise TargetError(
            f"Masked({slot}, …): {token.text!r} is a special token of {lm.name} and is never "
            f"masked. Choose one of {_positions(prompt)}."
        )
    tokens = list(prompt.tokens)
    tokens[slot] = replace(token, id=mask, special=True)
    return Reading(lm, replace(prompt, tokens=tuple(tokens)), slot)


def _words(prompt: Prompt) -> list[Token]:
    return [token for token in prompt.tokens if not token.special]


def _positions(prompt: Prompt) -> str:
    """List the tokens that can be masked."""
    words = _words(prompt)
    listed = ", ".join(f"{token.position} {token.text!r}" for token in words[:_LISTED])
    return listed + (f" … {words[-1].position}" if len(words) > _LISTED else "")


def _example(prompt: Prompt, name: str) -> str:
    """The prompt with its last word masked."""
    words = [t for t in _words(prompt) if any(c.isalnum() for c in t.text)] or _words(prompt)
    if not words:
        return name
    last = words[-1]
    lead = last.text[: len(last.text) - len(last.text.lstrip())]
    return (prompt.text[: last.start] + lead + name + prompt.text[last.end :])[-80:]
