"""Diagnosis: which module made the first number that is not finite.

What comes in: a model, inputs and a readout that gave NaN or infinity. What goes out: the
module's dotted name. Guarantees: what ``untouched`` guarantees; hooks live only while the
inputs are read once more, and notice no other thread's pass.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedModel

    from llm_interp_widgets.models.language_model import Inputs, LanguageModel, Readout


def first_nonfinite(lm: LanguageModel, inputs: Inputs, readout: Readout) -> str | None:
    """Return the first module, in the order of computation, whose output is not finite.

    Args:
        lm: The model.
        inputs: What gave a value that is not finite.
        readout: What was read.

    Returns:
        For example ``"model.layers.3.mlp.down_proj"``; ``None`` if every module's output is
        finite, so that the target itself made the number.

    Raises:
        CancelledJobError: The model's handle was told to stop.

    Example:
        >>> first_nonfinite(lm, Inputs(ids), readout)  # doctest: +SKIP
        'model.norm'
    """
    found: list[str] = []
    with _watching(lm.model, found), suppress(_SeenError):
        lm.scores(inputs, readout)
    return found[0] if found else None


def where_from(name: str | None) -> str:
    """Return a sentence for an error message, with a space in front; empty for ``None``."""
    return f" The first module that made them: {name}." if name else ""


class _SeenError(Exception):
    """Ends the pass: what comes later is only infected."""


@contextmanager
def _watching(model: PreTrainedModel, found: list[str]) -> Iterator[None]:
    here = threading.get_ident()

    def look(name: str, module: torch.nn.Module, given: object, output: object) -> None:  # noqa: ARG001
        if threading.get_ident() == here and not _is_finite(output):
            found.append(name)
            raise _SeenError

    hooks = [
        module.register_forward_hook(partial(look, name or type(model).__name__))
        for name, module in model.named_modules()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _is_finite(output: object) -> bool:
    if isinstance(output, torch.Tensor):
        return not output.is_floating_point() or bool(torch.isfinite(output).all())
    if isinstance(output, Mapping):
        return all(map(_is_finite, output.values()))
    if isinstance(output, tuple | list):
        return all(map(_is_finite, output))
    return True
