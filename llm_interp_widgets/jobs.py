"""Jobs: a method running on a worker thread, merged, observable, cancellable.

What comes in: a generator of partials. What goes out: a merged picture at any time, and a
result at the end. An ``Errand`` is a job without either: work in steps.

Guarantees: one worker a device, jobs in order of arrival, errands while no job waits;
``cancel`` takes effect at the next batch and keeps what is there; whatever a method raises is
kept and raised again in ``result``; an observer that fails stops neither the job nor other
observers, and its exception is raised in ``result``. What is kept of an error holds no frames.
A worker that dies takes nothing with it: the job it ran has failed, and says so, and those that
wait run on another one; a forked process starts with none. Knows neither Jupyter nor torch.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
import traceback
import uuid
import weakref
from collections import deque
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from llm_interp_widgets.errors import CancelledJobError, JobError
from llm_interp_widgets.results.partial import Merged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llm_interp_widgets.results.partial import Partial

Status = Literal["queued", "running", "done", "cancelled", "failed"]
R = TypeVar("R")
E = TypeVar("E", bound="Errand")
FINISHED = ("done", "cancelled", "failed")
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


class Errand:
    """Work in steps, on a worker: can be cancelled between two of them, and waited for.

    Args:
        steps: Does some of the work before each ``yield``; ``None`` for a subclass's own.
        done: Called at the end with how it ended: "done", "cancelled" or "failed".
    """

    def __init__(
        self,
        steps: Callable[[], Iterator[None]] | None = None,
        done: Callable[[Status], None] | None = None,
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self._steps = steps
        self._done = done
        self._stop = threading.Event()
        self._finished = threading.Event()
        self._lock = threading.RLock()  # a widget's __del__ may cancel from anywhere
        self._owner: threading.Thread | None = None  # who runs it
        self.error: BaseException | None = None

    @property
    def finished(self) -> bool:
        """Whether it is done, cancelled or failed."""
        return self._finished.is_set()

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
                _replace_dead_workers()
                if end is not None and time.monotonic() >= end:
                    return False
        except KeyboardInterrupt:
            self.cancel()
            raise
        return True

    def _claim(self) -> bool:
        """Return True to the first caller only: the worker, or a cancel before it."""
        with self._lock:
            if self._owner is not None:
                return False
            self._owner = threading.current_thread()
        return True

    def _abandon(self, error: BaseException) -> None:
        """Finish what nobody will: the thread that ran it is gone."""
        self._steps = self._done = None
        self.error = self.error or error
        self._finished.set()

    def _forked(self) -> None:
        """Begin anew in a forked process, where whoever held the locks is gone."""
        self._lock, self._finished = threading.RLock(), threading.Event()

    def _work(self) -> None:
        """Run to the end; whatever happens, the errand is finished afterwards."""
        status: Status = "failed"
        try:
            status = self._go()
        except BaseException as caught:  # noqa: BLE001 - kept for whoever asks
            self.error = _frameless(caught)
        finally:
            done, self._steps, self._done = self._done, None, None
            try:
                if done is not None:
                    done(status)
            except BaseException as caught:  # noqa: BLE001 - it must not end the worker
                self.error = self.error or _frameless(caught)
            finally:
                self._finished.set()

    def _go(self) -> Status:
        if self._steps is None or self._stop.is_set():
            return "cancelled"
        with closing(self._steps()) as steps:  # type: ignore[type-var]
            for _ in steps:
                _let_jobs_pass()
                if self._stop.is_set():
                    return "cancelled"
        return "done"


class Job(Errand, Generic[R]):
    """One run of a method.

    Args:
        run: Takes a stop event, yields partials; should raise ``CancelledJobError`` soon
            after the event is set.
        shape: (outputs, inputs) of the result.
        build: Makes the result from the last look.
        took: Seconds, where the work was done before; ``None`` measures them.
    """

    def __init__(
        self,
        run: Callable[[threading.Event], Iterator[Partial]],
        shape: tuple[int, int],
        build: Callable[[Progress], R],
        *,
        took: float | None = None,
    ) -> None:
        super().__init__()
        self._run = run
        self._build = build
        self._took = took
        self._progress = Progress("queued", Merged.empty(*shape), range(0), 0.0)
        self._observers: list[Callable[[Progress], None]] = []
        self._result: R | None = None
        self._observer_error: BaseException | None = None

    @property
    def progress(self) -> Progress:
        """The latest look; immutable."""
        return self._progress

    def observe(self, observer: Callable[[Progress], None]) -> None:
        """Call ``observer`` with every look from now on, on the worker's thread."""
        with self._lock:
            self._observers.append(observer)

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

    def _work(self) -> None:
        """Run to the end; whatever happens, the job is finished afterwards."""
        started = time.perf_counter()
        status: Status = "failed"
        error: BaseException | None = None
        try:
            status = self._consume(started)
            merged = self._progress.merged
            if merged.last.scores.size:
                seconds = self._seconds(started)
                self._result = self._build(Progress(status, merged, range(0), seconds))
        except CancelledJobError:
            status = "cancelled"
        except BaseException as caught:  # noqa: BLE001 - kept, shown and raised in result()
            status, error = "failed", caught
        finally:
            # A finished job keeps its numbers, but neither the model nor the frames of an error.
            self._run = self._build = None  # type: ignore[assignment]
            if error is not None:
                self.error = _frameless(error)
            try:
                merged = self._progress.merged
                self._look(status, merged, range(len(merged.scores)), started, error)
            finally:
                self._finished.set()
                self._observers.clear()

    def _abandon(self, error: BaseException) -> None:
        self._run = self._build = None  # type: ignore[assignment]
        look = self._progress
        every = range(len(look.merged.scores))
        try:
            self._tell(Progress("failed", look.merged, every, look.seconds, error))
        finally:
            self._observers.clear()
            super()._abandon(error)

    def _forked(self) -> None:
        self._observers = []  # a view belongs to the process that made it
        super()._forked()

    def _consume(self, started: float) -> Status:
        """Merge partial after partial; return how it ended."""
        merged = self._progress.merged
        self._look("running", merged, range(0), started)
        if self._stop.is_set():
            return "cancelled"
        with closing(self._run(self._stop)) as partials:  # type: ignore[type-var]
            try:
                for partial in partials:
                    merged = merged.merge(partial)
                    rows = range(partial.row, partial.row + len(partial.scores))
                    self._look("running", merged, rows, started)
                    if self._stop.is_set():
                        break
            except CancelledJobError:
                return "cancelled"
        return "cancelled" if self._stop.is_set() and not merged.last.final else "done"

    def _seconds(self, started: float) -> float:
        return time.perf_counter() - started if self._took is None else self._took

    def _look(
        self,
        status: Status,
        merged: Merged,
        changed: range,
        started: float,
        error: BaseException | None = None,
    ) -> None:
        self._tell(Progress(status, merged, changed, self._seconds(started), error))

    def _tell(self, progress: Progress) -> None:
        self._progress = progress
        with self._lock:
            observers = list(self._observers)
        for observer in observers:
            try:
                observer(progress)
            except BaseException as caught:  # noqa: BLE001 - raised in result()
                self._observer_error = self._observer_error or _frameless(caught)


