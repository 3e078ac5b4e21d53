"""The target of encoders: how like another text the prompt is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from llm_interp_widgets.errors import PromptError, TargetError
from llm_interp_widgets.models.language_model import Inputs, Readout
from llm_interp_widgets.models.pooling import pooling
from llm_interp_widgets.results.describe import quoted
from llm_interp_widgets.targets.custom import ask_custom
from llm_interp_widgets.targets.kinds import (
    Contrast,
    Generate,
    Logit,
    LogProb,
    Masked,
    Prob,
    Question,
    Similarity,
)

if TYPE_CHECKING:
    from torch import Tensor

    from llm_interp_widgets.models.pooling import Pool
    from llm_interp_widgets.targets.kinds import Reading, Target

WANTED = "Pass Similarity('…'), or a callable from pooled embeddings (row, d) to one scalar a row."


def ask_similarity(target: Target, reading: Reading) -> Question:
    """Make a target of an encoder strict.

    Raises:
        TargetError: It is none of an encoder, or the other text cannot be read.
        UnsupportedModelError: The model pools in a way that is not known here.
    """
    pool = pooling(reading.lm)
    match target:
        case Similarity(text):
            other = _embedded(text, reading, pool)
        case LogProb() | Logit() | Prob() | Contrast() | Generate() | Masked():
            raise TargetError(
                f"{type(target).__name__} needs a model with a vocabulary or labels; "
                f"{reading.lm.name} is an encoder. {WANTED}"
            )
        case custom:
            return ask_custom(custom, reading, pool)

    def reduce(hidden: Tensor) -> Tensor:
        # (row, token, d) -> (row, d) -> (row, 1)
        return torch.nn.functional.cosine_similarity(pool(hidden), other, dim=-1)[:, None]

    output = reading.answer(text, -1)
    words = f"similarity with {quoted(text)}"
    return Question((Readout((), 1, reduce),), (output,), "cosine", words, reading.prompt)


def _embedded(text: str, reading: Reading, pool: Pool) -> Tensor:
    """Return the other text's embedding (1, d)."""
    if not isinstance(text, str):
        raise TargetError(f"Similarity compares with a text, not with a {type(text).__name__}.")
    try:
        prompt = reading.lm.encode(text)
    except PromptError as error:
        raise TargetError(f"Similarity({text[:40]!r}): {error}") from error
    pooled = reading.lm.scores(Inputs.of(prompt), Readout((), 1, pool))
    return pooled.clone()  # made in inference mode, and wanted in backward passes
