"""AttentionRecord: what every head of one pass compared, and every weight on request.

What comes in: captured calls and the tokens they compared. What goes out, as numpy arrays: what
``Captured`` gives of heads one by one; sums over heads; scores that tell heads apart; effects of
switching heads off; splits of scores; a file.

Guarantees: what ``Captured`` guarantees. A record outlives its model, but for what needs another
pass, until it is closed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from llm_interp_widgets.errors import ParameterError, ResultError
from llm_interp_widgets.models import _requests, components, together
from llm_interp_widgets.models._record_file import read_record, write_record
from llm_interp_widgets.models.again import NoPasses
from llm_interp_widgets.models.captured import Captured, as_numpy
from llm_interp_widgets.models.tally import tally
from llm_interp_widgets.results.attention import SCORES
from llm_interp_widgets.results.redaction import Cover

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from jaxtyping import Float
    from numpy import ndarray

    from llm_interp_widgets.models._requests import Places
    from llm_interp_widgets.models.together import Aggregate
    from llm_interp_widgets.results.attention import Effect
    from llm_interp_widgets.results.redaction import What
    from llm_interp_widgets.results.split import Components, Split

_COVERED = (
    "The text of this record is covered, and what asks the model again needs it. Ask the record "
    "that it was made of."
)


@dataclass(frozen=True, eq=False, repr=False)
class AttentionRecord(Captured):
    """Attention of one stack of a model on one text; ``attention`` and ``load`` make them.

    Example:
        >>> r = attention(lm, "The capital of France is")  # doctest: +SKIP
        >>> r.weights(5, 2, rows=-1)  # where the last token looks  # doctest: +SKIP
        >>> r.effect([(5, 2)])  # and what that looking does  # doctest: +SKIP

    Attributes:
        tokens: What is attended to, one per key.
        queries: What attends; the same tokens but in cross-attention.
        calls: One a layer.
        name: Of the stack: ``"self"``, ``"encoder"``, ``"decoder"``, ``"cross"``, ``"vision"``,
            ``"text"``.
        prompt: The text.
        model: What it was captured from.
        target: What ``of="gradient"`` is the gradient of, in words; empty without.
        note: What a reader should know, e.g. that weights were kept whole; or empty.
        stacks: All stacks of the pass by name, this one included.
        repeat: The sequence that stands twice in this text, if one does.
        passes: Asks the model again, while it is at hand.
        known: Head scores that were computed elsewhere.
    """

    def stack(self, name: str) -> AttentionRecord:
        """Return another stack of the same pass.

        Raises:
            ParameterError: There is none of this name.
        """
        if name not in self.stacks:
            raise ParameterError(
                f"There is no stack {name!r}; this model has {', '.join(map(repr, self.stacks))}."
            )
        return self.stacks[name]

    def close(self) -> None:
        """Let go of queries, keys and the model."""
        for record in {id(r): r for r in (self, *self.stacks.values())}.values():
            record._closed.append(True)  # noqa: SLF001 - one of us
            object.__setattr__(record, "calls", ())
            object.__setattr__(record, "passes", None)
            record.known.clear()

    # ── heads taken together ──────────────────────────────────────────────────

    def aggregate(
        self, how: Aggregate = "mean", layer: int | None = None, rows: Places = None
    ) -> Float[ndarray, "row col"]:
        """Return attention summed up over heads and layers.

        Takes layers × heads × rows × keys steps; a rollout takes all rows of every layer below,
        whichever are asked for.

        Args:
            how: ``"mean"`` and ``"max"`` of all heads' weights. ``"rollout"`` (Abnar & Zuidema
                2020): the product of (mean weights + I) / 2 over layers up to ``layer``.
                ``"value"``: the mean of weight · ‖value‖. ``"gradient"`` (after Chefer et al.
                2021): the mean of relu(weight · ∂target/∂weight).
            layer: Of one layer only; for a rollout, the last layer that counts.
            rows: Which queries; all by default, which holds queries × keys numbers.

        Returns:
            (rows, keys) float32.

        Raises:
            ParameterError: There is no such aggregate, layer or row; or values or gradients
                were not captured; or a rollout of cross-attention.
        """
        self._open()
        _requests.chosen(how, together.AGGREGATES, "how")
        asked = _requests.some(rows, self.shape[0], "row")
        if how == "rollout":
            if self.shape[0] != self.shape[1] or self.name.startswith("cross"):
                raise ParameterError("A rollout multiplies layers; cross-attention has none to.")
            last = self.layers if layer is None else self._layer(layer) + 1
            return as_numpy(together.rollout(self.calls[:last], asked))
        chosen = self.calls if layer is None else (self._call(layer),)
        return as_numpy(together.summed(chosen, how, asked))

    def head_scores(self) -> dict[str, Float[ndarray, "layer head"]]:
        """Return numbers that tell heads apart, each (layers, heads), float32.

        ``"previous_token"`` and ``"first_token"``: mean weight on the token before, and on the
        first one, over all queries but the first. ``"entropy"``: mean over queries, in nats.
        ``"distance"``: mean distance between query and key, in tokens. All on this text.

        ``"induction"`` and ``"duplicate_token"`` (Olsson et al. 2022; Wang et al. 2023): on
        random tokens that stand twice, the mean weight that a token of the second copy gives to
        the one *after* its first occurrence, and to that occurrence itself. The text's own
        tokens, if they are one sequence twice; else the mean over 4 texts of 50 random ones. NaN
        where neither is to be had: cross-attention, what a decoder answers, images, a record of
        a model that is gone.

        Looks at every weight, layers × heads × queries × keys steps, the first time.
        """
        self._open()
        if not self.known:
            measured = _stacked(self.scores_of(i) for i in range(self.layers))
            self.known.update(measured | self.repetition())
        return {name: value.copy() for name, value in self.known.items()}

    def scores_of(self, layer: int) -> dict[str, Float[ndarray, " head"]]:
        """Return the scores that need no other text, of one layer: (heads,) each."""
        found = tally(self._call(layer), self.repeat)
        return {name: value.numpy() for name, value in found.items()}

    def repetition(self) -> dict[str, Float[ndarray, "layer head"]]:
        """Return induction and duplicate-token scores on random tokens; empty if they can't be."""
        self._open()
        if self.repeat is not None or self.passes is None:
            return {}
        draws = [
            _stacked(random.scores_of(layer) for layer in range(random.layers))
            for random in self.passes.repeats(self.name)
        ]
        if not draws:
            return {}
        return {
            name: np.stack([draw[name] for draw in draws]).mean(0, dtype=np.float32)
            for name in ("induction", "duplicate_token")
        }

    # ── what heads do ─────────────────────────────────────────────────────────

    def effect(self, heads: Sequence[tuple[int, int]]) -> Effect:
        """Return what the target becomes with heads switched off: one more pass, two at first.

        Each head's output is set to zero before the layer's output projection; all else of the
        pass is as it was. Without a target, the model's own likeliest next token or label is
        explained.

        Args:
            heads: (layer, head) of each head that is switched off, of this stack.

        Raises:
            ParameterError: There is no such layer or head, or none was named; or the record is
                of raw inputs, and nothing was asked of the model.
            TargetError: The model says nothing by itself, and no target was given.
            ResultError: The record was closed, or opened from a file: the model is gone.
            ModelError: The model's attention is its own and cannot be switched off.
        """
        self._open()
        off: dict[tuple[str, int], tuple[int, ...]] = {}
        for layer, head in _pairs(heads):
            call, number = self._call(layer), _requests.one(head, self.heads, "head")
            place = call.module, call.time
            off[place] = tuple(sorted({*off.get(place, ()), number}))
        if self.passes is None:
            raise ResultError(
                "This record was opened from a file, and switching heads off needs the model. "
                "Load it and call attention(lm, prompt, target)."
            )
        return self.passes.effect(off)

    # ── why heads look where they look ────────────────────────────────────────

    def split(self, layer: int, head: int, query: int, key: int) -> Split:
        """Return the score of one query and one key, before the softmax, over dimensions.

        Args:
            layer: Counted from 0.
            head: A query head.
            query: Position of the token that attends.
            key: Position of the token that is attended to.

        Raises:
            ParameterError: There is no such layer, head, query or key, or the query does not see
                the key.
            UnsupportedModelError: The model hands out weights only.
        """
        place = self._pair(query, key)
        return components.split(self._call(layer), self._head(head).start, *place)

    def components(self, layer: int, head: int, query: int, key: int) -> Components:
        """Return the same score over what earlier parts of the model wrote; part of a pass.

        Args:
            layer: Counted from 0.
            head: A query head.
            query: Position of the token that attends.
            key: Position of the token that is attended to.

        Raises:
            ParameterError: As ``split``.
            ResultError: The record was closed, or opened from a file: the model is gone.
            UnsupportedModelError: The score is not linear in what earlier parts wrote.
        """
        call, place = self._call(layer), self._pair(query, key)
        number = self._head(head).start
        if self.passes is None:
            raise ResultError(
                "This record was opened from a file, and a split by component needs the model. "
                "Load it and call attention(lm, prompt)."
            )
        return self.passes.components(call, [t.id for t in self.tokens], number, *place)

    def _pair(self, query: int, key: int) -> tuple[int, int]:
        self._open()
        queries, keys = self.shape
        return _requests.one(query, queries, "query"), _requests.one(key, keys, "key")

    # ── files ─────────────────────────────────────────────────────────────────

    def redacted(self, what: What) -> AttentionRecord:
        """Return all stacks with their texts covered; see ``Attribution.redacted``.

        All that was read is text: the prompt, and a target's words after it. Weights stay; what
        asks the model again, as ``effect`` does, is not to be had, as it would need the text.

        Args:
            what: As there; ``True`` for everything that was read, but blanks.

        Raises:
            ParameterError: It is something else, or found nowhere.
        """
        self._open()
        cover = Cover(what)
        stacks: dict[str, AttentionRecord] = {}
        every = {self.name: self, **self.stacks}
        for one in every.values():  # what one of them says, others may say
            cover.tokens(one.tokens, of=one.prompt)
        for name, one in every.items():
            keys = cover.tokens(one.tokens, of=one.prompt, told=one.target)
            queries = cover.tokens(one.queries, of=one.prompt, told=one.target)
            prompt = cover.prompt(one.prompt)
            stacks[name] = replace(
                one, tokens=keys, queries=queries, prompt=prompt, target=cover.text(one.target),
                note=cover.text(one.note), stacks=stacks, known=dict(one.known), _closed=[],
                model=replace(one.model, name=cover.name(one.model.name)),
                passes=NoPasses(ResultError(_COVERED)),
            )  # fmt: skip
        cover.check()
        return stacks[self.name]

    def save(self, path: str | os.PathLike[str], *, redact: What | None = None) -> Path:
        """Write this stack to one file; ``AttentionRecord.load`` opens it without the model.

        Args:
            path: Where to; an existing file is replaced.
            redact: What of its texts is covered first; see ``redacted``.

        Raises:
            ResultError: It cannot be written, or the record was closed.
            ParameterError: What is to be covered is nowhere.
        """
        scores = self.head_scores()
        return write_record(path, self if redact is None else self.redacted(redact), scores)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, limit: int | None = None) -> AttentionRecord:
        """Open a saved record, whoever made it.

        Args:
            path: Of the file.
            limit: Bytes that it may unpack to; by default 256 MiB and 50 times its own size.

        Raises:
            ResultError: It is missing, damaged, too large, or something else.
            ParameterError: The limit is no positive whole number.
        """
        record = read_record(path, cls, limit)
        record.stacks[record.name] = record
        return record


def _stacked(
    layers: Iterable[Mapping[str, Float[ndarray, " head"]]],
) -> dict[str, Float[ndarray, "layer head"]]:
    found = list(layers)
    return {name: np.stack([one[name] for one in found]) for name in SCORES}


def _pairs(heads: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    found = list(heads)
    if not found or not all(isinstance(one, tuple | list) and len(one) == 2 for one in found):
        raise ParameterError(f"heads={heads!r} must name pairs: [(layer, head), …].")
    return found
