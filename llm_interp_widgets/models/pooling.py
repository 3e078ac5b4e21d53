"""Pooling: from an encoder's token states to one vector a text.

What comes in: a model, with the folder or hub id that it came from. What goes out: the pooling
that its sentence-transformers files name, else the mean over all tokens, special ones included.
Guarantees: a way of pooling that is not known here, or a layer behind it, is an error, never
left out in silence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from transformers.utils.hub import cached_file

from llm_interp_widgets.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float
    from torch import Tensor

    from llm_interp_widgets.models.language_model import LanguageModel

Pool: TypeAlias = "Callable[[Float[Tensor, 'row token d']], Float[Tensor, 'row d']]"

_HARMLESS = {"Transformer", "Pooling", "Normalize"}  # a cosine does not see the last one


def pooling(lm: LanguageModel) -> Pool:
    """Return the function from last hidden states to one vector a row.

    Raises:
        UnsupportedModelError: The model's files ask for another pooling, or for a layer after it.
    """
    layers = {str(m.get("type", "")).rpartition(".")[2] for m in _read(lm, "modules.json") or []}
    if layers - _HARMLESS:
        raise UnsupportedModelError(
            f"{lm.name} puts {', '.join(sorted(layers - _HARMLESS))} after its pooling, which is "
            "not known here: its similarities would come out wrong."
        )
    modes = _modes(_read(lm, "1_Pooling/config.json") or {})
    if modes <= {"mean"}:
        return lambda hidden: hidden.mean(1)
    if modes == {"cls"}:
        return lambda hidden: hidden[:, 0]
    raise UnsupportedModelError(
        f"{lm.name} pools by {', '.join(sorted(modes))}; known are the mean and the first token."
    )


def _modes(config: dict[str, Any]) -> set[str]:
    named = config.get("pooling_mode")
    if named:
        return set(named.split("+") if isinstance(named, str) else named)
    on = {key.removeprefix("pooling_mode_") for key, value in config.items() if value is True}
    on.discard("include_prompt")
    return {mode.removesuffix("_token").removesuffix("_tokens") for mode in on}


def _read(lm: LanguageModel, name: str) -> Any:  # noqa: ANN401 - JSON
    origin = getattr(lm.model, "name_or_path", "")
    if not origin:
        return None
    try:
        found = cached_file(
            origin,
            name,
            revision=lm.revision,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
            _raise_exceptions_for_gated_repo=False,
        )
        return json.loads(Path(found).read_text()) if found else None
    except (OSError, ValueError):
        return None
