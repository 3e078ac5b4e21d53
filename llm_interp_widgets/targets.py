"""Targets: the scalar that is explained, one for each output row.

What comes in: what the user wants explained. What goes out: a ``Question``: the strict form
that the rest of the house works with (readouts, output tokens, unit, words).

The unit decides the answer. A raw logit floats with the whole vocabulary, so language models
default to log-probability, and a contrast of two continuations cancels what both share;
classifiers default to the logit of a label.

Guarantees: a target that is ambiguous, of several tokens where one is needed, or out of
range raises ``TargetError`` before any work is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Literal

import torch

from llm_interp_widgets.errors import NonFiniteError, TargetError, nearest
from llm_interp_widgets.models.language_model import Inputs, Readout
from llm_interp_widgets.models.tokenize import describe_ids, encode_continuation, token_name
from llm_interp_widgets.results.describe import quoted
from llm_interp_widgets.text.tokens import Token

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from llm_interp_widgets.models.language_model import LanguageModel
    from llm_interp_widgets.results.attribution import Unit
    from llm_interp_widgets.text.tokens import Prompt

Named = str | int
Kind = Literal["logit", "log_prob", "prob"]


@dataclass(frozen=True, slots=True)
class LogProb:
    """Log-probability of a continuation (the sum over its tokens) or of a label.

    Attributes:
        x: A continuation, a token id, a label's name or a class index.
    """

    x: Named


@dataclass(frozen=True, slots=True)
class Logit:
    """Raw score of one token or label, before normalisation.

    Attributes:
        x: One token (text or id), a label's name or a class index.
    """

    x: Named


@dataclass(frozen=True, slots=True)
class Prob:
    """Probability of a continuation (the product over its tokens) or of a label.

    Attributes:
        x: A continuation, a token id, a label's name or a class index.
    """

    x: Named


@dataclass(frozen=True, slots=True)
class Contrast:
    """Why ``a`` rather than ``b``: the difference of their logits or log-probabilities.

    For two single tokens the difference of logits and that of log-probabilities are the
    same number; continuations of several tokens use log-probabilities, labels use logits.

    Attributes:
        a: What was said: continuation, token id, label or class index.
        b: What could have been said instead.
    """

    a: Named
    b: Named


@dataclass(frozen=True, slots=True)
class Generate:
    """Log-probability of each of the next ``n`` tokens the model itself writes (greedily).

    Attributes:
        n: How many tokens; fewer where the model ends the text.
    """

    n: int


@dataclass(frozen=True, slots=True)
class Masked:
    """Log-probability of ``x`` at a masked position; for masked language models.

    Attributes:
        position: Which token of the prompt is masked.
        x: The token that is to be explained there.
    """

    position: int
    x: str


@dataclass(frozen=True, slots=True)
class Similarity:
    """Cosine similarity with another text; for encoders.

    Attributes:
        text: The other text.
    """

    text: str


CustomTarget = Callable[["Float[Tensor, 'row vocabulary']"], "Float[Tensor, ' row']"]
Target = LogProb | Logit | Prob | Contrast | Generate | Masked | Similarity | CustomTarget
TargetLike = Target | Named | None


@dataclass(frozen=True, slots=True)
class Question:
    """A target made strict for one model and prompt.

    Attributes:
        readouts: What to read; their values are added.
        outputs: What each output row stands for.
        unit: Of every value.
        words: What is explained, as a reader says it.
        note: What looks like a slip, to be shown; empty if nothing does.
    """

    readouts: tuple[Readout, ...]
    outputs: tuple[Token, ...]
    unit: Unit
    words: str
    note: str = ""


def ask(target: TargetLike, lm: LanguageModel, prompt: Prompt) -> Question:
    """Make a target strict.

    Args:
        target: One of this module's targets, a text, an index, a callable from logits
            (row, vocabulary) to one scalar a row, or ``None`` for what the model itself
            says: its top next token, or its predicted label.
        lm: The model.
        prompt: The encoded prompt.

    Raises:
        TargetError: It does not fit the model.
        NonFiniteError: ``None``, and the model's own scores are NaN.
    """
    strict = _named(target, lm, prompt)
    return replace(_question(strict, lm, prompt), note=_note(strict, lm, prompt))


def _question(target: Target, lm: LanguageModel, prompt: Prompt) -> Question:
    match target:
        case Logit(x):
            return _plain("logit", x, lm, prompt)
        case LogProb(x):
            return _plain("log_prob", x, lm, prompt)
        case Prob(x):
            return _plain("prob", x, lm, prompt)
        case Contrast(a, b):
            return _contrast(a, b, lm, prompt)
        case Generate(n):
            return _generate(n, lm, prompt)
        case Masked() | Similarity() as other:
            raise TargetError(_needs_another_model(other, lm))
        case custom:
            return _custom(custom, lm, prompt)


def _note(target: Target, lm: LanguageModel, prompt: Prompt) -> str:
    """Return what is likely a slip with spaces, which are part of a model's words."""
    if lm.kind != "causal" or not prompt.text or any(t.role for t in prompt.tokens):
        return ""
    if prompt.text[-1] == " ":
        return "The prompt ends in a space; most models expect it at the start of the next word."
    texts = [getattr(target, name, None) for name in ("x", "a", "b")]
    for text in texts:
        if isinstance(text, str) and prompt.text[-1].isalnum() and text[:1].isalnum():
            last = prompt.text.split()[-1]
            return f"Without a leading space this reads “{last}{text}”. Did you mean “ {text}”?"
    return ""


