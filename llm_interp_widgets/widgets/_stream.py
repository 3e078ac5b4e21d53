"""Stream: a job's looks, paced into chunks and snapshots for one widget.

Guarantees: at most 30 looks a second and 4 MiB unacknowledged; what could not be sent is
merged into what is sent next; a chunk is only sent after the browser said ``ready``; the
snapshot is set at the start, every two seconds, and at the end, whether anyone listens or
not; a large one less often, and not while a view that listens does not keep up. Thread-safe;
the worker never waits for the browser. What goes wrong on a thread of its own is raised at the
next look.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from llm_interp_widgets import wire
from llm_interp_widgets.jobs import FINISHED

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from llm_interp_widgets.jobs import Progress

    Send = Callable[[wire.Chunk, list[bytes]], None]

_INTERVAL = 1 / 30
_SNAPSHOT_EVERY = 2.0
_SNAPSHOT_BYTES = 1024 * 1024  # a second, at most
_IN_FLIGHT = 4 * 1024 * 1024
_LARGEST = wire.MAX_CHUNK_BYTES + 16 * 1024  # of a chunk, with the totals of many outputs


class Stream:
    """Paces one job.

    Args:
        job: Its id.
        state: Describes a look.
        send: Sends one chunk with its buffers.
        snapshot: Publishes the snapshot of a look and a sequence number.
        special: (inputs,) which pieces are never switched off.
    """

    def __init__(
        self,
        job: str,
        state: Callable[[Progress], wire.JobState],
        send: Send,
        snapshot: Callable[[Progress, int], None],
        special: NDArray[np.bool_],
    ) -> None:
        self._job = job
        self._state = state
        self._send = send
        self._snapshot = snapshot
        self._special = special
        self._lock = threading.RLock()
        self._listening = False
        self._closed = False
        self._seq = 0
        self._flying: dict[int, int] = {}
        self._dirty: set[int] = set()
        self._latest: Progress | None = None
        self._sent_at = 0.0
        self._kept_at = 0.0
        self._timer: threading.Timer | None = None
        self._failed: Exception | None = None

    def look(self, progress: Progress) -> None:
        """Take the job's latest look; called on its worker."""
        with self._lock:
            if self._closed:
                return
            self._latest = progress
            self._dirty.update(progress.changed)
            now = time.monotonic()
            if progress.status in FINISHED:
                self._keep(now)
                self._closed = True
                self._cancel_timer()
            else:
                self._flush(now)
                if now - self._kept_at >= _pause(progress) and not self._is_full():
                    self._keep(now)
            if self._failed is not None:
                raise self._failed

    def ready(self) -> None:
        """Answer a view that (re)appeared: the whole truth, then chunks."""
        with self._lock:
            self._listening = True
            self._flying.clear()
            if self._latest is not None:
                self._keep(time.monotonic())

    def retell(self, progress: Progress) -> None:
        """Publish the whole truth again, in other words; ``progress`` where none was seen."""
        with self._lock:
            self._snapshot(self._latest or progress, self._seq)

    def acknowledge(self, seq: int) -> None:
        """Take note that everything up to ``seq`` was drawn."""
        with self._lock:
            self._flying = {s: size for s, size in self._flying.items() if s > seq}
            if not self._closed:
                self._flush(time.monotonic())

    def close(self) -> None:
        """Send nothing more."""
        with self._lock:
            self._closed = True
            self._listening = False
            self._cancel_timer()

    def _keep(self, now: float) -> None:
        self._kept_at = now
        self._dirty.clear()
        if self._latest is not None:
            self._snapshot(self._latest, self._seq)

    def _flush(self, now: float) -> None:
        if not self._listening or not self._dirty or self._latest is None:
            return
        if self._is_full():
            return  # an acknowledgement, or the next look, tries again
        wait = self._sent_at + _INTERVAL - now
        if wait > 0:
            self._later(wait)
            return
        self._sent_at = now
        for rows in _runs(sorted(self._dirty), self._latest):
            if self._is_full():
                return
            self._chunk(self._latest, rows)
            self._dirty.difference_update(rows)

    def _is_full(self) -> bool:
        """Whether another chunk may be too much."""
        flying = sum(self._flying.values())
        return flying > 0 and flying + _LARGEST > _IN_FLIGHT

    def _chunk(self, look: Progress, rows: range) -> None:
        self._seq += 1
        part = slice(rows.start, rows.stop)
        merged = look.merged
        error = None if merged.standard_error is None else merged.standard_error[part]
        buffers = [
            wire.pack_rows(merged.scores[part], self._special),
            wire.pack_rows(error, self._special),
            wire.pack(totals(look)),
        ]
        self._flying[self._seq] = sum(map(len, buffers))
        message: wire.Chunk = {
            "type": "chunk",
            "job": self._job,
            "seq": self._seq,
            "row": rows.start,
            "rows": len(rows),
            "state": self._state(look),
        }
        self._send(message, buffers)

    def _later(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = threading.Timer(seconds, self._wake)
            self._timer.daemon = True
            self._timer.start()

    def _wake(self) -> None:
        with self._lock:
            self._timer = None
            try:
                if not self._closed:
                    self._flush(time.monotonic())
            except Exception as error:  # noqa: BLE001 - nobody waits for this thread
                self._failed = error

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _pause(look: Progress) -> float:
    """Return how long to wait before the next snapshot."""
    return max(_SNAPSHOT_EVERY, 2 * look.merged.scores.nbytes / _SNAPSHOT_BYTES)


def totals(look: Progress) -> Any:  # noqa: ANN401 - a (3, output) array for wire.pack
    """Return (3, outputs): base values, output values, completeness gaps."""
    merged = look.merged
    return [merged.base_values, merged.output_values, merged.completeness_gap]


def _runs(rows: list[int], look: Progress) -> list[range]:
    """Split changed rows into neighbours that fit one chunk."""
    width = max(1, look.merged.scores.shape[1]) * 4 * 2
    most = max(1, wire.MAX_CHUNK_BYTES // width)
    runs: list[range] = []
    for row in rows:
        if runs and runs[-1].stop == row and len(runs[-1]) < most:
            runs[-1] = range(runs[-1].start, row + 1)
        else:
            runs.append(range(row, row + 1))
    return runs
