"""Rollouts: attention of all layers multiplied, read where the answer is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llm_interp_widgets.errors import UnsupportedModelError
from llm_interp_widgets.methods._gradients import by_piece, embedded, finite, switched_off
from llm_interp_widgets.results.partial import Partial

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Bool, Float64
    from numpy import ndarray

    from llm_interp_widgets.methods.base import Task
    from llm_interp_widgets.models.attentions import Attentions
    from llm_interp_widgets.models.language_model import Inputs, LanguageModel, Readout


def rolled(
    task: Task,
    look: Callable[[LanguageModel, Inputs, Readout], Attentions],
    roll: Callable[
        [Bool[ndarray, " token"], list[Float64[ndarray, "query key"]]], Float64[ndarray, " token"]
    ],
) -> Partial:
    """Return what each piece's tokens hand on to where each output is read.

    Teacher-forced tokens hand on what they took from the prompt; they are no columns.

    Args:
        task: What is asked.
        look: How the model's attention is read.
        roll: From the positions that are read and each layer's (query, key) weights, first
            layer first, to one number a token.

    Raises:
        UnsupportedModelError: The model or the target has no single stack of attention.
    """
    lm, question = task.lm, task.question
    if lm.model.config.is_encoder_decoder:
        raise UnsupportedModelError(
            f"{lm.name} is an encoder-decoder; rollouts are defined here for a single stack. "
            "Use shapley, occlusion or integrated_gradients."
        )
    if len(question.readouts) > 1:
        raise UnsupportedModelError(
            "A rollout reads one continuation; a contrast of continuations of several tokens "
            "reads two. Contrast single tokens, or explain each continuation by itself."
        )
    (readout,) = question.readouts
    inputs = embedded(task)
    base = switched_off(task, inputs)
    seen = look(lm, inputs, readout)
    values = finite(seen.values.cpu().double().numpy(), lm, inputs, question.readouts)
    layers = [layer.cpu().double().numpy() for layer in seen.layers]
    read = seen.read.cpu().numpy()
    tokens = np.stack([roll(rows, [w[o] for w in layers]) for o, rows in enumerate(read)])
    kept = finite(tokens, lm, inputs, question.readouts)[:, : len(task.prompt.tokens)]
    return Partial(
        scores=by_piece(kept, task.pieces).astype(np.float32),
        base_values=base,
        output_values=values,
        done=1,
        total=1,
        evaluations=2,
        exact=True,
        final=True,
    )
