"""Workers that die, and processes that fork: no job is lost, and none waits for ever."""

from __future__ import annotations

import ctypes
import gc
import os
import random
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from llm_interp_widgets import jobs
from llm_interp_widgets.errors import JobError
from llm_interp_widgets.jobs import Errand, Job, submit
from llm_interp_widgets.results.partial import Partial


def partial(value, *, final=False):
    return Partial(scores=np.full((1, 2), value, dtype=np.float32), final=final)


def make(run):
    return Job(run, (1, 2), lambda look: look)


def three(stop):
    for i in range(3):
        yield partial(i, final=i == 2)


def slow_three(stop):
    for one in three(stop):
        time.sleep(0.001)
        yield one


ENDS = ("done", "failed", "cancelled")


@pytest.fixture
def place():
    name = f"fault-{time.monotonic_ns()}"
    yield name
    worker = jobs._workers.pop(name, None)
    if worker is not None:
        worker.put(None)


def kill(thread, error=SystemExit):
    """Let a thread meet an exception wherever it is; return whether it was still there."""
    return (
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(error)
        )
        == 1
    )


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Dies(Job):
    """Meets an exception where none is caught: after the method, outside of every handler."""

    def _work(self):
        self._progress = self._progress.__class__(
            "running", self._progress.merged.merge(partial(7)), range(1), 0.0
        )
        raise self.error_of_the_thread


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt(), RuntimeError("planted")])
def test_a_worker_that_dies_takes_no_job_with_it(place, error):
    gate = threading.Event()

    def first(stop):
        gate.wait(10)
        yield partial(1, final=True)

    looks = []
    before, dying = make(first), Dies(three, (1, 2), lambda look: look)
    dying.error_of_the_thread = error
    dying.observe(looks.append)
    later = [make(three) for _ in range(5)]
    for job in (before, dying, *later):
        submit(job, place)
    worker = jobs._workers[place]
    gate.set()
    for job in (before, *later):
        assert job.result(10).status == "done"
    with pytest.raises(JobError, match=r"thread that ran this job ended.*next job runs"):
        dying.result(10)
    assert dying.progress.status == looks[-1].status == "failed"
    assert dying.progress.merged.scores.tolist() == [[7, 7]], "what it had found is kept"
    until(lambda: not worker.is_alive())
    assert jobs._workers[place] is not worker
    assert not set(jobs.live()) & {before, dying, *later}


def test_a_thread_that_is_ended_from_outside_loses_nothing_and_the_next_job_runs(place):
    begun = threading.Event()

    def works(stop):
        begun.set()
        while not stop.is_set():
            time.sleep(0.001)
        yield partial(1)

    running, waiting = submit(make(works), place), [submit(make(three), place) for _ in range(3)]
    assert begun.wait(10)
    assert kill(jobs._workers[place])
    with pytest.raises(SystemExit):
        running.result(10)
    assert all(job.result(10).status == "done" for job in waiting)


def test_an_idle_worker_that_is_ended_is_replaced_and_no_job_falls_between(place):
    submit(make(three), place).result(10)
    ended = 0
    while ended < 30:
        worker = jobs._workers.get(place)  # none, where the last one ended before it was idle
        ended += worker is not None and kill(worker)  # met now, or when the next job arrives
        assert submit(make(three), place).result(10).status == "done"


@pytest.mark.parametrize("seed", range(3))
def test_threads_that_end_at_random_lose_no_job(place, seed):
    draw = random.Random(seed)
    queued = [make(slow_three) for _ in range(40)]
    for job in queued:
        submit(job, place)
    killed = 0
    while killed <= 5 or not all(job.finished for job in queued):
        if all(job.finished for job in queued):  # a slow machine: these were faster than we
            queued.append(submit(make(slow_three), place))
        time.sleep(draw.random() * 0.004)
        worker = jobs._workers.get(place)
        killed += worker is not None and kill(worker)
    for job in queued:
        assert job.progress.status in ENDS
        try:
            assert job.result(10).merged.scores.tolist() == [[2, 2]]
        except (JobError, SystemExit):
            assert job.progress.status == "failed"
    assert submit(make(three), place).result(10).status == "done"


