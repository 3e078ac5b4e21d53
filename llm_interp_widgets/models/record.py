"""AttentionRecord: what every head of one pass compared, and every weight on request.

What comes in: captured calls and the tokens they compared. What goes out, as numpy arrays:
weights of any head, rows and columns; weights pooled to cells; sums over heads; scores that tell
heads apart; a file.

Guarantees: holds queries and keys, nothing of size heads × tokens²; weights are float32, the
same for a part as for the whole up to rounding; rows sum to 1 (less what sinks take). A record
outlives its model, but for what needs another pass, until it is closed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from llm_interp_widgets.errors import ParameterError, ResultError
from llm_interp_widgets.models import _requests, components, sweep, together
from llm_interp_widgets.models._record_file import read_record, write_record
from llm_interp_widgets.models.tally import SCORES, entropies, tally
from llm_interp_widgets.results.attention import Edge, Rule, Sums

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from jaxtyping import Float, UInt8
    from numpy import ndarray

    from llm_interp_widgets.models._requests import Places
    from llm_interp_widgets.models.again import Passes
    from llm_interp_widgets.models.heads import Call
    from llm_interp_widgets.models.masks import Bias, Mask
    from llm_interp_widgets.models.sweep import Pooling
    from llm_interp_widgets.models.tally import Repeat
    from llm_interp_widgets.models.together import Aggregate, Of
    from llm_interp_widgets.results.attention import Effect
    from llm_interp_widgets.results.attribution import ModelInfo
    from llm_interp_widgets.results.split import Components, Split
    from llm_interp_widgets.text.tokens import Token


@dataclass(frozen=True, eq=False, repr=False)
class AttentionRecord:
    """Attention of one stack of a model on one text.

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

    tokens: tuple[Token, ...]
    queries: tuple[Token, ...]
    calls: tuple[Call, ...]
    name: str
    prompt: str
    model: ModelInfo
    target: str = ""
    note: str = ""
    stacks: dict[str, AttentionRecord] = field(default_factory=dict)
    repeat: Repeat | None = None
    passes: Passes | None = None
    known: dict[str, Float[ndarray, "layer head"]] = field(default_factory=dict)
    _closed: list[bool] = field(default_factory=list)

    def __repr__(self) -> str:
        """Return one line: sizes, stack, memory."""
        return (
            f"<AttentionRecord {self.name} of {self.model.name}: {self.layers} layers × "
            f"{self.heads} heads, {len(self.queries)} × {len(self.tokens)} tokens, "
            f"{self.nbytes / 1e6:.3g} MB>"
        )

    # ── what it holds ─────────────────────────────────────────────────────────

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.calls)

    @property
    def heads(self) -> int:
        """Number of query heads a layer."""
        return self.calls[0].heads if self.calls else 0

    @property
    def shape(self) -> tuple[int, int]:
        """(queries, keys)."""
        return len(self.queries), len(self.tokens)

    @property
    def nbytes(self) -> int:
        """Bytes held by this stack; masks and biases that layers share count once."""
        tensors = {id(t): t.nbytes for call in self.calls for t in call.tensors}
        shared: dict[int, Mask | Bias] = {id(call.mask): call.mask for call in self.calls}
        shared |= {id(c.bias): c.bias for c in self.calls if c.bias is not None}
        return sum(tensors.values()) + sum(one.nbytes for one in shared.values())

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

    # ── one head ──────────────────────────────────────────────────────────────

    def weights(
        self, layer: int, head: int, rows: Places = None, cols: Places = None, of: Of = "weights"
    ) -> Float[ndarray, "row col"]:
        """Return one head's weights, computed now.

        Args:
            layer: Counted from 0; from the end if negative.
            head: A query head, likewise.
            rows: Which queries; all by default, which takes queries × keys numbers. One number
                is one row.
            cols: Which keys; all by default. What they get depends on all keys: a column takes
                as long as the whole, and less memory.
            of: ``"weights"``; ``"value"``: weight · ‖value‖ (after Kobayashi et al. 2020, without
                the output projection); ``"gradient"``: weight · ∂target/∂weight.

        Returns:
            (rows, columns) float32.

        Raises:
            ParameterError: There is no such layer, head, row or column; or values or gradients
                were not captured.
            ResultError: The record was closed.
        """
        call, one = self._call(layer), self._head(head)
        _requests.chosen(of, together.OFS, "of")
        asked = _requests.some(rows, self.shape[0], "row").to(call.device)
        keys = _requests.some(cols, self.shape[1], "column").to(call.device)
        found = np.zeros((len(asked), len(keys)), np.float32)
        at = 0
        for slab in call.slabs(one, asked):
            block = together.scaled(call, slab, of, one)[0]
            part = found[at : at + len(block)]
            if cols is None:
                part[:, slab.cols] = block.cpu()
            else:
                whole = block.new_zeros(len(block), self.shape[1])
                whole[:, slab.cols] = block
                part[:] = whole[:, keys].cpu()
            at += len(block)
        return found

    def log_sums(self, layer: int, head: int) -> Float[ndarray, " query"]:
        """Return the log of the sum of exp(score) over all keys, sinks included."""
        call, one = self._call(layer), self._head(head)
        rows = torch.arange(self.shape[0], device=call.device)
        parts = [call.log_sums(part, one)[0].cpu() for part in torch.split(rows, call.few(one))]
        return _numpy(torch.cat(parts))

    def grid(
        self, layer: int, head: int, rows: Sequence[int], cols: Sequence[int],
        pooling: Pooling = "max",
    ) -> Float[ndarray, "row col"]:  # fmt: skip
        """Return one head's weights, pooled to cells with these edges.

        Args:
            layer: Counted from 0.
            head: A query head.
            rows: Increasing edges of the cells, queries: ``[0, 4, 8]`` makes two. They may be
                uneven, and need neither begin at 0 nor end with the text.
            cols: Likewise, keys.
            pooling: See ``thumbnails``.

        Returns:
            (rows − 1, columns − 1) float32.

        Raises:
            ParameterError: There is no such layer, head or pooling; or edges do not increase, or
                go beyond the text.
            ResultError: The record was closed.
        """
        call, one = self._call(layer), self._head(head)
        _requests.chosen(pooling, sweep.POOLINGS, "pooling")
        asked = _requests.bounds(rows, self.shape[0], "rows")
        keys = _requests.bounds(cols, self.shape[1], "cols")
        return _numpy(sweep.pooled(call, asked, keys, pooling, heads=one)[0])

    def tile(
        self, layer: int, head: int, level: int, row: int, col: int, *,
        side: int = 256, pooling: Pooling = "max",
    ) -> UInt8[ndarray, "row col"]:  # fmt: skip
        """Return one tile of a head's pyramid, as 255 · weight.

        Args:
            layer: Counted from 0.
            head: A query head.
            level: A cell covers 2**level queries and keys.
            row: Which tile, from the top.
            col: Which tile, from the left.
            side: Cells a side; tiles at the end are smaller.
            pooling: See ``thumbnails``.

        Raises:
            ParameterError: There is no such tile.
        """
        step = 2 ** max(0, level)
        tall, wide = (-(-size // step) for size in self.shape)
        if level < 0 or not (0 <= row * side < tall and 0 <= col * side < wide):
            raise ParameterError(
                f"There is no tile ({level}, {row}, {col}); level {level} has "
                f"{-(-tall // side)} × {-(-wide // side)} tiles of {side} cells."
            )
        rows, cols = (
            [*range(at * side * step, stop := min(size, (at + 1) * side * step), step), stop]
            for at, size in zip((row, col), self.shape, strict=True)
        )
        return sweep.bytes_of(self.grid(layer, head, rows, cols, pooling))

    def sums(self, layer: int, head: int) -> Sums:
        """Return what each key receives, what each query gives, and how it spreads it.

        Looks at all of the head's weights: queries × keys steps.
        """
        call, one = self._call(layer), self._head(head)
        received = torch.zeros(self.shape[1], device=call.device)
        given, spread = [], []
        for slab in call.slabs(one):
            weights = slab.weights[0]
            received[slab.cols] += weights.sum(0)
            given.append(weights.sum(-1))
            spread.append(entropies(weights))
        return Sums(_numpy(received), _numpy(torch.cat(given)), _numpy(torch.cat(spread)))

    def top_edges(self, layer: int, head: int, k: int = 20) -> tuple[Edge, ...]:
        """Return a head's largest weights, the largest first; none that is 0.

        Looks at all of the head's weights: queries × keys steps.

        Args:
            layer: Counted from 0.
            head: A query head.
            k: How many.

        Raises:
            ParameterError: There is no such layer or head, or k is below 1.
        """
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise ParameterError(f"k={k!r} must be a whole number, 1 or above.")
        found = sweep.largest(self._call(layer), self._head(head), int(k))
        return tuple(Edge(query, key, weight) for weight, query, key in found)

    # ── all heads of a layer ──────────────────────────────────────────────────

    def pooled(
        self, layer: int, n: int, pooling: Pooling = "max", *, sampled: bool = False
    ) -> Float[ndarray, "head row col"]:
        """Return what ``picture`` rounds to bytes, of all heads of a layer.

        Looks at all weights of the layer, heads × queries × keys steps; sampled, at n rows.

        Args:
            layer: Counted from 0.
            n: Cells a side; fewer for a shorter text.
            pooling: See ``thumbnails``.
            sampled: See ``thumbnails``.

        Returns:
            (heads, rows, columns) float32.
        """
        return self._cells(layer, slice(None), n, pooling, sampled=sampled)

    def picture(
        self, layer: int, head: int | None = None, n: int = 512, pooling: Pooling = "max",
        *, sampled: bool = False,
    ) -> UInt8[ndarray, "*head row col"]:  # fmt: skip
        """Return one head's picture (row, col), or those of a layer (head, row, col)."""
        if head is None:
            return sweep.bytes_of(self.pooled(layer, n, pooling, sampled=sampled))
        one = self._head(head)
        return sweep.bytes_of(self._cells(layer, one, n, pooling, sampled=sampled)[0])

    def thumbnails(
        self, n: int = 64, pooling: Pooling = "max", *, sampled: bool = False
    ) -> UInt8[ndarray, "layer head row col"]:
        """Return every head's weights, pooled to at most n × n cells, as 255 · weight.

        Looks at every weight, layers × heads × queries × keys steps; sampled, at n rows a head.

        Args:
            n: Cells a side; fewer for a shorter text.
            pooling: ``"max"``: the largest weight in a cell. ``"mean"``: what the cell's average
                query gives to all of the cell's keys together.
            sampled: Only look at the middle query of each cell: fast, for a first look.

        Raises:
            ParameterError: n is below 1, or there is no such pooling.
        """
        self._open()
        layers = [self.picture(layer, n=n, pooling=pooling, sampled=sampled)
                  for layer in range(self.layers)]  # fmt: skip
        return np.stack(layers)

    def _cells(
        self, layer: int, heads: slice, n: int, pooling: Pooling, *, sampled: bool
    ) -> Float[ndarray, "head row col"]:
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise ParameterError(f"n={n!r} must be a whole number, 1 or above.")
        _requests.chosen(pooling, sweep.POOLINGS, "pooling")
        rows, cols = (sweep.edges(size, min(int(n), size)) for size in self.shape)
        call = self._call(layer)
        return _numpy(sweep.pooled(call, rows, cols, pooling, heads=heads, sampled=sampled))

    def queries_keys(
        self, layer: int
    ) -> tuple[Float[ndarray, "head query d"], Float[ndarray, "kv_head key d"]]:
        """Return what a layer compared, float32: copies; query heads share keys in order.

        Raises:
            ParameterError: The record holds whole tables instead; see ``Rule.whole``.
        """
        call = self._call(layer)
        if call.table is not None:
            raise ParameterError(
                f"Layer {layer} holds its weights whole, and no queries and keys: {self.note} "
                "Read weights(layer, head)."
            )
        return _numpy(call.q).copy(), _numpy(call.k).copy()

    def rule(self, layer: int) -> Rule:
        """Return what turns a layer's queries and keys into weights."""
        call = self._call(layer)
        mask, bias = call.mask, call.bias
        return Rule(
            scale=call.scale,
            softcap=call.softcap,
            first=mask.first.cpu().numpy().astype(np.uint32),
            stop=mask.stop.cpu().numpy().astype(np.uint32),
            seen=None if mask.seen is None else mask.seen.cpu().numpy().copy(),
            bias=None if bias is None else _numpy(bias.values).copy(),
            by_distance=bias is not None and bias.by_distance,
            sinks=None if call.sinks is None else _numpy(call.sinks).copy(),
            whole=call.table is not None,
        )

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
            return _numpy(together.rollout(self.calls[:last], asked))
        chosen = self.calls if layer is None else (self._call(layer),)
        return _numpy(together.summed(chosen, how, asked))

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

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write this stack to one file; ``AttentionRecord.load`` opens it without the model.

        Raises:
            ResultError: It cannot be written, or the record was closed.
        """
        return write_record(path, self, self.head_scores())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AttentionRecord:
        """Open a saved record.

        Raises:
            ResultError: It is missing, damaged, or something else.
        """
        record = read_record(path, cls)
        record.stacks[record.name] = record
        return record

    # ── checks ────────────────────────────────────────────────────────────────

    def _open(self) -> None:
        if self._closed:
            raise ResultError("This record was closed. Call attention again.")

    def _layer(self, layer: int) -> int:
        return _requests.one(layer, self.layers, "layer")

    def _head(self, head: int) -> slice:
        self._open()
        number = _requests.one(head, self.heads, "head")
        return slice(number, number + 1)

    def _call(self, layer: int) -> Call:
        self._open()
        return self.calls[self._layer(layer)]


def _numpy(tensor: torch.Tensor) -> ndarray:
    found: ndarray = tensor.detach().cpu().float().numpy()
    return found


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