# ── workers ───────────────────────────────────────────────────────────────────


class _Worker(threading.Thread):
    """Runs what stands in its line; the first one stays there until it is over."""

    def __init__(self, device: str, waiting: list[Errand] | None = None) -> None:
        super().__init__(name=f"llm_interp_widgets:{device}", daemon=True)
        self.line: deque[Errand | None] = deque(waiting or ())
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._bell.put(None)
        self.start()

    def put(self, job: Errand | None) -> None:
        self.line.append(job)
        self._bell.put(None)

    def run(self) -> None:
        try:
            while True:
                self._bell.get()
                while self.line:
                    job = self.line[0]
                    if job is None:
                        return
                    run_here(job)
                    self.line.popleft()
                    del job  # the line may stay empty for hours: hold no result meanwhile
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for the job
            _bury(self, _frameless(error))


def _let_jobs_pass() -> None:
    """Run what waits for this worker and is no errand: nobody waits for a picture to be exact."""
    worker = threading.current_thread()
    if not isinstance(worker, _Worker):
        return
    while job := next((one for one in list(worker.line) if isinstance(one, Job)), None):
        run_here(job)
        with suppress(ValueError):
            worker.line.remove(job)


_workers: dict[str, _Worker] = {}
_live: weakref.WeakSet[Errand] = weakref.WeakSet()
_workers_lock = threading.RLock()
_PATIENCE = 5.0  # seconds an exiting interpreter waits for a batch in flight


