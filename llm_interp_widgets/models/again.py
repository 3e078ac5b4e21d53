"""Passes again: what an attention record asks of the model after it was captured.

What comes in: a wrapped model and what it read. What goes out: records of random tokens that
stand twice, and what switching heads off does to a target.

Guarantees: what ``untouched`` guarantees; heads are off in this thread's passes only, and only
while one lasts. Where a question cannot be asked, a typed error says why.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import torch

from llm_interp_widgets.models.capture import capturing
from llm_interp_widgets.models.components import components
from llm_interp_widgets.models.language_model import Inputs, Readout
from llm_interp_widgets.models.tokenize import token_name
from llm_interp_widgets.results.attention import Effect, Likely
from llm_interp_widgets.text.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from jaxtyping import Float
    from torch import Tensor

    from llm_interp_widgets.errors import InterpError
    from llm_interp_widgets.models.capture import Off
    from llm_interp_widgets.models.heads import Call
    from llm_interp_widgets.models.language_model import LanguageModel
    from llm_interp_widgets.models.record import AttentionRecord
    from llm_interp_widgets.results.split import Components
    from llm_interp_widgets.text.tokens import Prompt

_PROBE, _DRAWS = 50, 4  # random tokens that stand twice, and how many such texts


class Asked(Protocol):
    """A target made strict; ``targets.Question`` is one."""

    @property
    def readouts(self) -> tuple[Readout, ...]:
        """What is read; values are added."""
        ...

    @property
    def unit(self) -> str:
        """Of the values."""
        ...

    @property
    def words(self) -> str:
        """What is explained."""
        ...

    @property
    def prompt(self) -> Prompt:
        """The prompt as it is read."""
        ...

    @property
    def slot(self) -> int | None:
        """The token that a masked model is read at."""
        ...


class Passes(Protocol):
    """What needs the model again."""

    def repeats(self, stack: str) -> Iterator[AttentionRecord]:
        """Yield a stack's records of random tokens that stand twice; none where it reads none."""
        ...

    def effect(self, off: Off) -> Effect:
        """Return what switching heads off does."""
        ...

    def components(
        self, call: Call, ids: Sequence[int], head: int, query: int, key: int
    ) -> Components:
        """Return a score of the text of these ids over what earlier components wrote."""
        ...


@dataclass(frozen=True, slots=True)
class NoPasses:
    """Of records whose model cannot be asked again.

    Attributes:
        why: What to raise.
    """

    why: InterpError

    def repeats(self, _: str) -> Iterator[AttentionRecord]:
        """Yield nothing."""
        return iter(())

    def effect(self, _: Off) -> Effect:
        """Say why not."""
        raise self.why

    def components(self, *_: object) -> Components:
        """Say why not."""
        raise self.why


@dataclass(slots=True)
class TextPasses:
    """Of a record of one text.

    Attributes:
        lm: The model.
        prompt: What it read.
        capture: Captures another prompt: from it, a readout, and the slot of a masked model.
        ask: Makes the target strict, the model's own answer if there is none.
    """

    lm: LanguageModel
    prompt: Prompt
    capture: Callable[[Prompt, Readout, int | None], AttentionRecord]
    ask: Callable[[], Asked]
    _known: list[tuple[Asked, float, Likely | None]] = field(default_factory=list)

    def repeats(self, stack: str) -> Iterator[AttentionRecord]:
        """Read random tokens twice, between whatever special tokens stand around a text."""
        for random, slot in _random_texts(self.lm, self.prompt):
            found = self.capture(random, Readout((), 1, _first), slot).stacks.get(stack)
            if found is None or found.repeat is None:
                return
            yield found

    def effect(self, off: Off) -> Effect:
        """Read the target with heads on, unless that is known, and with some off."""
        if not self._known:
            asked = self.ask()
            self._known.append((asked, *_measured(self.lm, asked, {})))
        asked, before, top = self._known[0]
        after, other = _measured(self.lm, asked, off)
        return Effect(asked.words, asked.unit, before, after, top, other)

    def components(
        self, call: Call, ids: Sequence[int], head: int, query: int, key: int
    ) -> Components:
        """Read the text once more, as far as the head's layer."""
        inputs = Inputs(torch.tensor([list(ids)]), slot=0 if self.lm.kind == "masked" else None)
        readout = Readout((), 1, _first)
        return components(self.lm, inputs, readout, call, head, query, key)


def switched_off(
    lm: LanguageModel, inputs: Inputs, readouts: Sequence[Readout], heads: Off
) -> Float[Tensor, " output"]:
    """Return a target's values with some heads' outputs set to zero.

    Args:
        lm: The model.
        inputs: One row.
        readouts: What is read; their values are added.
        heads: By module and the time of its call; none for the model as it is.
    """

    def off() -> AbstractContextManager[object]:  # one a pass: calls of a module are counted
        return capturing(lm.model, off=heads, keep=False) if heads else nullcontext()

    values = []
    for readout in readouts:
        with off():
            values.append(lm.scores(inputs, readout)[0])
    return torch.stack(values).sum(0)


# ── a target and what is likeliest ────────────────────────────────────────────


def _measured(lm: LanguageModel, asked: Asked, off: Off) -> tuple[float, Likely | None]:
    """Return the target's value, and what the model holds likeliest where it begins."""
    tops: list[Likely | None] = []

    def look(answers: Tensor) -> Tensor:
        tops.append(_top(lm, answers[0, 0]))
        return asked.readouts[0].reduce(answers)

    readouts = (replace(asked.readouts[0], reduce=look), *asked.readouts[1:])
    values = switched_off(lm, Inputs.of(asked.prompt, asked.slot), readouts, off)
    return float(values.sum()), tops[0]


def _top(lm: LanguageModel, logits: Float[Tensor, " answer"]) -> Likely | None:
    if lm.kind == "encoder" or (lm.kind == "classifier" and len(lm.labels) == 1):
        return None
    best = int(logits.argmax())
    several = getattr(lm.model.config, "problem_type", None) == "multi_label_classification"
    each = logits.sigmoid() if lm.kind == "classifier" and several else logits.softmax(-1)
    name = lm.labels[best] if lm.kind == "classifier" else token_name(lm.tokenizer, best)
    return Likely(name, float(each[best]))


# ── random tokens that stand twice ────────────────────────────────────────────


def _random_texts(lm: LanguageModel, prompt: Prompt) -> Iterator[tuple[Prompt, int | None]]:
    real = [i for i, token in enumerate(prompt.tokens) if not token.special] or [0]
    before = prompt.tokens[: real[0]] if real[0] < 4 else ()
    after = prompt.tokens[real[-1] + 1 :][:1] if lm.kind != "causal" else ()
    special = set(lm.tokenizer.all_special_ids)
    usable = torch.tensor([i for i in range(min(lm.vocabulary_size, len(lm.tokenizer)))
                           if i not in special])  # fmt: skip
    limit = lm.context_length or 4 * _PROBE
    period = min(_PROBE, (limit - len(before) - len(after)) // 2)
    draw = torch.Generator().manual_seed(0)
    slot = len(before) if lm.kind == "masked" else None
    for _ in range(_DRAWS):
        once = usable[torch.randint(len(usable), (period,), generator=draw)].tolist()
        middle = [
            Token(token_name(lm.tokenizer, i), i, 0, 0, position=n + len(before))
            for n, i in enumerate([*once, *once])
        ]
        yield replace(prompt, text="", tokens=(*before, *middle, *after), segments=None), slot


def _first(answers: Tensor) -> Tensor:
    return answers[:, -1, :1]
