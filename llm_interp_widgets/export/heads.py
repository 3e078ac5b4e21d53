"""What an exported page carries of every attention head, so that each opens offline.

What comes in: heads (queries, keys and what decides their weights; or weights) and a budget.
What goes out: a message (``wire.KeptHeads``) from which ``js/src/attention/local.ts`` and
``decode`` below compute any weight of any head in it.

Guarantees:

- Within the budget, counted as base64 on the page, rules and JSON included.
- A short text is kept as weights in steps of 1/65535. A longer one is kept as rough scores, and
  the weights that these give wrongly: where the weight they lead to is off by more than half a
  step of 1/``levels``, how many steps it is off.
- Rough scores are queries and keys, turned, scaled and rounded; or, where that is cheaper, only
  how much each key gets on the whole. Queries and keys alone would take far more room for the same
  largest error: on SmolLM2, 512 tokens at 0.05 take 10 MB, and at 0.002 as here between 5 and 10.
- ``levels`` is 254 where the budget allows, which is right to 0.002, and smaller else. What the
  budget leaves then goes to where it lowers the mean error most.
- The error is measured on what was written, not estimated: all rows, or as many as are said.
- Parts open one by one: the query heads that share a key head, compressed together.
- Heads that are asked for first are left out last, and a sentence says what was left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from llm_interp_widgets.export._head_parts import EXACT, Opened, on_page, tables
from llm_interp_widgets.export._head_rules import Exact, HeadSource, Layers, Rule, RuleSource
from llm_interp_widgets.export._head_sizes import Fineness
from llm_interp_widgets.words import retold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from numpy import ndarray

    from llm_interp_widgets import wire
    from llm_interp_widgets.export._head_rules import Piece

__all__ = ["HeadSource", "RuleSource", "decode", "keep", "size"]

_CHECKED = 1024  # up to as many rows, all are checked; else one in so many …
_SPREAD = 256  # … that these remain

_PINNED_OUT = (
    "{n} of {all} heads are not in this file, to stay within its budget: {pinned} of them pinned "
    "or open. Export with a larger budget to keep more."
)
_LARGEST_OUT = (
    "{n} of {all} heads are not in this file, to stay within its budget: those that take most "
    "room. Pin a head to keep it. Export with a larger budget to keep more."
)


def keep(heads: HeadSource, budget: int, first: Sequence[tuple[int, int]] = ()) -> wire.KeptHeads:
    """Return as much of every head as fits.

    Args:
        heads: What to keep.
        budget: Characters on the page that this may take, e.g. 10 million.
        first: (layer, head) of those that are left out last.
    """
    # Products are small and many: threads that share one wait for each other longer than it takes.
    with threadpool_limits(1, "blas"):
        return _kept(heads, budget, set(first))


def _kept(heads: HeadSource, budget: int, asked: set[tuple[int, int]]) -> wire.KeptHeads:
    of = Layers(heads)
    left = budget - sum(on_page(rule["data"]) for rule in of.rules)
    pieces = [*of.pieces()]
    pinned = [any((p.layer, p.head + h) in asked for h in range(p.heads)) for p in pieces]
    found, levels = tables(pieces, left), EXACT
    encoding: Literal["tables", "scores"] = "tables" if found else "scores"
    if found is None:
        levels, found = Fineness(pieces, pinned, left).fit()
    both = [(piece, part) for piece, part in zip(pieces, found, strict=True) if part]
    kept: wire.KeptHeads = {
        "encoding": encoding,
        "layers": heads.layers,
        "heads": heads.heads,
        "queries": heads.shape[0],
        "keys": heads.shape[1],
        "levels": levels,
        "rules": of.rules,
        "rule_of": of.rule_of,
        "parts": [
            {"layer": p.layer, "head": p.head, "heads": p.heads, "rank": n.rank, "data": n.data}
            for p, n in both
        ],
        "error_max": 0.0,
        "error_mean": 0.0,
        "rows_checked": 0,
        "left_out": "",
    }
    kept["left_out"] = _left_out(kept, asked)
    _measure(kept, [piece for piece, _ in both])
    return kept


def size(kept: wire.KeptHeads) -> int:
    """Return how many characters the heads take on a page."""
    return sum(on_page(one["data"]) for one in (*kept["rules"], *kept["parts"]))


def decode(
    kept: wire.KeptHeads, layer: int, head: int, rows: Sequence[int] | None = None
) -> Float[ndarray, "row key"] | None:
    """Return weights as the browser computes them; ``None`` if the head was left out.

    Args:
        kept: What ``keep`` returned.
        layer: Counted from 0.
        head: A query head.
        rows: Which queries; all by default.
    """
    for part in kept["parts"]:
        if part["layer"] == layer and 0 <= head - part["head"] < part["heads"]:
            opened = Opened(kept, part, _read(kept)[kept["rule_of"][layer]])
            asked = np.arange(kept["queries"]) if rows is None else np.asarray(rows)
            return opened.weights(head - part["head"], asked)
    return None


def _read(kept: wire.KeptHeads) -> list[Rule]:
    return [Rule.read(message, kept) for message in kept["rules"]]


def _left_out(kept: wire.KeptHeads, asked: set[tuple[int, int]]) -> str:
    every = {(layer, head) for layer in range(kept["layers"]) for head in range(kept["heads"])}
    for part in kept["parts"]:
        every -= {(part["layer"], part["head"] + n) for n in range(part["heads"])}
    if not every:
        return ""
    template = _PINNED_OUT if every & asked else _LARGEST_OUT
    return template.format(
        n=len(every), all=kept["layers"] * kept["heads"], pinned=len(every & asked)
    )


def left_out_told(left_out: str) -> str:
    """Return what ``keep`` says it left out, in the language in force."""
    return retold(left_out, _PINNED_OUT, _LARGEST_OUT)


def _measure(kept: wire.KeptHeads, pieces: Sequence[Piece]) -> None:
    """Compare what was written with the weights, and say how far off it is."""
    largest, total, count = 0.0, 0.0, 0
    rules = _read(kept)
    for part, piece in zip(kept["parts"], pieces, strict=True):
        opened = Opened(kept, part, rules[kept["rule_of"][part["layer"]]])
        exact = Exact(piece)
        rows = piece.some(piece.queries if piece.queries <= _CHECKED else _SPREAD)
        kept["rows_checked"] = len(rows)
        for head in range(piece.heads):
            for some in piece.blocks(rows):
                low, high = piece.rule.columns(some)
                off = np.abs(
                    opened.weights(head, some)[:, low:high]
                    - exact.weights(head, some, low, high)[:, : high - low]
                )
                largest = max(largest, float(off.max(initial=0)))
                total += float(off.sum(dtype=np.float64))
                count += int((piece.rule.stop - piece.rule.first)[some].sum())
    kept["error_max"], kept["error_mean"] = largest, total / max(1, count)
