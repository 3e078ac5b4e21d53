"""Fillers: what stands in for a piece of text that is switched off.

What comes in: "auto", one text, or several. What goes out: token ids and their names.
Guarantees: each filler is exactly one token, so that nothing else moves; never end-of-text,
which ends a document and changes everything that follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.models.tokenize import describe_ids, encode_piece

if TYPE_CHECKING:
    from llm_interp_widgets.models.language_model import LanguageModel

Off = Literal["replace", "remove"]
OFF = ("replace", "remove")
AUTO = "auto"

# Tokens that say little by themselves and come from different corners of grammar. One
# filler alone decides the ranking; an average of any two or more of these does not.
NEUTRAL_FILLERS = (" the", "_", " something", " ...")


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


def anchor(lm: LanguageModel) -> int:
    """Return the token that stands alone when everything is removed; never end-of-text."""
    bos, eos = lm.tokenizer.bos_token_id, lm.tokenizer.eos_token_id
    if bos is not None and bos != eos:
        return int(bos)
    return fillers(lm, AUTO, "replace")[0][0]
