"""Texts and stacks of attention records, as the view gets them.

What comes in: one record, or two of different texts. What goes out: all their stacks under names
of their own, and what a reader must know of each.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from llm_interp_widgets import wire
from llm_interp_widgets.results.describe import hidden_words, target_words
from llm_interp_widgets.results.redaction import BLOCK
from llm_interp_widgets.text.boundaries import sentence_boundaries
from llm_interp_widgets.words import retold, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_interp_widgets.models.record import AttentionRecord
    from llm_interp_widgets.results.redaction import Cover
    from llm_interp_widgets.text.tokens import Token

_TITLES = {
    "self": "self-attention",
    "encoder": "encoder",
    "decoder": "decoder",
    "cross": "cross-attention",
    "vision": "image",
    "text": "text",
}
_LABEL = 48  # characters of a piece's name


class Kept(NamedTuple):
    """What a view says of a stack; known though its record is closed."""

    layers: int
    heads: int
    queries: int
    keys: int
    causal: bool
    nbytes: int
    values: bool
    slopes: bool
    whole: bool
    saved: bool
    why: str
    """Why nothing can be asked of the model again; empty where it can."""

    @classmethod
    def of(cls, one: AttentionRecord) -> Kept:
        """Look at a record.

        Raises:
            ResultError: It was closed.
        """
        whole, first = one.rule(0).whole, one.calls[0]
        return cls(
            one.layers, one.heads, *one.shape, _causal(one), one.nbytes, first.v is not None,
            first.slope is not None, whole, one.passes is None,
            str(getattr(one.passes, "why", "")),
        )  # fmt: skip


class Texts:
    """Stacks of one record, or of two, by name.

    Args:
        record: The first.
        beside: The second, if there are two.
        cover: What of their texts is covered whenever they are shown.
    """

    def __init__(
        self,
        record: AttentionRecord,
        beside: AttentionRecord | None = None,
        cover: Cover | None = None,
    ) -> None:
        self._cover = cover
        self.records = _main_first(record)
        self.names = [one.name for one in self.records]
        if beside is not None:
            others = _main_first(beside)
            self.records += others
            self.names += [f"{one.name} (second text)" for one in others]
        self._two = beside is not None
        self.kept = {name: Kept.of(one) for name, one in zip(self.names, self.records, strict=True)}

    def covered(self, error: BaseException) -> BaseException:
        """Return an error that does not say what is covered."""
        return error if self._cover is None else self._cover.error(error)

    def subject(self, caution: str, cover: Cover | None = None) -> wire.AttentionSubject:
        """Return what is fixed for the life of a view.

        Args:
            caution: What a reader must not forget.
            cover: What of the texts is covered, besides what always is.
        """
        covers = [one for one in (self._cover, cover) if one is not None]
        texts: list[wire.AttentionText] = []
        seen: dict[tuple[Token, ...], int] = {}
        for record in self.records:  # what one of them says, others may say
            for each in covers:
                each.tokens(record.tokens, of=record.prompt)

        def place(tokens: tuple[Token, ...], record: AttentionRecord) -> int:
            if tokens not in seen:
                seen[tokens] = len(texts)
                shown, prompt = tokens, record.prompt
                for one in covers:
                    shown = one.tokens(shown, of=prompt, told=record.target)
                    prompt = one.prompt(prompt)
                texts.append(_text(shown, prompt))
            return seen[tokens]

        stacks = [
            self._stack(one, name, place(one.queries, one), place(one.tokens, one))
            for one, name in zip(self.records, self.names, strict=True)
        ]
        title = self.records[0].model.name
        for one in covers:
            stacks = [_covered(stack, one, texts) for stack in stacks]
            title = one.name(title)
        return {
            "protocol": wire.PROTOCOL,
            "title": title,
            "caution": caution,
            "texts": texts,
            "stacks": stacks,
        }

    def _stack(
        self, one: AttentionRecord, name: str, queries: int, keys: int
    ) -> wire.AttentionStack:
        words, *number = one.name.split()
        title = " ".join([say(_TITLES.get(words, words)), *number])
        kept = self.kept[name]
        cannot = _cannot(one, kept)
        return {
            "name": name,
            "title": say("{title}, second text", title=title) if name != one.name else title,
            "layers": kept.layers,
            "heads": kept.heads,
            "queries": queries,
            "keys": keys,
            "causal": kept.causal,
            "target": target_words(one.target),
            "can": [what for what, why in cannot.items() if not why],
            "cannot": {what: why for what, why in cannot.items() if why},
            "facts": [
                {"label": label, "value": value, "level": "plain"}
                for label, value in _facts(one, kept)
            ],
        }


def _covered(
    stack: wire.AttentionStack, cover: Cover, texts: Sequence[wire.AttentionText]
) -> wire.AttentionStack:
    """Return what is said of a stack, covered, with how much of its keys is."""
    said: dict[str, Callable[[str], str]] = {
        say("target"): cover.text,
        say("note"): cover.text,
        say("model"): cover.name,
    }
    facts: list[wire.Fact] = [
        {**fact, "value": said.get(fact["label"], str)(fact["value"])}
        for fact in stack["facts"]
        if fact["label"] != say("redacted")
    ]
    text = "".join(texts[stack["keys"]]["tokens"])
    much = f"{text.count(BLOCK):,} of {len(text):,} characters"
    facts.append({"label": say("redacted"), "value": hidden_words(much), "level": "plain"})
    return {**stack, "target": cover.text(stack["target"]), "facts": facts}


def _main_first(record: AttentionRecord) -> list[AttentionRecord]:
    rest = [one for one in record.stacks.values() if one is not record]
    return [record, *rest]


def _causal(one: AttentionRecord) -> bool:
    """Return whether no query of any layer sees a later key."""
    queries, keys = one.shape
    at = np.arange(1, queries + 1)
    stops = (one.rule(layer).stop for layer in range(one.layers))
    return bool(queries == keys and all((stop <= at).all() for stop in stops))


def _cannot(one: AttentionRecord, kept: Kept) -> dict[str, str]:
    """Return, for what can be asked besides weights, why it cannot be; empty where it can."""
    again = say("the record was opened from a file") if kept.saved else kept.why
    square = kept.queries == kept.keys and one.name != "cross"
    return {
        "value": "" if kept.values else say("values were not captured"),
        "gradient": "" if kept.slopes else say("it needs a target"),
        "rollout": "" if square else say("two texts"),
        "split": say("the model hands out weights only") if kept.whole else "",
        "parts": again,
        "effect": again,
    }


def _facts(one: AttentionRecord, kept: Kept) -> list[tuple[str, str]]:
    queries, keys = kept.queries, kept.keys
    size = f"{keys:,}" if queries == keys else f"{queries:,} × {keys:,}"
    facts = [
        (say("model"), one.model.name),
        (say("heads"), say("{layers} layers × {heads}", layers=kept.layers, heads=kept.heads)),
        (say("text"), say("{n} tokens", n=size)),
        (say("dtype"), one.model.dtype),
        (say("device"), one.model.device),
        (say("kept in memory"), f"{kept.nbytes / 1e6:.3g} MB"),
    ]
    if one.target:
        facts.append((say("target"), target_words(one.target)))
    if one.note:
        facts.append((say("note"), _note(one.note)))
    return facts


def _note(note: str) -> str:
    return retold(
        note,
        "This model's attention is its own: its weights were taken whole from an eager pass, for "
        "texts of at most {n} tokens.",
        "{n} modules, the first being {module}, look at {parts} parts of {rows} inputs, each part "
        "by itself; these are not shown.",
        "Layers are counted by calls of attention: {pairs}.",
    )


def _text(tokens: tuple[Token, ...], prompt: str) -> wire.AttentionText:
    pieces: dict[str, Sequence[int]] = {}
    labels: dict[str, list[str]] = {}
    roles = [0, *(i for i, (a, b) in enumerate(pairwise(tokens), 1) if a.role != b.role)]
    if len(roles) > 1:
        pieces["role"] = roles
        labels["role"] = [tokens[i].role or say("between") for i in roles]
    if prompt and tokens[-1].end:
        ends = sorted(sentence_boundaries(prompt))
        at = np.searchsorted(ends, [token.start for token in tokens], side="right")
        begin = [0, *(i for i, (a, b) in enumerate(pairwise(at), 1) if a != b)]
        if len(begin) > 1:
            pieces["sentence"] = begin
            stops = [*begin[1:], len(tokens)]
            labels["sentence"] = [
                _short("".join(t.text for t in tokens[a:b]))
                for a, b in zip(begin, stops, strict=True)
            ]
    return {
        "tokens": [token.text for token in tokens],
        "special": bytes(token.special for token in tokens),
        "pieces": {name: np.array(at, "<u4").tobytes() for name, at in pieces.items()},
        "labels": labels,
    }


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"
