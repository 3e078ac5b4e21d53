"""Targets: the scalar that is explained, one for each output row.

What comes in: what the user wants explained. What goes out: a ``Question``: the strict form
that the rest of the house works with (readouts, output tokens, unit, words, and the prompt as
it is read).

The unit decides the answer. A raw logit floats with the whole vocabulary, so language models
default to log-probability, and a contrast of two continuations cancels what both share;
classifiers default to the logit of a label, encoders to a cosine similarity.

Guarantees: a target that is ambiguous, of several tokens where one is needed, or out of
range raises ``TargetError`` before any work is done.
"""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING

import torch

from llm_interp_widgets.errors import NonFiniteError, TargetError
from llm_interp_widgets.models.diagnose import first_nonfinite, where_from
from llm_interp_widgets.models.kinds import KIND_NAMES
from llm_interp_widgets.models.language_model import Readout
from llm_interp_widgets.targets.kinds import (
    Contrast,
    Generate,
    Logit,
    LogProb,
    Masked,
    Prob,
    Question,
    Reading,
    Similarity,
    no_list,
)
from llm_interp_widgets.targets.labels import ask_label
from llm_interp_widgets.targets.masks import place
from llm_interp_widgets.targets.similarity import WANTED, ask_similarity
from llm_interp_widgets.targets.words import ask_words

if TYPE_CHECKING:
    from llm_interp_widgets.models.language_model import LanguageModel
    from llm_interp_widgets.targets.kinds import Target, TargetLike
    from llm_interp_widgets.text.tokens import Prompt

__all__ = [
    "Contrast",
    "Generate",
    "LogProb",
    "Logit",
    "Masked",
    "Prob",
    "Question",
    "Similarity",
    "ask",
]

_MANY_WORDS = 5


def ask(target: TargetLike, lm: LanguageModel, prompt: Prompt) -> Question:
    """Make a target strict.

    Args:
        target: One of this module's targets, a text, an index, a callable from logits
            (row, vocabulary) to one scalar a row, or ``None`` for what the model itself
            says: its top next token, its predicted label, its guess at the masked token.
        lm: The model.
        prompt: The encoded prompt.

    Raises:
        TargetError: It does not fit the model.
        NonFiniteError: ``None``, and the model's own scores are NaN.
    """
    if isinstance(target, Masked) and lm.kind != "masked":
        raise TargetError(_needs_another_model(target, "a masked language model", lm))
    if isinstance(target, Similarity) and lm.kind != "encoder":
        raise TargetError(_needs_another_model(target, "an encoder", lm))
    reading = place(target, lm, prompt) if lm.kind == "masked" else Reading(lm, prompt)
    strict = _named(target, reading)
    question = _question(strict, reading)
    return replace(question, note=_note(strict, lm, prompt))


def _question(target: Target, reading: Reading) -> Question:
    if reading.lm.kind == "encoder":
        return ask_similarity(target, reading)
    if reading.lm.kind == "classifier":
        return ask_label(target, reading)  # type: ignore[arg-type]
    return ask_words(target, reading)  # type: ignore[arg-type]


def _named(target: TargetLike, reading: Reading) -> Target:
    """Give a bare name, an index or ``None`` the unit that is sound for this kind of model."""
    kind = reading.lm.kind
    if target is None:
        if kind == "encoder":
            raise TargetError(f"{reading.lm.name} is an encoder and says nothing. {WANTED}")
        target = _own_answer(reading)
    if isinstance(target, Integral) and not isinstance(target, bool):
        target = int(target)
    if isinstance(target, str) and kind == "encoder":
        return Similarity(target)
    if isinstance(target, list | tuple) and kind == "classifier":
        return Logit(tuple(target))
    if isinstance(target, str | int) and not isinstance(target, bool):
        return Logit(target) if kind == "classifier" else LogProb(target)
    known = LogProb | Logit | Prob | Contrast | Generate | Masked | Similarity
    if isinstance(target, known) or callable(target):
        return target
    if isinstance(target, list | tuple):
        raise TargetError(no_list(reading.lm.name, KIND_NAMES[kind]))
    raise TargetError(
        f"target={target!r} is a {type(target).__name__}. Pass None, a text, an index, "
        "LogProb, Logit, Prob, Contrast, Generate, Masked, Similarity, or a callable on logits."
    )


def _own_answer(reading: Reading) -> int:
    lm, readout = reading.lm, Readout((), 1, lambda logits: logits[:, 0])
    scores = lm.scores(reading.inputs(), readout)
    if not bool(torch.isfinite(scores).any()) or bool(torch.isnan(scores).any()):
        made = where_from(first_nonfinite(lm, reading.inputs(), readout))
        raise NonFiniteError(
            f"{lm.name} returned NaN scores on the prompt itself.{made} Check its weights or dtype."
        )
    return int(scores[0].argmax())


def _note(target: Target, lm: LanguageModel, prompt: Prompt) -> str:
    """Return what is likely a slip: spaces are part of a model's words; texts get swapped."""
    if (
        lm.kind not in ("causal", "seq2seq")
        or not prompt.text
        or any(t.role for t in prompt.tokens)
    ):
        return ""
    texts = [getattr(target, name, None) for name in ("x", "a", "b")]
    said = [text for text in texts if isinstance(text, str)]
    if any(len(t.split()) >= _MANY_WORDS * len(prompt.text.split()) for t in said):
        return "The target is much longer than the prompt. Are they swapped?"
    if lm.kind == "seq2seq":
        return ""
    if prompt.text[-1] == " ":
        return "The prompt ends in a space; most models expect it at the start of the next word."
    for text in said:
        if prompt.text[-1].isalnum() and text[:1].isalnum():
            last = prompt.text.split()[-1]
            return f"Without a leading space this reads “{last}{text}”. Did you mean “ {text}”?"
    return ""


def _needs_another_model(target: Masked | Similarity, wanted: str, lm: LanguageModel) -> str:
    available = {
        "causal": "LogProb, Logit, Prob, Contrast, Generate",
        "seq2seq": "LogProb, Logit, Prob, Contrast, Generate",
        "masked": "Masked, LogProb, Logit, Prob, Contrast",
        "classifier": "LogProb, Logit, Prob, Contrast",
        "encoder": "Similarity",
    }
    return (
        f"{type(target).__name__} needs {wanted}; {lm.name} is of another kind "
        f"({KIND_NAMES[lm.kind]}). Available for it: {available[lm.kind]}, or a callable."
    )
