"""Jobs: a method running on a worker thread, merged, observable, cancellable.

What comes in: a generator of partials. What goes out: a merged picture at any time, and a
result at the end.

Guarantees: one worker a device, jobs in order of arrival; ``cancel`` takes effect at the
next batch and keeps what is there; whatever a method raises is kept and raised again in
``result``; an observer that fails stops neither the job nor other observers, and its
exception is raised in ``result``. Knows neither Jupyter nor torch.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from llm_interp_widgets.errors import CancelledJobError
from llm_interp_widgets.results.partial import Merged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llm_interp_widgets.results.partial import Partial

Status = Literal["queued", "running", "done", "cancelled", "failed"]
R = TypeVar("R")
_FINISHED = ("done", "cancelled", "failed")
_TICK = 0.1  # seconds between looks at the keyboard while waiting


@dataclass(frozen=True, slots=True)
class Progress:
    """One consistent look at a job.

    Attributes:
        status: Where it stands.
        merged: Every row so far.
        changed: Rows replaced by the latest partial.
        seconds: Time spent running.
        error: What it failed with.
    """

    status: Status
    merged: Merged
    changed: range
    seconds: float
    error: BaseException | None = None


class Job(Generic[R]):
    """One run of a method.

    Args:
        run: Takes a stop event, yields partials; should raise ``CancelledJobError`` soon
            after the event is set.
        shape: (outputs, inputs) of the result.
        build: Makes the result from the last look.
    """

    def __init__(
        self,
        run: Callable[[threading.Event], Iterator[Partial]],
        shape: tuple[int, int],
        build: Callable[[Progress], R],
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self._run = run
        self._build = build
        self._stop = threading.Event()
        self._finished = threading.Event()
        self._lock = threading.Lock()
        self._progress = Progress("queued", Merged.empty(*shape), range(0), 0.0)
        self._observers: list[Callable[[Progress], None]] = []
        self._result: R | None = None
        self._observer_error: BaseException | None = None
        self._claimed = False

    @property
    def progress(self) -> Progress:
        """The latest look; immutable."""
        return self._progress

    @property
    def finished(self) -> bool:
        """Whether it is done, cancelled or failed."""
        return self._finished.is_set()

    def observe(self, observer: Callable[[Progress], None]) -> None:
        """Call ``observer`` with every look from now on, on the worker's thread."""
        with self._lock:
            self._observers.append(observer)

    def cancel(self) -> None:
        """Ask it to stop; returns at once, harmless when it has finished."""
        self._stop.set()
        if self._claim():  # still queued: nobody else will finish it soon
            self._work()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has finished; an interrupt from the keyboard cancels it.

        Returns:
            Whether it has finished.
        """
        end = None if timeout is None else time.monotonic() + timeout
        try:
            while not self._finished.wait(_TICK):
                if end is not None and time.monotonic() >= end:
                    return False
        except KeyboardInterrupt:
            self.cancel()
            raise
        return True

    def result(self, timeout: float | None = None) -> R:
        """Wait for the result.

        Returns:
            The result; that of a cancelled job holds what was there.

        Raises:
            TimeoutError: It did not finish in time; it goes on running.
            CancelledJobError: It was cancelled before there was anything.
            InterpError: Whatever the method raised.
        """
        if not self.wait(timeout):
            raise TimeoutError(
                f"The job did not finish within {timeout} s; it goes on. Cancel it, or wait."
            )
        error = self._progress.error or self._observer_error
        if error is not None:
            raise error
        if self._result is None:
            raise CancelledJobError("The job was cancelled before there was a result.")
        return self._result

    # ── on the worker ─────────────────────────────────────────────────────────

    def _claim(self) -> bool:
        """Return True to the first caller only: the worker, or a cancel before it."""
        with self._lock:
            first, self._claimed = not self._claimed, True
        return first

    def _work(self) -> None:
        started = time.perf_counter()
        merged, status, error = self._progress.merged, "done", None
        partials: Iterator[Partial] | None = None
        known = False
        try:
            self._look("running", merged, range(0), started)
            partials = self._run(self._stop)
            for partial in () if self._stop.is_set() else partials:
                merged, known = merged.merge(partial), True
                rows = range(partial.row, partial.row + len(partial.scores))
                self._look("running", merged, rows, started)
                if self._stop.is_set():
                    break
            if self._stop.is_set() and not merged.last.final:
                status = "cancelled"
        except CancelledJobError:
            status = "cancelled"
        except BaseException as caught:  # noqa: BLE001 - kept, shown and raised in result()
            status, error = "failed", caught
        finally:
            close = getattr(partials, "close", None)
            if close is not None:
                close()
        try:
            if error is None and known:
                last = Progress(status, merged, range(0), time.perf_counter() - started)  # type: ignore[arg-type]
                self._result = self._build(last)
        except BaseException as caught:  # noqa: BLE001 - kept, shown and raised in result()
            status, error = "failed", caught
        rows = range(len(merged.scores))
        self._look(status, merged, rows, started, error)  # type: ignore[arg-type]
        self._finished.set()
        self._observers.clear()

    def _look(
        self,
        status: Status,
        merged: Merged,
        changed: range,
        started: float,
        error: BaseException | None = None,
    ) -> None:
        seconds = time.perf_counter() - started
        self._progress = Progress(status, merged, changed, seconds, error)
        with self._lock:
            observers = list(self._observers)
        for observer in observers:
            try:
                observer(self._progress)
            except Exception as caught:  # noqa: BLE001 - raised in result()
                self._observer_error = self._observer_error or caught


# ── workers ───────────────────────────────────────────────────────────────────


class _Worker(threading.Thread):
    def __init__(self, device: str) -> None:
        super().__init__(name=f"llm_interp_widgets:{device}", daemon=True)
        self.jobs: queue.SimpleQueue[Job[object]] = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        while True:
            job = self.jobs.get()
            if job._claim():  # noqa: SLF001 - the worker is the other half of Job
                job._work()  # noqa: SLF001
            del job  # the queue may stay empty for hours: hold no result meanwhile


_workers: dict[str, _Worker] = {}
_live: weakref.WeakSet[Job[object]] = weakref.WeakSet()
_workers_lock = threading.Lock()


def submit(job: Job[R], device: str) -> Job[R]:
    """Queue a job on its device's worker and return it."""
    with _workers_lock:
        worker = _workers.get(device)
        if worker is None or not worker.is_alive():  # also after a fork
            worker = _workers[device] = _Worker(device)
        _live.add(job)  # type: ignore[arg-type]
    worker.jobs.put(job)  # type: ignore[arg-type]
    return job


def live() -> list[Job[object]]:
    """Return jobs that are queued or running."""
    with _workers_lock:
        return [job for job in _live if not job.finished]


def cancel_all() -> None:
    """Ask every live job to stop."""
    for job in live():
        job.cancel()
