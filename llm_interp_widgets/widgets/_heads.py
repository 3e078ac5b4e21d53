"""Heads, asked: the answer of attention records to everything that a view wants.

What comes in: records, and one want. What goes out: buffers (float32, or a byte a cell) and words.

Guarantees: one head's cells are computed for what is looked at; heads taken together are kept as
one table a kind where that is small, else computed for the rows asked for. Words of progress come
while something takes long.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, cast

import numpy as np

from llm_interp_widgets import wire
from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.results.describe import target_words
from llm_interp_widgets.words import retold, say

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from llm_interp_widgets.models.record import AttentionRecord
    from llm_interp_widgets.models.sweep import Pooling
    from llm_interp_widgets.models.together import Aggregate
    from llm_interp_widgets.results.redaction import Cover
    from llm_interp_widgets.widgets._desk import Said

_TABLE = 1 << 23  # weights of heads taken together that are kept: 32 MB
_BLOCK = 256  # rows between two words of progress
_NEAR = 512  # rows of a long text that are computed anew whenever somebody looks
_MOST_CELLS = 1 << 22  # of one answer, a byte each
_POLLED = 64  # rows of a long text that say how large numbers are which are no shares


class Answers:
    """Answers wants about some records.

    Args:
        records: In the order of the view's stacks.
        cover: What is covered of the words that are said.
    """

    def __init__(self, records: Sequence[AttentionRecord], cover: Cover | None = None) -> None:
        self._cover = cover
        self._records = records
        self._tables: dict[tuple[int, int, str], NDArray[np.float32]] = {}
        self._largest: dict[tuple[int, int, str], float] = {}

    def __call__(self, want: wire.Want) -> Generator[Said]:
        """Yield what is known of a want; the last one is the answer.

        Raises:
            InterpError: Whatever the record says it raises.
        """
        known: dict[str, Callable[[AttentionRecord, wire.Want], Iterator[Said]]] = {
            "grid": self._grid,
            "row": self._row,
            "column": self._column,
            "sums": _sums,
            "top": _top,
            "split": _split,
            "parts": _parts,
            "effect": _effect,
        }
        if want["what"] not in known or not 0 <= want["stack"] < len(self._records):
            raise ParameterError(f"There is no {want['what']!r} of stack {want['stack']}.")
        with nullcontext() if self._cover is None else self._cover.errors():
            for said, buffers in known[want["what"]](self._records[want["stack"]], want):
                yield said if self._cover is None else self._cover.plain(said), buffers

    def _grid(self, record: AttentionRecord, want: wire.Want) -> Iterator[Said]:
        rows, cols = want["rows"], want["cols"]
        if (len(rows) - 1) * (len(cols) - 1) > _MOST_CELLS:
            raise ParameterError(f"A grid has at most {_MOST_CELLS:,} cells; take some together.")
        if want["head"] >= 0:
            pooling = cast("Pooling", want["how"] or "max")
            cells = record.grid(want["layer"], want["head"], rows, cols, pooling)
        else:
            table = yield from self._together(record, want, rows[0], rows[-1])
            cells = _pooled(table, np.array(rows) - rows[0], cols)
            if want["how"] in ("value", "gradient"):  # no shares of anything: of the largest
                cells = cells / (yield from self._scale(record, want))
        yield {}, [wire.pack_weights(cells)]

    def _row(self, record: AttentionRecord, want: wire.Want) -> Iterator[Said]:
        if want["head"] >= 0:
            row = record.weights(want["layer"], want["head"], rows=want["a"])
        else:
            row = yield from self._together(record, want, want["a"], want["a"] + 1)
        yield {}, [wire.pack(row[0])]

    def _column(self, record: AttentionRecord, want: wire.Want) -> Iterator[Said]:
        if want["head"] >= 0:
            column = record.weights(want["layer"], want["head"], cols=want["b"])
        else:
            table = yield from self._together(record, want, 0, record.shape[0])
            column = table[:, want["b"]]
        yield {}, [wire.pack(column.reshape(-1))]

    def _scale(self, record: AttentionRecord, want: wire.Want) -> Generator[Said, None, float]:
        """Return the largest number of all rows, or of some: one scale for all that is drawn."""
        key = want["stack"], want["layer"], want["how"]
        if key not in self._largest:
            queries, keys = record.shape
            if queries * keys <= _TABLE:
                table = yield from self._together(record, want, 0, queries)
            else:
                yield {"progress": say("looking for the largest")}, []
                rows = np.linspace(0, queries - 1, _POLLED).astype(int).tolist()
                layer = None if want["layer"] < 0 else want["layer"]
                table = record.aggregate(cast("Aggregate", want["how"]), layer, rows=rows)
            self._largest[key] = max(float(table.max()), 1e-30)
        return self._largest[key]

    def _together(
        self,
        record: AttentionRecord,
        want: wire.Want,
        start: int,
        stop: int,
    ) -> Generator[Said, None, NDArray[np.float32]]:
        """Return rows of heads taken together; yields words of progress meanwhile."""
        layer = None if want["layer"] < 0 else want["layer"]
        key = want["stack"], want["layer"], want["how"]
        queries, keys = record.shape
        small = queries * keys <= _TABLE
        if key in self._tables:
            return self._tables[key][start:stop]
        if not small and stop - start > _NEAR:
            raise ParameterError(
                f"Heads taken together are drawn whole for texts of up to {int(_TABLE**0.5):,} "
                f"tokens; of this one, zoom in to {_NEAR} rows or fewer."
            )
        if want["how"] == "rollout":
            yield {"progress": say("multiplying layers")}, []
        if want["how"] == "rollout" and small:  # one row takes nearly as long as all
            table = record.aggregate("rollout", layer)
        elif not small or stop - start == 1:
            return record.aggregate(cast("Aggregate", want["how"]), layer, rows=range(start, stop))
        else:
            table = np.empty((queries, keys), np.float32)
            for at in range(0, queries, _BLOCK):
                yield {"progress": say("{at} of {n} rows", at=f"{at:,}", n=f"{queries:,}")}, []
                rows = range(at, min(queries, at + _BLOCK))
                table[rows.start : rows.stop] = record.aggregate(
                    cast("Aggregate", want["how"]), layer, rows=rows
                )
        self._tables[key] = table
        while sum(t.size for t in self._tables.values()) > 2 * _TABLE:
            del self._tables[next(iter(self._tables))]
        return table[start:stop]


def _pooled(
    table: NDArray[np.float32], rows: NDArray[np.int64], cols: Sequence[int]
) -> NDArray[np.float32]:
    """Return the largest of each cell."""
    high = np.maximum.reduceat(table, rows[:-1], axis=0)[: len(rows) - 1]
    part: NDArray[np.float32] = np.maximum.reduceat(high[:, : cols[-1]], cols[:-1], axis=1)
    return part


def _sums(record: AttentionRecord, want: wire.Want) -> Iterator[Said]:
    sums = record.sums(want["layer"], want["head"])
    yield {}, [wire.pack(sums.received), wire.pack(sums.given), wire.pack(sums.entropy)]


def _top(record: AttentionRecord, want: wire.Want) -> Iterator[Said]:
    edges = record.top_edges(want["layer"], want["head"], max(1, min(want["a"], 2_000)))
    numbers = [[e.query, e.key, e.weight] for e in edges]
    yield {}, [wire.pack(np.array(numbers, np.float32).reshape(-1, 3))]


def _split(record: AttentionRecord, want: wire.Want) -> Iterator[Said]:
    split = record.split(want["layer"], want["head"], want["a"], want["b"])
    yield (
        {"rest": "\n".join(map(_part_told, split.names))},
        [
            wire.pack(split.dimensions),
            wire.pack(split.rest),
            wire.pack([split.score]),
        ],
    )


def _parts(record: AttentionRecord, want: wire.Want) -> Iterator[Said]:
    yield {"progress": say("reading the text once more")}, []
    parts = record.components(want["layer"], want["head"], want["a"], want["b"])
    yield (
        {"names": "\n".join(map(_part_told, parts.names)), "note": say(parts.note)},
        [
            wire.pack(parts.query),
            wire.pack(parts.key),
            wire.pack([parts.score]),
        ],
    )


def _effect(record: AttentionRecord, want: wire.Want) -> Iterator[Said]:
    yield {"progress": say("reading the text without it")}, []
    effect = record.effect([(want["layer"], want["head"])])
    tops = [effect.top_before, effect.top_after]
    said = {"target": target_words(effect.target), "unit": effect.unit}
    said |= {name: top[0] for name, top in zip(("before", "after"), tops, strict=True) if top}
    numbers = [effect.before, effect.after, *(top[1] if top else np.nan for top in tops)]
    yield said, [wire.pack(numbers)]


def _part_told(name: str) -> str:
    """What a part of a score is called, in the language in force."""
    return retold(
        name, "layer {n} attention", "layer {n} MLP", "layer {n}", "embedding", "bias",
        "soft cap", "position bias",
    )  # fmt: skip
