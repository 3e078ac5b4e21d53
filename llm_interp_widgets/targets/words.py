"""Targets in words: what decoders, encoder-decoders and masked models say.

A decoder continues the prompt, an encoder-decoder answers it, a masked model fills its slot
with one token; beyond that all three are asked alike.
"""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

import torch

from llm_interp_widgets.errors import TargetError
from llm_interp_widgets.models.kinds import KIND_NAMES
from llm_interp_widgets.models.language_model import Readout
from llm_interp_widgets.models.tokenize import (
    describe_ids,
    encode_answer,
    encode_at,
    encode_continuation,
    token_name,
)
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
    no_list,
)
from llm_interp_widgets.text.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from llm_interp_widgets.results.result import Unit
    from llm_interp_widgets.targets.kinds import CustomTarget, Named, Reading, Several


def ask_words(
    target: LogProb | Logit | Prob | Contrast | Generate | Masked | CustomTarget, reading: Reading
) -> Question:
    """Make a target of a model with a vocabulary strict.

    Raises:
        TargetError: It cannot be said, is of several tokens where one is needed, or is no
            target of this kind of model.
    """
    match target:
        case Logit(x):
            return _said("logit", x, reading)
        case LogProb(x) | Masked(_, x):
            return _said("log_prob", x, reading)
        case Prob(x):
            return _said("prob", x, reading)
        case Contrast(a, b, after):
            return _contrast(a, b, _before(after, reading), reading)
        case Generate(n):
            return _generate(n, reading)
        case custom:
            return ask_custom(custom, reading, lambda logits: logits[:, -1])


def _said(unit: Unit, x: Several, reading: Reading) -> Question:
    ids = _ids(x, reading)
    tokenizer = reading.lm.tokenizer
    if unit == "logit" and len(ids) != 1:
        raise TargetError(
            f"Logit needs one token; {x!r} is {len(ids)}: {describe_ids(tokenizer, ids)}. "
            "Use LogProb for a continuation of several tokens."
        )
    text = _text(x, ids, reading)
    output = reading.answer(text, ids[0], len(ids))
    return Question(
        (_continue(ids, unit),), (output,), unit, quoted(text), reading.prompt, reading.slot
    )


def _contrast(a: Named, b: Named, after: tuple[int, ...], reading: Reading) -> Question:
    first, second = _ids(a, reading), _ids(b, reading)
    if first == second:
        raise TargetError(f"Contrast compares {a!r} with itself; the difference is always 0.")
    reading.lm.check_length(
        len(reading.prompt.tokens), len(after) + max(len(first), len(second)) - 1
    )
    texts = _text(a, first, reading), _text(b, second, reading)
    output = reading.answer(f"{texts[0]} − {texts[1].lstrip() or texts[1]}", first[0], len(first))
    words = f"{quoted(texts[0])} rather than {quoted(texts[1])}"
    readouts: tuple[Readout, ...]
    if len(first) == len(second) == 1:
        i, j, unit = first[0], second[0], "logit"
        readouts = (Readout(after, 1, lambda logits: logits[:, -1, [i]] - logits[:, -1, [j]]),)
    else:
        plus, minus = (_continue(ids, "log_prob", after) for ids in (first, second))
        unit = "log_prob"
        readouts = plus, Readout(minus.suffix, minus.keep, lambda logits: -minus.reduce(logits))
    return Question(readouts, (output,), unit, words, reading.prompt, reading.slot)  # type: ignore[arg-type]


def _before(after: str | Sequence[int], reading: Reading) -> tuple[int, ...]:
    """Return the ids of what was said before the words that are compared."""
    if not after:
        return ()
    if reading.slot is not None:
        raise TargetError("Contrast(…, after=…) needs a model that writes, not a masked one.")
    if isinstance(after, str):
        return _spelled(after, reading)
    ids = tuple(int(i) for i in after)
    reading.lm.check_ids(ids)
    return ids


def _generate(n: int, reading: Reading) -> Question:
    lm, prompt = reading.lm, reading.prompt
    if lm.kind == "masked":
        raise TargetError(
            f"Generate needs a model that writes; {lm.name} is a {KIND_NAMES[lm.kind]}. Pass "
            "None for its best guess at the masked token."
        )
    if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
        raise TargetError(f"Generate({n!r}): pass how many tokens to write, at least 1.")
    ids = lm.top_tokens(prompt.ids, int(n))
    outputs, at = [], len(prompt.text)
    for i, token in enumerate(ids):
        text = token_name(lm.tokenizer, token)
        outputs.append(Token(text, token, at, at + len(text), position=len(prompt.tokens) + i))
        at += len(text)
    readout = Readout(ids[:-1], len(ids), lambda logits: _token_log_probs(logits, ids))
    words = f"the {len(ids)} tokens it writes: {quoted(''.join(o.text for o in outputs))}"
    return Question((readout,), tuple(outputs), "log_prob", words, prompt)


def _ids(x: Several, reading: Reading) -> tuple[int, ...]:
    """Return how the model would say ``x``, checked against what it can say and hold."""
    lm = reading.lm
    if isinstance(x, Integral) and not isinstance(x, bool):
        x = int(x)
        if not 0 <= x < lm.vocabulary_size:
            raise TargetError(
                f"Token id {x} is out of range; {lm.name} has ids 0 to {lm.vocabulary_size - 1}."
            )
        return (x,)
    if isinstance(x, list | tuple):
        raise TargetError(no_list(lm.name, KIND_NAMES[lm.kind]))
    if not isinstance(x, str):
        raise TargetError(
            f"A target of a language model is a text or a token id, not {type(x).__name__}."
        )
    ids = _spelled(x, reading)
    lm.check_ids(ids)
    lm.check_length(len(reading.prompt.tokens), len(ids) - 1)  # the last one is never read
    return ids


def _spelled(text: str, reading: Reading) -> tuple[int, ...]:
    tokenizer, prompt = reading.lm.tokenizer, reading.prompt
    if reading.slot is None:
        if reading.lm.kind == "seq2seq":
            return encode_answer(tokenizer, text)
        return encode_continuation(tokenizer, prompt, text)
    ids = encode_at(tokenizer, prompt, reading.slot, text)
    if len(ids) != 1:
        raise TargetError(
            f"One token fills a mask; {text!r} is {len(ids)}: {describe_ids(tokenizer, ids)}. "
            "Choose a word that is one token, or one of these by its id."
        )
    return ids


def _continue(ids: tuple[int, ...], unit: Unit, after: tuple[int, ...] = ()) -> Readout:
    def reduce(logits: Tensor) -> Tensor:
        if unit == "logit":
            return logits[:, -1, list(ids)]
        total = _token_log_probs(logits, ids).sum(-1, keepdim=True)
        return total.exp() if unit == "prob" else total

    return Readout((*after, *ids[:-1]), len(ids), reduce)


def _token_log_probs(logits: Tensor, ids: tuple[int, ...]) -> Tensor:
    """(row, keep, vocabulary) -> (row, token): log-probability of each continuation token."""
    wanted = torch.tensor(ids, device=logits.device).expand(len(logits), -1)[..., None]
    picked = logits.gather(-1, wanted)[..., 0]
    return picked - logits.logsumexp(-1)


def _text(x: Several, ids: tuple[int, ...], reading: Reading) -> str:
    return x if isinstance(x, str) else "".join(token_name(reading.lm.tokenizer, i) for i in ids)