def _named(target: TargetLike, lm: LanguageModel, prompt: Prompt) -> Target:
    """Give a bare name, an index or ``None`` the unit that is sound for this kind of model."""
    if target is None:
        target = _own_answer(lm, prompt)
    if isinstance(target, Integral) and not isinstance(target, bool):
        target = int(target)
    if isinstance(target, str | int) and not isinstance(target, bool):
        return Logit(target) if lm.kind == "classifier" else LogProb(target)
    known = LogProb | Logit | Prob | Contrast | Generate | Masked | Similarity
    if isinstance(target, known) or callable(target):
        return target
    raise TargetError(
        f"target={target!r} is a {type(target).__name__}. Pass None, a text, an index, "
        "LogProb, Logit, Prob, Contrast, Generate, or a callable on logits."
    )


def _needs_another_model(target: Masked | Similarity, lm: LanguageModel) -> str:
    wanted = "a masked language model" if isinstance(target, Masked) else "an encoder"
    causal = lm.kind == "causal"
    return (
        f"{type(target).__name__} needs {wanted}, which cannot be explained yet; {lm.name} is a "
        f"{'decoder' if causal else 'classifier'}. Available for it: LogProb, Logit, Prob, "
        f"Contrast{', Generate' if causal else ''}."
    )


# ── one answer ────────────────────────────────────────────────────────────────


def _own_answer(lm: LanguageModel, prompt: Prompt) -> Named:
    scores = lm.scores(
        Inputs(torch.tensor([prompt.ids])), Readout((), 1, lambda logits: logits[:, 0])
    )
    if not bool(torch.isfinite(scores).any()) or bool(torch.isnan(scores).any()):
        raise NonFiniteError(
            f"{lm.name} returned NaN scores on the prompt itself. Check its weights or dtype."
        )
    return int(scores[0].argmax())


def _plain(kind: Kind, x: Named, lm: LanguageModel, prompt: Prompt) -> Question:
    if lm.kind == "classifier":
        index = _label_index(x, lm)
        unit: Unit = "value" if len(lm.labels) == 1 else kind
        name = lm.labels[index]
        if kind != "logit" and len(lm.labels) == 1:
            raise TargetError(
                f"{lm.name} has one output and no probabilities; use Logit(0) or None."
            )
        independent = lm.model.config.problem_type == "multi_label_classification"
        normalise = _each_kind if independent else _kind
        readout = Readout((), 1, lambda logits: normalise(logits[:, 0], kind)[:, [index]])
        end = len(prompt.text)
        token = Token(name, index, end, end, position=len(prompt.tokens))
        return Question((readout,), (token,), unit, quoted(name))
    ids = _continuation(x, lm, prompt)
    if kind == "logit" and len(ids) != 1:
        raise TargetError(
            f"Logit needs one token; {x!r} is {len(ids)}: {describe_ids(lm.tokenizer, ids)}. "
            "Use LogProb for a continuation of several tokens."
        )
    text = _text(x, ids, lm)
    output = _output(text, ids, prompt)
    return Question((_continue(ids, kind),), (output,), kind, quoted(text))


def _contrast(a: Named, b: Named, lm: LanguageModel, prompt: Prompt) -> Question:
    if lm.kind == "classifier":
        i, j = _label_index(a, lm), _label_index(b, lm)
        _check_different(i, j, a)
        readout = Readout((), 1, lambda logits: logits[:, 0, [i]] - logits[:, 0, [j]])
        names = lm.labels[i], lm.labels[j]
        end = len(prompt.text)
        token = Token(f"{names[0]} − {names[1]}", i, end, end, position=len(prompt.tokens))
        return Question(
            (readout,), (token,), "logit", f"{quoted(names[0])} rather than {quoted(names[1])}"
        )
    first, second = _continuation(a, lm, prompt), _continuation(b, lm, prompt)
    _check_different(first, second, a)
    texts = _text(a, first, lm), _text(b, second, lm)
    output = _output(f"{texts[0]} −{texts[1]}", first, prompt)
    words = f"{quoted(texts[0])} rather than {quoted(texts[1])}"
    if len(first) == len(second) == 1:
        i, j = first[0], second[0]
        readout = Readout((), 1, lambda logits: logits[:, -1, [i]] - logits[:, -1, [j]])
        return Question((readout,), (output,), "logit", words)
    plus, minus = _continue(first, "log_prob"), _continue(second, "log_prob")
    negated = Readout(minus.suffix, minus.keep, lambda logits: -minus.reduce(logits))
    return Question((plus, negated), (output,), "log_prob", words)