def test_an_errand_whose_thread_dies_has_failed(place):
    class Dying(Errand):
        def _work(self):
            raise SystemExit

    errand, job = Dying(), make(three)
    submit(errand, place)
    submit(job, place)
    assert errand.wait(10)
    assert isinstance(errand.error, JobError)
    assert job.result(10).status == "done"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_an_observer_may_raise_anything(place, error):
    def broken(look):
        raise error

    job, looks = make(three), []
    job.observe(broken)
    job.observe(looks.append)
    submit(job, place)
    with pytest.raises(error):
        job.result(10)
    assert looks[-1].status == "done"
    assert jobs._workers[place].is_alive()


def test_an_errand_may_end_with_anything(place):
    def step():
        yield

    def broken(_status):
        raise SystemExit

    errand = submit(Errand(step, broken), place)
    assert errand.wait(10)
    assert isinstance(errand.error, SystemExit)
    assert jobs._workers[place].is_alive()


def test_a_dying_errand_passes_on_the_jobs_that_overtook_it(place):
    order, gate = [], threading.Event()

    def steps():
        gate.wait(10)
        yield
        raise SystemExit

    def told(name):
        def run(stop):
            order.append(name)
            yield partial(1, final=True)

        return run

    first = submit(Errand(steps), place)
    jobs_of_it = [submit(make(told(i)), place) for i in range(4)]
    second = submit(Errand(lambda: iter(())), place)
    gate.set()
    assert all(job.result(10).status == "done" for job in jobs_of_it)
    assert first.wait(10)
    assert second.wait(10)
    assert order == [0, 1, 2, 3]
    assert isinstance(first.error, SystemExit)


def test_a_kept_error_keeps_neither_model_nor_tensors_nor_what_it_was_caused_by(place):
    class Model:
        pass

    alive = []

    def failing(stop):
        model = Model()
        alive.append(weakref.ref(model))

        def layer(inputs):
            tensor = Model()
            alive.append(weakref.ref(tensor))
            raise RuntimeError("out of memory")

        try:
            layer(model)
        except RuntimeError as error:
            raise ValueError("what to do") from error
        yield

    def view(look):
        widget = Model()
        alive.append(weakref.ref(widget))
        raise OSError("the line is dead")

    job = make(failing)
    job.observe(view)
    submit(job, place)
    with pytest.raises(ValueError, match="what to do") as caught:
        job.result(10)
    assert isinstance(caught.value.__cause__, RuntimeError)
    del caught
    gc.collect()
    assert len(alive) == 4
    assert [one() for one in alive] == [None] * 4


def test_an_interrupt_of_the_main_thread_is_not_swallowed_by_a_job_that_runs_there():
    def interrupted(stop):
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        jobs.run_here(make(interrupted))


# ── forked processes ──────────────────────────────────────────────────────────

FORKED = """
import os, sys, threading, time
import numpy as np
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from test_workers import make, partial, three
from llm_interp_widgets import jobs
from llm_interp_widgets.errors import JobError
from llm_interp_widgets.jobs import submit

begun, enough = threading.Event(), threading.Event()

def works(stop):
    while not stop.is_set() and not enough.is_set():
        begun.set()
        yield partial(1)
        time.sleep(0.001)

seen = []
running, queued = make(works), make(three)
done = submit(make(three), "cpu")
done.result(10)
running.observe(lambda look: seen.append(os.getpid()))
submit(running, "cpu")
submit(queued, "cpu")
begun.wait(10)

def child():
    assert submit(make(three), "cpu").result(10).status == "done"
    assert done.result(10).status == "done"
    for job in (running, queued):
        try:
            job.result(10)
        except JobError as error:
            assert "process that was forked" in str(error), error
        else:
            raise AssertionError("a job of another process cannot have ended here")
    assert jobs.live() == []
    assert set(seen) == {{os.getppid()}}, "a view of the parent was told by its child"

{how}
enough.set()
assert running.result(10) and queued.result(10).status == "done"
print("fine", len(jobs.live()))
"""
BY_HAND = """
number = os.fork()
if not number:
    try:
        child()
    except BaseException as error:
        print("child:", repr(error), flush=True)
        os._exit(1)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0
"""
BY_MULTIPROCESSING = """
import multiprocessing
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(60)
assert process.exitcode == 0, process.exitcode
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("how", [BY_HAND, BY_MULTIPROCESSING], ids=["os.fork", "multiprocessing"])
def test_jobs_run_in_a_forked_process_and_those_of_its_parent_are_not_waited_for(how):
    code = FORKED.format(tests=str(Path(__file__).parent), how=how)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "fine 0", done.stdout + done.stderr
