"""Gradients: embeddings in, values and slopes out.

Guarantees: what ``untouched`` guarantees; parameters get no gradient; the graph of a pass
lives as long as the function that reads it; a model that cannot be differentiated says so.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import torch

from llm_interp_widgets.errors import GradientsUnavailableError, InterpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Float
    from torch import Tensor

    from llm_interp_widgets.models.language_model import Inputs, LanguageModel, Readout

Gradient: TypeAlias = "Callable[[int], Float[Tensor, 'row token d']]"


def differentiate(
    lm: LanguageModel, inputs: Inputs, readout: Readout
) -> tuple[Float[Tensor, "row output"], Gradient]:
    """Score embeddings once, in a way that can be differentiated output by output.

    Args:
        lm: The model.
        inputs: Rows given as embeddings.
        readout: What to read.

    Returns:
        The values, and a function from an output's number to the gradient of its values,
        summed over rows, with respect to the embeddings: one backward pass a call.
        Parameters get no gradient.

    Raises:
        GradientsUnavailableError: The model cannot be differentiated.
    """
    leaf = inputs.tokens.detach().clone().requires_grad_(True)  # noqa: FBT003 - torch's API
    with differentiable(lm):
        values = lm.forward(replace(inputs, tokens=leaf), readout)
    if not values.requires_grad:
        raise GradientsUnavailableError(_no_gradient(lm, "no graph was recorded"))

    def gradient(output: int) -> Tensor:
        lm.checkpoint()
        with differentiable(lm):
            (slope,) = torch.autograd.grad(values[:, output].sum(), leaf, retain_graph=True)
        return slope

    return values.detach(), gradient


@contextmanager
def differentiable(lm: LanguageModel) -> Iterator[None]:
    """Visit the model with gradients; what has none raises ``GradientsUnavailableError``."""
    lm.checkpoint()
    try:
        with lm.untouched(), torch.enable_grad():
            yield
    except RuntimeError as error:
        if isinstance(error, InterpError) or not _about_gradients(error):
            raise
        raise GradientsUnavailableError(_no_gradient(lm, str(error))) from error


def _no_gradient(lm: LanguageModel, reason: str) -> str:
    return (
        f"{lm.name} cannot be differentiated ({reason}); quantised models usually "
        "cannot. Use a method that needs no gradients: shapley or occlusion."
    )


def _about_gradients(error: RuntimeError) -> bool:
    words = str(error).lower()
    return any(hint in words for hint in ("inference tensor", "derivative", "require grad"))
