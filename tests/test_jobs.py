"""Jobs: order, cancel, failure, observers, freedom from leaks; no model and no browser."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest

from llm_interp_widgets import jobs
from llm_interp_widgets.errors import CancelledJobError
from llm_interp_widgets.jobs import Errand, Job, submit
from llm_interp_widgets.results.partial import Partial


def partial(value, *, final=False):
    return Partial(scores=np.full((1, 2), value, dtype=np.float32), final=final)


def make(run):
    return Job(run, (1, 2), lambda look: look)


def three(stop):
    for i in range(3):
        yield partial(i, final=i == 2)


def until_stopped(stop):
    for i in range(10**6):
        if stop.wait(0.005):
            raise CancelledJobError
        yield partial(i)


def device():
    return f"test-{threading.get_ident()}-{time.monotonic_ns()}"


def test_partials_are_merged_and_observed_in_order():
    job, looks = make(three), []
    job.observe(looks.append)
    result = submit(job, device()).result(5)
    assert [look.status for look in looks] == ["running"] * 4 + ["done"]
    assert [float(look.merged.scores[0, 0]) for look in looks[1:]] == [0, 1, 2, 2]
    assert result.merged.scores.tolist() == [[2, 2]]


def test_jobs_of_a_device_run_one_after_the_other():
    running, most = 0, 0

    def counted(stop):
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.02)
        yield partial(1, final=True)
        running -= 1

    where = device()
    started = [submit(make(counted), where) for _ in range(5)]
    for job in started:
        job.result(5)
    assert most == 1


def test_cancel_keeps_what_is_there():
    job = submit(make(until_stopped), device())
    while np.isnan(job.progress.merged.scores).any():
        time.sleep(0.005)
    asked = time.monotonic()
    job.cancel()
    result = job.result(5)
    assert time.monotonic() - asked < 1
    assert result.status == "cancelled"
    assert np.isfinite(result.merged.scores).all()


def test_a_queued_job_is_cancelled_at_once_and_its_work_never_starts():
    where, ran = device(), []
    first = submit(make(until_stopped), where)

    def never(stop):
        ran.append(1)
        yield partial(1, final=True)

    second = submit(make(never), where)
    second.cancel()
    with pytest.raises(CancelledJobError):
        second.result(1)
    assert not first.finished
    first.cancel()
    assert first.wait(5)
    assert not ran
    assert second.progress.status == "cancelled"


def test_cancel_after_the_end_changes_nothing():
    job = submit(make(three), device())
    job.result(5)
    job.cancel()
    assert job.progress.status == "done"
    assert job.result(1).merged.scores.tolist() == [[2, 2]]


def test_failure_is_kept_shown_and_raised_every_time():
    def failing(stop):
        yield partial(1)
        raise ZeroDivisionError("planted")

    job = submit(make(failing), device())
    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="planted"):
            job.result(5)
    assert job.progress.status == "failed"
    assert job.progress.merged.scores.tolist() == [[1, 1]]


def test_the_worker_survives_a_failure():
    def failing(stop):
        raise SystemExit
        yield

    where = device()
    failed = submit(make(failing), where)
    with pytest.raises(SystemExit):
        failed.result(5)
    assert submit(make(three), where).result(5).status == "done"


def test_a_failing_observer_stops_nothing_and_is_raised():
    job, looks = make(three), []

    def broken(look):
        raise KeyError("view")

    job.observe(broken)
    job.observe(looks.append)
    submit(job, device())
    with pytest.raises(KeyError, match="view"):
        job.result(5)
    assert looks[-1].status == "done"


def test_timeout_leaves_it_running():
    job = submit(make(until_stopped), device())
    with pytest.raises(TimeoutError, match="goes on"):
        job.result(0.05)
    assert job in jobs.live()
    job.cancel()
    assert job.wait(5)
    assert job not in jobs.live()


def test_a_keyboard_interrupt_while_waiting_cancels(monkeypatch):
    job = submit(make(until_stopped), device())
    monkeypatch.setattr(job._finished, "wait", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        job.result()
    monkeypatch.undo()
    assert job.wait(5)


def _interrupt(timeout):
    raise KeyboardInterrupt


def test_cancel_all():
    started = [submit(make(until_stopped), device()) for _ in range(3)]
    jobs.cancel_all()
    assert all(job.wait(5) for job in started)


def test_a_finished_job_is_not_kept_alive():
    job = submit(make(three), device())
    job.result(5)
    alive = weakref.ref(job)
    del job
    for _ in range(50):
        gc.collect()
        if alive() is None:
            return
        time.sleep(0.02)
    pytest.fail("something holds the finished job")


def test_a_failing_end_of_a_generator_is_a_failure_not_a_hang():
    def untidy(stop):
        try:
            yield partial(1)
            yield partial(2)
        finally:
            raise ValueError("planted in finally")

    where = device()
    job = submit(make(untidy), where)
    with pytest.raises(ValueError, match="planted in finally"):
        job.result(5)
    assert submit(make(three), where).result(5).status == "done"


def test_a_job_that_waits_for_another_on_its_own_worker_does_not_wait_for_ever():
    where = device()

    def nested(stop):
        inner = submit(make(three), where).result(5)
        yield partial(inner.merged.scores[0, 0], final=True)

    assert submit(make(nested), where).result(5).merged.scores.tolist() == [[2, 2]]


def test_a_finished_job_lets_go_of_what_it_ran_on():
    class Model:
        pass

    model = Model()
    alive = weakref.ref(model)

    def uses(stop, model=model):
        yield partial(1, final=True)

    job = submit(make(uses), device())
    job.result(5)
    del model, uses
    gc.collect()
    assert alive() is None
    assert job.result().status == "done"


def test_a_script_that_ends_in_the_middle_of_a_job_ends_well(tmp_path):
    import subprocess
    import sys

    code = (
        "import threading, torch\n"
        "from llm_interp_widgets.jobs import Errand, Job, submit\n"
        "def run(stop):\n"
        "    while not stop.is_set():\n"
        "        torch.ones(300, 300) @ torch.ones(300, 300)\n"
        "    yield\n"
        "submit(Job(run, (1, 1), lambda look: look), 'cpu')\n"
        "import time; time.sleep(0.3)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_generator_is_closed_on_cancel():
    begun, closed = threading.Event(), threading.Event()

    def tidy(stop):
        try:
            while True:
                begun.set()
                yield partial(1)
        finally:
            closed.set()

    job = submit(make(tidy), device())
    assert begun.wait(5)
    job.cancel()
    job.wait(5)
    assert closed.is_set()


def test_a_job_does_not_wait_for_an_errand_to_end():
    going, enough, place = threading.Event(), threading.Event(), device()

    def steps():
        while not enough.is_set():
            going.set()
            time.sleep(0.01)
            yield

    errands = [submit(Errand(steps), place) for _ in range(2)]
    assert going.wait(5)
    found = submit(make(three), place).result(5)
    assert found.status == "done"
    assert not any(errand.finished for errand in errands)
    enough.set()
    assert all(errand.wait(5) for errand in errands)


def test_an_errand_whose_end_cannot_be_told_does_not_end_the_worker():
    def step():
        yield

    def broken(_status):
        raise OSError("the line is dead")

    place = device()
    first = submit(Errand(step, broken), place)
    assert first.wait(5)
    worker = jobs._workers[place]
    second = submit(Errand(step), place)
    assert second.wait(5)
    assert isinstance(first.error, OSError)
    assert worker.is_alive()
    assert second.error is None