def _generate(n: int, lm: LanguageModel, prompt: Prompt) -> Question:
    if lm.kind != "causal":
        raise TargetError(f"Generate needs a language model; {lm.name} is a classifier.")
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
    return Question((readout,), tuple(outputs), "log_prob", words)


def _custom(target: CustomTarget, lm: LanguageModel, prompt: Prompt) -> Question:
    name = getattr(target, "__name__", type(target).__name__)

    def reduce(logits: Tensor) -> Tensor:
        values = target(logits[:, -1])
        if not isinstance(values, torch.Tensor) or values.shape != logits.shape[:1]:
            got = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
            raise TargetError(
                f"The target {name} must return a tensor of shape (rows,) = "
                f"{tuple(logits.shape[:1])} for logits of shape {tuple(logits[:, -1].shape)}; "
                f"it returned {got}."
            )
        return values[:, None]

    end = len(prompt.text)
    token = Token(name, -1, end, end, position=len(prompt.tokens))
    lm.scores(Inputs(torch.tensor([prompt.ids])), readout := Readout((), 1, reduce))
    return Question((readout,), (token,), "value", name)


# ── helpers ───────────────────────────────────────────────────────────────────


def _kind(logits: Tensor, kind: Kind) -> Tensor:
    if kind == "logit":
        return logits
    return logits.log_softmax(-1) if kind == "log_prob" else logits.softmax(-1)


def _each_kind(logits: Tensor, kind: Kind) -> Tensor:
    """As ``_kind``, for labels that do not exclude each other."""
    if kind == "logit":
        return logits
    log_probs = torch.nn.functional.logsigmoid(logits)
    return log_probs if kind == "log_prob" else log_probs.exp()


def _token_log_probs(logits: Tensor, ids: tuple[int, ...]) -> Tensor:
    """(row, keep, vocabulary) -> (row, token): log-probability of each continuation token."""
    wanted = torch.tensor(ids, device=logits.device).expand(len(logits), -1)[..., None]
    picked = logits.gather(-1, wanted)[..., 0]
    return picked - logits.logsumexp(-1)


def _continue(ids: tuple[int, ...], kind: Kind) -> Readout:
    def reduce(logits: Tensor) -> Tensor:
        if kind == "logit":
            return logits[:, -1, list(ids)]
        total = _token_log_probs(logits, ids).sum(-1, keepdim=True)
        return total.exp() if kind == "prob" else total

    return Readout(ids[:-1], len(ids), reduce)


def _continuation(x: Named, lm: LanguageModel, prompt: Prompt) -> tuple[int, ...]:
    if isinstance(x, Integral) and not isinstance(x, bool):
        x = int(x)
        if not 0 <= x < lm.vocabulary_size:
            raise TargetError(
                f"Token id {x} is out of range; {lm.name} has ids 0 to {lm.vocabulary_size - 1}."
            )
        return (x,)
    if not isinstance(x, str):
        raise TargetError(
            f"A target of a language model is a text or a token id, not {type(x).__name__}."
        )
    ids = encode_continuation(lm.tokenizer, prompt, x)
    lm.check_ids(ids)
    lm.check_length(len(prompt.tokens) + len(ids) - 1)  # the last one is never read
    return ids


def _label_index(x: Named, lm: LanguageModel) -> int:
    labels = lm.labels
    listed = ", ".join(f"{i} {name!r}" for i, name in enumerate(labels))
    if isinstance(x, str):
        if x in labels:
            return labels.index(x)
        lower = [name.lower() for name in labels]
        if lower.count(x.lower()) == 1:
            return lower.index(x.lower())
        raise TargetError(f"{lm.name} has no label {x!r}. {nearest(x, labels)} By index: {listed}.")
    if not isinstance(x, Integral) or isinstance(x, bool) or not 0 <= x < len(labels):
        raise TargetError(f"Label {x!r} is out of range for {lm.name}. Its labels: {listed}.")
    return int(x)


def _check_different(a: object, b: object, name: Named) -> None:
    if a == b:
        raise TargetError(f"Contrast compares {name!r} with itself; the difference is always 0.")


def _text(x: Named, ids: tuple[int, ...], lm: LanguageModel) -> str:
    return x if isinstance(x, str) else "".join(token_name(lm.tokenizer, i) for i in ids)


def _output(text: str, ids: tuple[int, ...], prompt: Prompt) -> Token:
    start = len(prompt.text)
    return Token(text, ids[0], start, start + len(text), position=len(prompt.tokens), size=len(ids))
