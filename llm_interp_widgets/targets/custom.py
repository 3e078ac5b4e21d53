"""Targets of the user's own: a callable from what the model says to one scalar a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from llm_interp_widgets.errors import TargetError
from llm_interp_widgets.models.language_model import Readout
from llm_interp_widgets.targets.kinds import Question

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float
    from torch import Tensor

    from llm_interp_widgets.targets.kinds import CustomTarget, Reading


def ask_custom(
    target: CustomTarget,
    reading: Reading,
    view: Callable[[Float[Tensor, "row keep d"]], Float[Tensor, "row d"]],
) -> Question:
    """Make a callable strict by trying it on the prompt.

    Args:
        target: From ``view``'s rows to one scalar a row.
        reading: What it is asked of.
        view: What of the model's answer the callable sees.

    Raises:
        TargetError: It does not return one scalar a row.
    """
    name = getattr(target, "__name__", type(target).__name__)

    def reduce(answers: Tensor) -> Tensor:
        rows = view(answers)
        values = target(rows)
        if not isinstance(values, torch.Tensor) or values.shape != rows.shape[:1]:
            got = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
            raise TargetError(
                f"The target {name} must return a tensor of shape (rows,) = "
                f"{tuple(rows.shape[:1])} for an input of shape {tuple(rows.shape)}; "
                f"it returned {got}."
            )
        return values[:, None]

    reading.lm.scores(reading.inputs(), readout := Readout((), 1, reduce))
    output = reading.answer(name, -1)
    return Question((readout,), (output,), "value", name, reading.prompt, reading.slot)
