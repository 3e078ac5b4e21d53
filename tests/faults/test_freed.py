"""Closed widgets are freed, and nothing of them stays: model, tensors, threads, registries."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections import Counter

import pytest

import llm_interp_widgets as liw
from llm_interp_widgets import jobs
from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.widgets import _desk, _kernel

TEXT = "The capital of France is"
MANY = 150


def registered():
    import ipywidgets.widgets.widget as room

    return set(room._instances)


def comms():
    import comm

    manager = comm.get_comm_manager()
    return set(manager.comms)


def threads():
    return {t for t in threading.enumerate() if not t.name.startswith("llm_interp_widgets:cpu")}


def gone(references, seconds=15):
    """Return which of these are still alive after a while."""
    deadline = time.monotonic() + seconds
    while True:
        gc.collect()
        left = {name: one for name, one in references.items() if one() is not None}
        if not left or time.monotonic() > deadline:
            return list(left)
        time.sleep(0.02)


def made(lm, kind):
    """Return a widget of a kind, finished."""
    if kind == "AttentionBrowser":
        widget = liw.attend(lm, TEXT, 5)
        widget.wait(20)
        return widget
    if kind == "GenerationView":
        widget = liw.generate(lm, TEXT, 2, "occlusion")
        widget.contrast(0, 1)
        return widget
    if kind == "Compare":
        widget = liw.compare(lm, TEXT, 5, ("occlusion", "random"))
        widget.results(20)
        return widget
    if kind == "TokenHighlighter":
        widget = liw.explain(lm, TEXT, 5, "occlusion")
        widget.result(20)
        return widget
    if kind == "LimeView":
        return liw.lime(liw.attribute(lm, TEXT, 5, "lime", evaluations=30))
    a = liw.attribute(lm, TEXT, 5, "shapley", evaluations=60, precision=None)
    views = {
        "ShapWaterfall": liw.waterfall, "ShapForce": liw.force, "ShapBar": liw.bar,
        "Beeswarm": lambda one: liw.beeswarm([one, one]),
    }  # fmt: skip
    return views[kind](a)


KINDS = (
    "TokenHighlighter", "ShapWaterfall", "ShapForce", "ShapBar", "Beeswarm", "LimeView",
    "GenerationView", "Compare", "AttentionBrowser",
)  # fmt: skip


def held_by(widget, lm):
    """Weak references to all that a widget should not outlive, or keep alive."""
    references = {"widget": weakref.ref(widget), "model": weakref.ref(lm.model)}
    for number, feed in enumerate(getattr(widget, "_feeds", ())):
        references[f"job {number}"] = weakref.ref(feed.job)
        references[f"stream {number}"] = weakref.ref(feed._stream)
        references[f"result {number}"] = weakref.ref(feed.job.result())
    if hasattr(widget, "record"):
        references |= {
            "record": weakref.ref(widget.record), "errand": weakref.ref(widget._errand),
            "queries": weakref.ref(widget.record.calls[0].q), "desk": weakref.ref(widget._desk),
        }  # fmt: skip
    return references


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_widget_keeps_nothing_alive_and_leaves_nothing_behind(tiny_lm, kind):
    before, lines, running = registered(), comms(), threads()
    desks, busy, followed = set(_desk._open), set(jobs.live()), set(_kernel._followed)
    lm = tiny_lm("llama")
    widget = made(lm, kind)
    assert type(widget).__name__ == kind
    assert registered() - before, "it was never registered"
    assert comms() - lines
    if kind == "AttentionBrowser":
        want = {"what": "row", "stack": 0, "layer": 0, "head": 0, "how": "", "rows": [], "cols": []}
        ask = {"type": "ask", "view": "v", "slot": "s", "id": 1, "wants": [want | {"a": 1, "b": 0}]}
        widget._handle_custom_msg(ask, [])
    references = held_by(widget, lm)
    widget.close()
    widget.close()
    assert registered() == before
    assert comms() == lines
    del widget, lm
    assert gone(references) == []
    assert set(jobs.live()) <= busy
    assert set(_desk._open) <= desks
    assert len(_kernel._followed - followed) <= 1
    deadline = time.monotonic() + 15
    while threads() - running and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threads() - running == set()


@pytest.mark.parametrize("when", ["queued", "running"])
def test_a_widget_that_is_closed_in_the_middle_is_freed_with_its_job(tiny_lm, when):
    lm = tiny_lm("llama")
    first = liw.explain(lm, TEXT * 3, 5, evaluations=10**6, precision=None)
    second = liw.explain(lm, TEXT * 3, 5, evaluations=10**6, precision=None)
    widget = first if when == "running" else second
    while first.job.progress.status == "queued":
        time.sleep(0.005)
    references = {"widget": weakref.ref(widget), "job": weakref.ref(widget.job)}
    widget.close()
    del widget
    (first if when == "queued" else second).close()
    del first, second
    assert gone(references) == []
    references = {"model": weakref.ref(lm.model)}
    del lm
    assert gone(references) == []


def test_a_layout_that_is_shared_is_not_closed_with_one_of_its_widgets(tiny_lm):
    import ipywidgets

    a = liw.attribute(tiny_lm("llama"), TEXT, 5, "occlusion")
    layout = ipywidgets.Layout(width="50%")
    one = liw.TokenHighlighter(a.about(), liw.explain(tiny_lm("llama"), TEXT, 5, "occlusion").job,
                               layout=layout)  # fmt: skip
    one.close()
    assert layout.comm is not None
    layout.close()


def test_a_widget_that_is_refused_leaves_nothing_in_the_registry(tiny_lm):
    record = liw.attention(tiny_lm("llama"), TEXT)
    before = registered()
    with pytest.raises(ParameterError):
        liw.attend(record, head=(9, 9))
    gc.collect()
    assert registered() == before


def test_what_is_shown_without_being_closed_keeps_no_more_than_its_own_numbers(tiny_lm):
    """Ipywidgets' registry keeps what was never closed: a browser may still write to it."""
    lm = tiny_lm("llama")
    widget = made(lm, "TokenHighlighter")
    identity = widget.model_id
    references = {"model": weakref.ref(lm.model)}
    del widget, lm
    assert gone(references) == [], "an open view of a finished job keeps the model alive"
    assert identity in registered()


ROOMS = ("llm_interp_widgets", "ipywidgets", "anywidget", "comm", "threading", "torch")


def objects():
    """How many objects of each class of ours, and of what we use, there are."""
    gc.collect()
    classes = (type(one) for one in gc.get_objects())
    return Counter(c for c in classes if str(c.__module__).startswith(ROOMS))


@pytest.mark.parametrize("method", ["random", "occlusion"])
def test_many_explanations_leave_as_many_objects_as_there_were(tiny_lm, method):
    lm = tiny_lm("llama")

    def explain():
        widget = liw.explain(lm, TEXT, 5, method)
        widget.result(20)
        widget.close()

    for _ in range(5):
        explain()
    before = objects()
    total = len(gc.get_objects())
    for _ in range(MANY):
        explain()
    grown = objects() - before
    assert sum(grown.values()) <= 3, grown
    assert len(gc.get_objects()) - total < MANY, "something grows with every explanation"
