"""A collection out of what a view of it holds: the inverse of ``widgets.beeswarm.packed``.

What comes in: the trait ``data``. What goes out: a ``Collection`` that can be grouped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from llm_interp_widgets.results.collection import Collection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llm_interp_widgets import wire
    from llm_interp_widgets.results.describe import About

_SPECIAL = 1


def collected(data: wire.CollectionData) -> Collection:
    """Return a collection with its texts, pieces and scores; of what it is about, nothing.

    Raises:
        ValueError: The buffers are not as ``packed`` makes them.
    """
    offsets, starts, ends = (
        np.frombuffer(data[name], "<u4") for name in ("offsets", "starts", "ends")
    )
    pieces = len(starts)
    scores = np.frombuffer(data["scores"], "<f4").reshape(-1, pieces)
    flags = np.frombuffer(data["flags"], np.uint8).reshape(-1, pieces)
    starts, ends = (_characters(data["texts"], offsets, places) for places in (starts, ends))
    return Collection(
        about=cast("About", None),
        outputs=tuple(data["outputs"]),
        texts=tuple(data["texts"]),
        offsets=offsets,
        starts=starts,
        ends=ends,
        special=(flags[0] & _SPECIAL).astype(bool),
        sure=flags > _SPECIAL,
        scores=scores,
        base_values=np.zeros((len(scores), 0), np.float32),
        output_values=np.zeros((len(scores), 0), np.float32),
        facts=(),
    )


def _characters(
    texts: list[str], offsets: NDArray[np.uint32], places: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """Return places in texts that are counted in UTF-16 units, as the browser does, in ours."""
    found = places.copy()
    for text, first, last in zip(texts, offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        if not text or max(text) < "\U00010000":
            continue
        units = [1 if one < "\U00010000" else 2 for one in text]
        edges = np.cumsum([0, *units])
        found[first:last] = np.searchsorted(edges, places[first:last])
    return found
