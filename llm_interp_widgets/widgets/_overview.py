"""Overview: every head of a record as a small picture, coarse at first, then exact.

What comes in: records. What goes out: messages with pictures and head scores as they are found,
and the whole as a trait's value at any moment.

Guarantees: pictures are drawn a layer at a time, sampled ones of all layers before the first
exact one; an exact picture is never replaced by a sampled one; nothing grows with tokens².
"""

from __future__ import annotations

import threading
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from llm_interp_widgets import wire
from llm_interp_widgets.errors import InterpError
from llm_interp_widgets.results.attention import SCORES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from llm_interp_widgets.models.record import AttentionRecord

SIDE, COARSE = 64, 32
SAMPLED, EXACT = 1, 2
_INTERVAL = 1 / 15  # seconds between messages of sampled pictures


@dataclass
class Drawing:
    """Pictures and scores of one record, as far as they are known."""

    record: AttentionRecord
    status: wire.Status = "queued"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Begin with nothing drawn."""
        queries, keys = self.record.shape
        self.rows, self.cols = min(SIDE, queries), min(SIDE, keys)
        size = self.record.layers, self.record.heads
        self.stages = np.zeros(size[0], np.uint8)
        self.pictures = np.zeros((*size, self.rows, self.cols), np.uint8)
        self.scores = np.full((len(SCORES), *size), np.nan, np.float32)

    def state(self) -> wire.AttentionOverview:
        """Return everything known, as the trait holds it."""
        with self.lock:
            return {
                "rows": self.rows,
                "cols": self.cols,
                "stages": self.stages.tobytes(),
                "pictures": zlib.compress(self.pictures.tobytes(), 6),
                "names": list(SCORES),
                "scores": wire.pack(self.scores),
                "status": self.status,
            }

    def put(self, layer: int, pictures: NDArray[np.uint8], stage: int) -> None:
        """Take pictures (layer, head, row, col) of some layers."""
        with self.lock:
            part = slice(layer, layer + len(pictures))
            rows = np.arange(self.rows) * pictures.shape[-2] // self.rows
            cols = np.arange(self.cols) * pictures.shape[-1] // self.cols
            self.pictures[part] = pictures[:, :, rows][..., cols]
            self.stages[part] = stage

    def score(self, found: Mapping[str, NDArray[np.float32]], layer: int | None = None) -> None:
        """Take scores: (head,) of a layer, or (layer, head)."""
        with self.lock:
            for name, values in found.items():
                if layer is not None and np.isnan(values).all():
                    continue  # known otherwise, or not at all
                self.scores[SCORES.index(name), slice(None) if layer is None else layer] = values


def steps(
    drawings: list[Drawing],
    send: Callable[[wire.HeadsDrawn | wire.HeadsScored, list[bytes]], None],
    keep: Callable[[], None],
    tell: Callable[[InterpError], None],
) -> Iterator[None]:
    """Draw everything, a step at a time.

    Args:
        drawings: Where to; the first one is seen first.
        send: Sends a message.
        keep: Publishes the whole state.
        tell: Says why some scores stay unknown, as where memory ran out; the rest is drawn.
    """
    for number, drawing in enumerate(drawings):
        drawing.status = "running"
        yield from _sampled(number, drawing, send)
    keep()
    for number, drawing in enumerate(drawings):
        known = drawing.record.known  # of a record that was opened from a file
        try:
            drawing.score(known or drawing.record.repetition())
        except InterpError as error:
            tell(error)
        yield
        yield from _exact(number, drawing, send)
        drawing.status = "done"


def _sampled(
    number: int,
    drawing: Drawing,
    send: Callable[[wire.HeadsDrawn | wire.HeadsScored, list[bytes]], None],
) -> Iterator[None]:
    record = drawing.record
    if max(record.shape) <= COARSE:  # nothing to sample: exact is as quick
        return
    found: list[NDArray[np.uint8]] = []
    begun = time.monotonic()
    for layer in range(record.layers):
        found.append(_codes(record.pooled(layer, COARSE, sampled=True)))
        if time.monotonic() - begun >= _INTERVAL or layer == record.layers - 1:
            first = layer + 1 - len(found)
            drawing.put(first, np.stack(found), SAMPLED)
            send(*_drawn(number, first, np.stack(found), SAMPLED))
            found, begun = [], time.monotonic()
        yield


def _exact(
    number: int,
    drawing: Drawing,
    send: Callable[[wire.HeadsDrawn | wire.HeadsScored, list[bytes]], None],
) -> Iterator[None]:
    record = drawing.record
    for layer in range(record.layers):
        pictures = _codes(record.pooled(layer, SIDE))[None]
        drawing.put(layer, pictures, EXACT)
        send(*_drawn(number, layer, pictures, EXACT))
        yield
        if not record.known:
            drawing.score(record.scores_of(layer), layer)
        scored: wire.HeadsScored = {"type": "scored", "stack": number, "names": list(SCORES)}
        send(scored, [wire.pack(drawing.scores)])
        yield


def _codes(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.frombuffer(wire.pack_weights(weights), np.uint8).reshape(weights.shape)


def _drawn(
    number: int, layer: int, pictures: NDArray[np.uint8], stage: int
) -> tuple[wire.HeadsDrawn, list[bytes]]:
    message: wire.HeadsDrawn = {
        "type": "drawn",
        "stack": number,
        "layer": layer,
        "layers": len(pictures),
        "rows": pictures.shape[2],
        "cols": pictures.shape[3],
        "stage": stage,
    }
    return message, [zlib.compress(pictures.tobytes(), 6)]
