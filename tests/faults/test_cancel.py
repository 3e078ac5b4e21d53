"""Cancel, from any thread and at any time: every job ends once, in order, and none is lost."""

from __future__ import annotations

import random
import statistics
import threading
import time

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets import jobs
from llm_interp_widgets.errors import CancelledJobError
from llm_interp_widgets.jobs import Job, submit
from llm_interp_widgets.results.partial import Partial

TEXT = "The capital of France is"
ENDS = ("done", "cancelled", "failed")
STEPS = 5


def steps(number, order):
    """Return the work of job ``number``: its partials carry its number and how far it is."""

    def run(stop):
        order.append(number)
        for i in range(1, STEPS + 1):
            time.sleep(0.0005)
            if stop.is_set():
                return
            scores = np.array([[number, i]], np.float32)
            yield Partial(scores=scores, final=i == STEPS)

    return run


def until_ten(told):
    """Return work that lasts until ten have been told."""

    def run(stop):
        while len(told) < 10 and not stop.is_set():
            time.sleep(0.001)
        yield Partial(scores=np.zeros((1, 2), np.float32), final=True)

    return run


@pytest.mark.parametrize("seed", range(4))
def test_a_hundred_queued_jobs_with_random_cancels(seed):
    draw, place, order = random.Random(seed), f"storm-{seed}-{time.monotonic_ns()}", []
    ends, told = {n: [] for n in range(100)}, []
    queued = [Job(steps(n, order), (1, 2), lambda look: look) for n in range(100)]
    for n, job in enumerate(queued):
        job.observe(lambda look, n=n: look.status in ENDS and ends[n].append(look.status))
    doomed = draw.sample(range(100), 60)

    def cancelling(some, wait):
        for n in some:
            time.sleep(wait)
            queued[n].cancel()
            if n % 3 == 0:
                queued[n].cancel()  # twice
            told.append(n)

    for n in doomed[:10]:
        queued[n].cancel()  # before it was ever submitted
    threads = [
        threading.Thread(target=cancelling, args=(doomed[10 + i :: 4], draw.random() * 0.02))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    submit(Job(until_ten(told), (1, 2), lambda look: look), place)  # the others wait behind it
    for job in queued:
        submit(job, place)
    for thread in threads:
        thread.join()
    assert all(job.wait(30) for job in queued)
    assert all(len(found) == 1 for found in ends.values()), "a job ends exactly once"
    assert order == sorted(order), "in order of arrival"
    for n, job in enumerate(queued):
        assert ends[n] == [job.progress.status]
        assert right(n, job, begun=n in order)
        assert job.progress.status == "done" or n in doomed
    early = {*doomed[:10], *told[:10]}  # before they were submitted, or while none could begin
    assert all(ends[n] == ["cancelled"] for n in early)
    assert not set(jobs.live()) & set(queued)


def right(number, job, *, begun):
    """Whether a job's result is its own, whole or as far as it came; or there is none."""
    if job.progress.status == "done":
        return job.result(1).merged.scores.tolist() == [[number, STEPS]]
    assert job.progress.status == "cancelled"
    if begun and np.isfinite(job.progress.merged.scores).all():
        first, far = job.result(1).merged.scores[0]
        return first == number and far < STEPS
    with pytest.raises(CancelledJobError):
        job.result(1)
    return True


def long(lm, method="shapley"):
    return liw.explain(lm, TEXT * 3, 5, method, evaluations=10**6, precision=None)


@pytest.mark.parametrize("how", ["here", "another thread", "the browser"])
def test_it_takes_effect_at_once_and_keeps_what_is_there(tiny_lm, how):
    lm, taken = tiny_lm("llama"), []
    for _ in range(10):
        widget = long(lm)
        while np.isnan(widget.job.progress.merged.scores).all():
            time.sleep(0.001)
        asked = time.perf_counter()
        if how == "here":
            widget.cancel()
        elif how == "another thread":
            threading.Thread(target=widget.cancel).start()
        else:
            widget._handle_custom_msg({"type": "cancel", "job": widget.job.id}, [])
        assert widget.job.wait(10)
        taken.append(time.perf_counter() - asked)
        assert widget.result().cancelled
        assert np.isfinite(widget.result().scores).any()
        widget.cancel()  # after the end
        assert widget.snapshot["state"]["status"] == "cancelled"
        widget.close()
    print(f"cancel, {how}: {1e3 * statistics.median(taken):.0f} ms, at most {1e3 * max(taken):.0f}")


def test_a_view_beside_another_ends_with_it_and_its_close_stops_nothing(tiny_lm):
    lm = tiny_lm("llama")
    alone = liw.attribute(lm, TEXT, 5, "shapley", evaluations=300, precision=None)
    first = liw.explain(lm, TEXT, 5, "shapley", evaluations=300, precision=None)
    second, third = liw.waterfall(first), liw.force(first)
    third.close()
    first.result(30)
    assert first.snapshot["scores"] == second.snapshot["scores"]
    assert first.snapshot["state"]["status"] == second.snapshot["state"]["status"] == "done"
    np.testing.assert_allclose(first.result().scores, alone.scores, atol=1e-5)
    stopped = long(lm)
    beside = liw.waterfall(stopped)
    beside.cancel()
    assert stopped.job.wait(10)
    assert {stopped.snapshot["state"]["status"], beside.snapshot["state"]["status"]} == {
        "cancelled"
    }
    for widget in (first, second, stopped, beside):
        widget.close()


def test_jobs_on_one_model_and_an_overview_between_them_do_not_disturb_each_other(tiny_lm):
    lm = tiny_lm("llama")
    wanted = [
        liw.attribute(lm, TEXT, 5, "shapley", seed=seed, evaluations=200, precision=None).scores
        for seed in range(2)
    ]
    browser = liw.attend(lm, TEXT * 4, 5)
    widgets = [
        liw.explain(lm, TEXT, 5, "shapley", seed=seed, evaluations=200, precision=None)
        for seed in range(2)
    ]
    doomed = long(lm)
    effect = browser.record.effect([(0, 1)])  # on this thread, while the worker reads the model
    second = liw.attend(lm, TEXT * 2, 5)
    doomed.cancel()
    for widget, scores in zip(widgets, wanted, strict=True):
        np.testing.assert_allclose(widget.result(60).scores, scores, atol=1e-5)
    assert browser.wait(60)
    assert second.wait(60)
    assert browser.record.effect([(0, 1)]).after == pytest.approx(effect.after, abs=1e-5)
    alone = browser.record.head_scores()
    fresh = liw.attention(lm, TEXT * 4, 5).head_scores()
    for name, values in alone.items():
        np.testing.assert_allclose(values, fresh[name], atol=1e-5, err_msg=name)
    for widget in (*widgets, doomed, browser, second):
        widget.close()
    assert jobs.live() == []
