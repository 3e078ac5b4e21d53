"""Captured: what every head of one stack compared, and weights of one head or of a layer.

What comes in: captured calls and the tokens they compared. What goes out, as numpy arrays: rows
and columns of a head, weights pooled to cells, sums of a head; pictures of all heads.

Guarantees: holds queries and keys, nothing of size heads × tokens²; weights are float32, the
same for a part as for the whole up to rounding; rows sum to 1 (less what sinks take).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from llm_interp_widgets.errors import ParameterError, ResultError
from llm_interp_widgets.models import _requests, sweep, together
from llm_interp_widgets.models.tally import entropies
from llm_interp_widgets.results.attention import Edge, Rule, Sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, UInt8
    from numpy import ndarray

    from llm_interp_widgets.models._requests import Places
    from llm_interp_widgets.models.again import Passes
    from llm_interp_widgets.models.heads import Call
    from llm_interp_widgets.models.masks import Bias, Mask
    from llm_interp_widgets.models.record import AttentionRecord
    from llm_interp_widgets.models.sweep import Pooling
    from llm_interp_widgets.models.tally import Repeat
    from llm_interp_widgets.models.together import Of
    from llm_interp_widgets.results.result import ModelInfo
    from llm_interp_widgets.text.tokens import Token


@dataclass(frozen=True, eq=False, repr=False)
class Captured:
    """One stack of a model on one text, head by head; see ``AttentionRecord``."""

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
            f"{'closed' if self._closed else f'{self.nbytes / 1e6:.3g} MB'}>"
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
        parts = call.portions(one).over(len(rows), lambda p: call.log_sums(rows[p], one)[0].cpu())
        return as_numpy(torch.cat([found for _, found in parts]))

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
        return as_numpy(sweep.pooled(call, asked, keys, pooling, heads=one)[0])

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
        return Sums(as_numpy(received), as_numpy(torch.cat(given)), as_numpy(torch.cat(spread)))

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
        return as_numpy(sweep.pooled(call, rows, cols, pooling, heads=heads, sampled=sampled))

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
        return as_numpy(call.q).copy(), as_numpy(call.k).copy()

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
            bias=None if bias is None else as_numpy(bias.values).copy(),
            by_distance=bias is not None and bias.by_distance,
            sinks=None if call.sinks is None else as_numpy(call.sinks).copy(),
            whole=call.table is not None,
        )

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


def as_numpy(tensor: torch.Tensor) -> ndarray:
    """Return numbers, wherever they live, as float32."""
    found: ndarray = tensor.detach().cpu().float().numpy()
    return found
