"""Entrances: where states enter a model, to be moved along a path and differentiated.

What comes in: a prompt's inputs and where to enter: the input embeddings, or the output of
a layer, named as ``model.named_modules`` names it. What goes out: the states that stand
there, and the values of other states put in their place.

Guarantees: what ``untouched`` guarantees; a hook lives as long as one pass, and another
thread's pass does not notice it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from numbers import Integral
from typing import TYPE_CHECKING, Any, Protocol

import torch

from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.models.visits import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Float
    from torch import Tensor

    from llm_interp_widgets.models.language_model import Inputs, LanguageModel, Readout


class Entrance(Protocol):
    """A place where states enter the model."""

    def states(self, inputs: Inputs, readout: Readout) -> Float[Tensor, "row token d"]:
        """Return what stands there, detached; teacher-forced tokens may be among them."""
        ...

    def forward(
        self, states: Float[Tensor, "row token d"], inputs: Inputs, readout: Readout
    ) -> Float[Tensor, "row output"]:
        """Score states put there; within ``untouched``, with whatever gradient mode is set."""
        ...


def entrance(lm: LanguageModel, layer: str | int | None) -> Entrance:
    """Return the input embeddings (``None``), or the output of a layer.

    Args:
        lm: The model.
        layer: A module's dotted name, or the number of a block; negative from the end.

    Raises:
        ParameterError: There is no such layer; the blocks are listed.
    """
    if layer is None:
        return AtEmbeddings(lm)
    names = {id(module): name for name, module in lm.model.named_modules()}
    stack = [names[id(block)] for block in blocks(lm.model)]
    if isinstance(layer, Integral) and not isinstance(layer, bool):
        if not -len(stack) <= layer < len(stack):
            raise ParameterError(f"layer={layer} is out of range; {_listed(lm, stack)}")
        return AtLayer(lm, stack[int(layer)])
    if isinstance(layer, str) and layer and layer in names.values():
        return AtLayer(lm, layer)
    close = get_close_matches(str(layer), names.values(), n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise ParameterError(f"{lm.name} has no layer {layer!r}. {hint}{_listed(lm, stack)}")


def _listed(lm: LanguageModel, stack: list[str]) -> str:
    if not stack:
        return f"{lm.name} has no list of blocks. Pass a name from lm.model.named_modules()."
    return (
        f"Its blocks are {stack[0]!r} to {stack[-1]!r}, or 0 to {len(stack) - 1}; any name in "
        "lm.model.named_modules() will do."
    )


@dataclass(frozen=True, slots=True)
class AtEmbeddings:
    """The input embeddings of the prompt."""

    lm: LanguageModel

    def states(self, inputs: Inputs, readout: Readout) -> Float[Tensor, "row token d"]:  # noqa: ARG002
        """Return the embeddings themselves."""
        return inputs.tokens

    def forward(
        self, states: Float[Tensor, "row token d"], inputs: Inputs, readout: Readout
    ) -> Float[Tensor, "row output"]:
        """Score embeddings."""
        return self.lm.forward(widened(inputs, len(states), states), readout)


@dataclass(frozen=True, slots=True)
class AtLayer:
    """The output of a module, such as a block."""

    lm: LanguageModel
    name: str

    def states(self, inputs: Inputs, readout: Readout) -> Float[Tensor, "row token d"]:
        """Return the module's output, teacher-forced tokens included.

        Raises:
            ParameterError: The module is not used once a pass, or gives no states of tokens.
        """
        seen: list[Tensor | None] = []

        def look(output: Any) -> Any:  # noqa: ANN401 - whatever a module returns
            states = _states(output)
            seen.append(None if states is None else states.detach().clone())
            return output

        with self._hooked(look):
            self.lm.scores(inputs, readout)
        tokens = inputs.tokens.shape[1]
        lengths = (tokens, tokens + len(readout.suffix))
        if len(seen) != 1 or seen[0] is None or seen[0].shape[1] not in lengths:
            found = f"runs {len(seen)} times in a pass" if len(seen) != 1 else "does not"
            raise ParameterError(
                f"layer={self.name!r} must give states (row, token, width) once a pass; it "
                f"{found}. Choose the output of a block, for example layer=0."
            )
        return seen[0].clone()  # what inference mode made cannot be part of a graph

    def forward(
        self, states: Float[Tensor, "row token d"], inputs: Inputs, readout: Readout
    ) -> Float[Tensor, "row output"]:
        """Score the inputs with the module's output replaced."""
        with self._hooked(lambda output: _replaced(output, states)):
            return self.lm.forward(widened(inputs, len(states)), readout)

    @contextmanager
    def _hooked(self, change: Callable[[Any], Any]) -> Iterator[None]:
        here = threading.get_ident()

        def hook(module: torch.nn.Module, given: object, output: object) -> object:  # noqa: ARG001
            return change(output) if threading.get_ident() == here else output

        handle = self.lm.model.get_submodule(self.name).register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()


def widened(inputs: Inputs, rows: int, tokens: Tensor | None = None) -> Inputs:
    """Repeat a single row, or give other tokens its token types."""
    tokens = inputs.tokens if tokens is None else tokens
    segments = inputs.segments
    return replace(
        inputs,
        tokens=tokens.expand(rows, *tokens.shape[1:]),
        segments=None if segments is None else segments.expand(rows, -1),
    )


def _states(output: object) -> Tensor | None:
    first = output[0] if isinstance(output, tuple | list) and output else output
    return first if isinstance(first, torch.Tensor) and first.ndim == 3 else None


def _replaced(output: Any, states: Tensor) -> Any:  # noqa: ANN401 - whatever a module returns
    if isinstance(output, torch.Tensor):
        return states
    return type(output)([states, *output[1:]])
