"""Targets of classifiers: a label's logit or probability, or one label rather than another."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING

import torch

from llm_interp_widgets.errors import TargetError, nearest
from llm_interp_widgets.models.language_model import Readout
from llm_interp_widgets.results.describe import quoted
from llm_interp_widgets.targets.custom import ask_custom
from llm_interp_widgets.targets.kinds import Contrast, Generate, Logit, LogProb, Prob, Question

if TYPE_CHECKING:
    from torch import Tensor

    from llm_interp_widgets.results.result import Unit
    from llm_interp_widgets.targets.kinds import CustomTarget, Named, Reading, Several


def ask_label(
    target: LogProb | Logit | Prob | Contrast | Generate | CustomTarget, reading: Reading
) -> Question:
    """Make a target of a classifier strict.

    Raises:
        TargetError: There is no such label, or no such target of a classifier.
    """
    match target:
        case Logit(x):
            return _labels("logit", x, reading)
        case LogProb(x):
            return _labels("log_prob", x, reading)
        case Prob(x):
            return _labels("prob", x, reading)
        case Contrast(a, b, after):
            if after:
                raise TargetError(
                    f"Contrast(…, after=…) needs a language model; {reading.lm.name} is a "
                    "classifier and says nothing before its label."
                )
            return _contrast(a, b, reading)
        case Generate():
            raise TargetError(
                f"Generate needs a language model; {reading.lm.name} is a classifier. Pass a "
                "label, or None for the predicted one."
            )
        case custom:
            return ask_custom(custom, reading, lambda logits: logits[:, 0])


def _labels(unit: Unit, x: Several, reading: Reading) -> Question:
    """One output a label; several where a list of labels is asked for."""
    lm = reading.lm
    named = [x] if isinstance(x, str) or not isinstance(x, Sequence) else list(x)
    indices = [_index(one, reading) for one in named]
    if not indices or len(set(indices)) < len(indices):
        raise TargetError(
            f"target={list(named)!r} must name at least one label, and each once. "
            f"Labels of {lm.name}: {', '.join(map(repr, lm.labels))}."
        )
    if unit != "logit" and len(lm.labels) == 1:
        raise TargetError(f"{lm.name} has one output and no probabilities; use Logit(0) or None.")
    independent = lm.model.config.problem_type == "multi_label_classification"
    normalise = _independent if independent else _exclusive
    readout = Readout((), 1, lambda logits: normalise(logits[:, 0], unit)[:, indices])
    names = [lm.labels[index] for index in indices]
    outputs = tuple(reading.answer(name, i) for name, i in zip(names, indices, strict=True))
    words = ", ".join(map(quoted, names))
    shown = "value" if len(lm.labels) == 1 else unit
    return Question((readout,), outputs, shown, words, reading.prompt)


def _contrast(a: Named, b: Named, reading: Reading) -> Question:
    i, j = _index(a, reading), _index(b, reading)
    if i == j:
        raise TargetError(f"Contrast compares {a!r} with itself; the difference is always 0.")
    readout = Readout((), 1, lambda logits: logits[:, 0, [i]] - logits[:, 0, [j]])
    first, second = reading.lm.labels[i], reading.lm.labels[j]
    words = f"{quoted(first)} rather than {quoted(second)}"
    output = reading.answer(f"{first} − {second}", i)
    return Question((readout,), (output,), "logit", words, reading.prompt)


def _exclusive(logits: Tensor, unit: Unit) -> Tensor:
    if unit == "logit":
        return logits
    return logits.log_softmax(-1) if unit == "log_prob" else logits.softmax(-1)


def _independent(logits: Tensor, unit: Unit) -> Tensor:
    """As ``_exclusive``, for labels that do not exclude each other."""
    if unit == "logit":
        return logits
    log_probs = torch.nn.functional.logsigmoid(logits)
    return log_probs if unit == "log_prob" else log_probs.exp()


def _index(x: Named, reading: Reading) -> int:
    name, labels = reading.lm.name, reading.lm.labels
    listed = ", ".join(f"{i} {label!r}" for i, label in enumerate(labels))
    if isinstance(x, str):
        if x in labels:
            return labels.index(x)
        lower = [label.lower() for label in labels]
        if lower.count(x.lower()) == 1:
            return lower.index(x.lower())
        if reading.prompt.text.strip().lower() in lower:
            raise TargetError(
                f"{name} has no label {x[:40]!r}, but the prompt is the name of one: prompt and "
                f"target seem to be swapped. Labels by index: {listed}."
            )
        raise TargetError(f"{name} has no label {x!r}. {nearest(x, labels)} By index: {listed}.")
    if not isinstance(x, Integral) or isinstance(x, bool) or not 0 <= x < len(labels):
        raise TargetError(f"Label {x!r} is out of range for {name}. Its labels: {listed}.")
    return int(x)