def submit(job: E, device: str) -> E:
    """Queue a job on its device's worker and return it.

    Called from that worker (a custom target that explains something itself), the job runs at
    once: waiting for its turn would wait for itself.
    """
    _replace_dead_workers()
    with _workers_lock:
        worker = _workers.get(device)
        if worker is None:
            worker = _workers[device] = _Worker(device)
        _live.add(job)
        if worker is not threading.current_thread():
            worker.put(job)
            return job
    return run_here(job)


def _replace_dead_workers() -> None:
    for worker in list(_workers.values()):
        if not worker.is_alive():
            _bury(worker, None)


def _bury(worker: _Worker, cause: BaseException | None) -> None:
    """Finish what a dead worker ran, and hand what waits to another one."""
    with _workers_lock:
        place = next((name for name, one in _workers.items() if one is worker), None)
        if place is None:
            return
        del _workers[place]
        left = [job for job in worker.line if job is not None and not job.finished]
        hit = [job for job in left if job._owner is worker]  # noqa: SLF001 - its other half
        waiting = [job for job in left if job not in hit]
        if waiting:
            _workers[place] = _Worker(place, waiting)
    for job in hit:  # tells observers, who may take locks of their own
        error = JobError(
            "The thread that ran this job ended in the middle"
            f"{f' ({type(cause).__name__})' if cause is not None else ''}; what it had "
            "found is kept. Ask again: the next job runs on a new thread."
        )
        error.__cause__ = cause
        job._abandon(error)  # noqa: SLF001


def _after_fork() -> None:
    """Forget the parent's workers: their threads are not here, and their jobs are not ours."""
    global _workers_lock  # noqa: PLW0603 - whoever held it is gone
    _workers_lock = threading.RLock()
    me = threading.current_thread()
    for place, worker in list(_workers.items()):
        if worker is not me:
            del _workers[place]
    for job in list(_live):
        if job._owner is not me:  # noqa: SLF001
            over = job.finished
            job._forked()  # noqa: SLF001
            if over:
                job._finished.set()  # noqa: SLF001
                continue
            job._owner = me  # noqa: SLF001
            job._abandon(  # noqa: SLF001
                JobError("This job runs in the process that was forked. Explain again in this one.")
            )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _frameless(error: BaseException) -> BaseException:
    """Return an error that keeps nothing alive: its frames, and its causes' frames, are emptied."""
    one: BaseException | None = error
    seen: set[int] = set()
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        traceback.clear_frames(one.__traceback__)
        one = one.__cause__ or one.__context__
    return error


def run_here(job: E) -> E:
    """Run a job on the calling thread, unless somebody took it already; return it.

    Raises:
        KeyboardInterrupt: The main thread was interrupted meanwhile.
    """
    if job._claim():  # noqa: SLF001 - the worker is the other half of Job
        job._work()  # noqa: SLF001
        met = job.error or getattr(job, "_observer_error", None)
        main = threading.current_thread() is threading.main_thread()
        if main and isinstance(met, KeyboardInterrupt):
            raise met
    return job


def live() -> list[Errand]:
    """Return jobs that are queued or running."""
    with _workers_lock:
        return [job for job in _live if not job.finished]


def cancel_all() -> None:
    """Ask every live job to stop."""
    for job in live():
        job.cancel()


@atexit.register
def _leave() -> None:
    """Stop before the interpreter takes torch away under a batch in flight."""
    cancel_all()
    for worker in list(_workers.values()):
        worker.put(None)
    for worker in list(_workers.values()):
        worker.join(_PATIENCE)
